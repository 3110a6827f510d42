"""DaemonSet (upstream pkg/registry/apps/daemonset, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.printing import integer, labels, text
from pinnace.apiserver.registry.strategy import Context, Strategy, spec_changed
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError

# Upstream keeps the generation of the template where clients of long ago looked for it.
GENERATION = "deprecated.daemonset.template.generation"
HISTORY = 10


def default(obj: DaemonSet) -> DaemonSet:
    """Fill in the update strategy, the history and the template's defaults."""
    spec = replace(obj.spec, template=pod_defaults.template(obj.spec.template))
    strategy = spec.update_strategy
    if not strategy.type:
        strategy = DaemonSetUpdateStrategy(type="RollingUpdate", rolling_update=strategy.rolling_update)
    if strategy.type == "RollingUpdate":
        rolling = strategy.rolling_update or RollingUpdateDaemonSet()
        if rolling.max_unavailable is None:
            rolling = replace(rolling, max_unavailable=1)
        if rolling.max_surge is None:
            rolling = replace(rolling, max_surge=0)
        strategy = replace(strategy, rolling_update=rolling)
    spec = replace(spec, update_strategy=strategy)
    if spec.revision_history_limit is None:
        spec = replace(spec, revision_history_limit=HISTORY)
    return replace(obj, spec=spec)


def prepare_create(ctx: Context, obj: DaemonSet) -> DaemonSet:  # noqa: ARG001
    """Begin to count the template's generation."""
    return _counted(obj, "1")


def prepare_update(ctx: Context, new: DaemonSet, old: DaemonSet) -> DaemonSet:  # noqa: ARG001
    """Count the template's generation on when it changes."""
    before = old.metadata.annotations.get(GENERATION, "1")
    if new.spec.template == old.spec.template or not before.isdigit():
        return _counted(new, before)
    return _counted(new, str(int(before) + 1))


def _counted(obj: DaemonSet, count: str) -> DaemonSet:
    annotations = {**obj.metadata.annotations, GENERATION: count}
    return replace(obj, metadata=replace(obj.metadata, annotations=annotations))


def validate(obj: DaemonSet) -> Sequence[FieldError]:
    """Check what all workloads share."""
    return workload.validate(None, obj.spec.min_ready_seconds, obj.spec.selector, obj.spec.template)


def validate_update(new: DaemonSet, old: DaemonSet) -> Sequence[FieldError]:
    """Hold the selector."""
    return workload.selector_unchanged(new.spec.selector, old.spec.selector)


def cells(obj: DaemonSet, now: float) -> Sequence[Any]:
    """Return the row."""
    status = obj.status
    return (
        obj.metadata.name,
        status.desired_number_scheduled,
        status.current_number_scheduled,
        status.number_ready,
        status.updated_number_scheduled,
        status.number_available,
        labels(obj.spec.template.spec.node_selector),
        columns.object_age(obj, now),
        *columns.containers_of(obj.spec.template.spec),
        selectors.format_label_selector(obj.spec.selector),
    )


STRATEGY: Strategy[DaemonSet] = Strategy(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    generation=spec_changed,
    columns=(
        columns.NAME,
        *map(integer, ("Desired", "Current", "Ready", "Up-to-date", "Available")),
        text("Node Selector"),
        columns.AGE,
        *columns.CONTAINERS,
        columns.SELECTOR,
    ),
    cells=cells,
)
