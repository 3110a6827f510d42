"""DaemonSet (upstream pkg/registry/apps/daemonset, pkg/apis/apps/validation, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.apps.workload import SELECTOR, SPEC, TEMPLATE
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.label_selectors import is_empty, is_usable, selector_errors
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.percentages import share_errors, whole_errors
from pinnace.apiserver.registry.printing import integer, labels, text
from pinnace.apiserver.registry.strategy import Context, Part, Strategy, spec_changed, take_only_status
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

# Upstream keeps the generation of the template where clients of long ago looked for it.
GENERATION = "deprecated.daemonset.template.generation"
HISTORY = 10
ROLLING, ON_DELETE = "RollingUpdate", "OnDelete"


def default(obj: DaemonSet) -> DaemonSet:
    """Fill in the update strategy, the history and the template's defaults."""
    spec = replace(obj.spec, template=pod_defaults.template(obj.spec.template))
    strategy = spec.update_strategy
    if not strategy.type:
        strategy = DaemonSetUpdateStrategy(type=ROLLING, rolling_update=strategy.rolling_update)
    if strategy.type == ROLLING:
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
    """Check selector, template, numbers and update strategy."""
    return tuple(_errors(obj.spec))


def _errors(spec: DaemonSetSpec) -> Iterator[FieldError]:
    yield from selector_errors(spec.selector, SELECTOR)
    if is_usable(spec.selector):
        yield from workload.selection_errors(spec.selector, spec.template)
    if spec.selector is not None and is_empty(spec.selector):
        yield invalid(SELECTOR, spec.selector, "empty selector is invalid for daemonset")
    yield from template_errors(spec.template, TEMPLATE)
    yield from workload.endless_errors(spec.template, "DaemonSet")
    yield from not_negative(spec.min_ready_seconds, SPEC.child("minReadySeconds"))
    yield from _strategy_errors(spec.update_strategy, SPEC.child("updateStrategy"))
    yield from not_negative(spec.revision_history_limit, SPEC.child("revisionHistoryLimit"))


def _strategy_errors(strategy: DaemonSetUpdateStrategy, path: Path) -> Iterator[FieldError]:
    if strategy.type not in {ROLLING, ON_DELETE}:
        yield not_supported(path, go_struct(strategy), (ROLLING, ON_DELETE))
    elif strategy.type == ROLLING and strategy.rolling_update is not None:
        yield from _rolling_errors(strategy.rolling_update, path.child("rollingUpdate"))


def _rolling_errors(rolling: RollingUpdateDaemonSet, path: Path) -> Iterator[FieldError]:
    """Check that one of both, and only one, says how many pods are replaced at a time."""
    unavailable, surge = rolling.max_unavailable, rolling.max_surge
    assert unavailable is not None and surge is not None, "both have defaults"  # noqa: PT018
    for check in (share_errors, whole_errors):
        yield from check(unavailable, path.child("maxUnavailable"))
        yield from check(surge, path.child("maxSurge"))
    if workload.amount(unavailable) and workload.amount(surge):
        yield invalid(path.child("maxSurge"), surge, "may not be set when maxUnavailable is non-zero")
    elif not workload.amount(unavailable) and not workload.amount(surge):
        yield required(path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0")


def validate_update(new: DaemonSet, old: DaemonSet) -> Sequence[FieldError]:
    """Hold the selector; upstream checks all the rest a second time, and lists its causes twice."""
    return (*validate(new), *workload.selector_unchanged(new.spec.selector, old.spec.selector))


def validate_status(new: DaemonSet, old: DaemonSet) -> Sequence[FieldError]:
    """Check the counts."""
    status = new.status
    counts = (
        ("currentNumberScheduled", status.current_number_scheduled),
        ("numberMisscheduled", status.number_misscheduled),
        ("desiredNumberScheduled", status.desired_number_scheduled),
        ("numberReady", status.number_ready),
        ("observedGeneration", status.observed_generation),
        ("updatedNumberScheduled", status.updated_number_scheduled),
        ("numberAvailable", status.number_available),
        ("numberUnavailable", status.number_unavailable),
        ("collisionCount", status.collision_count),
    )
    return (
        *workload.negative_errors(counts),
        *workload.collision_errors(status.collision_count, old.status.collision_count),
    )


def warnings(new: DaemonSet, old: DaemonSet | None) -> Sequence[str]:
    """Warn of what is deprecated in the template."""
    before = old.spec.template if old is not None else None
    return workload.warnings(new.metadata, new.spec.template, before, checks_name=False)


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
    warnings=warnings,
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
    field_annotations=frozenset({GENERATION}),
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
