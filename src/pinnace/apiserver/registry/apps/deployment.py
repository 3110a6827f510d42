"""Deployment (upstream pkg/registry/apps/deployment, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.strategy import Column, Scale, Strategy
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported

HISTORY_LIMIT, DEADLINE_SECONDS, SHARE = 10, 600, "25%"
ROLLING, RECREATE = "RollingUpdate", "Recreate"


def default(obj: Deployment) -> Deployment:
    """Fill in replicas, strategy, history and deadline, and the template's defaults."""
    spec = obj.spec
    return replace(
        obj,
        spec=replace(
            spec,
            replicas=1 if spec.replicas is None else spec.replicas,
            strategy=_strategy(spec.strategy),
            revision_history_limit=HISTORY_LIMIT
            if spec.revision_history_limit is None
            else spec.revision_history_limit,
            progress_deadline_seconds=(
                DEADLINE_SECONDS if spec.progress_deadline_seconds is None else spec.progress_deadline_seconds
            ),
            template=pod_defaults.template(spec.template),
        ),
    )


def _strategy(strategy: DeploymentStrategy) -> DeploymentStrategy:
    kind = strategy.type or ROLLING
    if kind != ROLLING:
        return strategy
    rolling = strategy.rolling_update or RollingUpdateDeployment()
    rolling = RollingUpdateDeployment(
        max_unavailable=SHARE if rolling.max_unavailable is None else rolling.max_unavailable,
        max_surge=SHARE if rolling.max_surge is None else rolling.max_surge,
    )
    return DeploymentStrategy(type=kind, rolling_update=rolling)


def validate(obj: Deployment) -> Sequence[FieldError]:
    """Check what all workloads share, and the strategy."""
    spec = obj.spec
    shared = workload.validate(spec.replicas, spec.min_ready_seconds, spec.selector, spec.template)
    return (*shared, *_strategy_errors(spec))


def _strategy_errors(spec: DeploymentSpec) -> Iterator[FieldError]:
    path = Path("spec", "strategy")
    strategy = spec.strategy
    if strategy.type not in {ROLLING, RECREATE}:
        yield not_supported(path.child("type"), strategy.type, (RECREATE, ROLLING))
    elif strategy.type == RECREATE and strategy.rolling_update is not None:
        text = f"may not be specified when strategy `type` is '{RECREATE}'"
        yield forbidden(path.child("rollingUpdate"), text)
    elif strategy.rolling_update is not None:
        rolling = strategy.rolling_update
        if {rolling.max_unavailable, rolling.max_surge} <= {0, "0%"}:
            text = "may not be 0 when `maxSurge` is 0"
            yield invalid(path.child("rollingUpdate", "maxUnavailable"), rolling.max_unavailable, text)
    if spec.revision_history_limit is not None and spec.revision_history_limit < 0:
        yield invalid(Path("spec", "revisionHistoryLimit"), spec.revision_history_limit, workload.NOT_NEGATIVE)
    deadline = spec.progress_deadline_seconds
    if deadline is not None and deadline <= spec.min_ready_seconds:
        yield invalid(Path("spec", "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds")


def validate_update(new: Deployment, old: Deployment) -> Sequence[FieldError]:
    """Hold the selector."""
    return workload.selector_unchanged(new.spec.selector, old.spec.selector)


def generation(new: Deployment, old: Deployment) -> bool:
    """Count on when the spec or the annotations change, which sets copy."""
    return new.spec != old.spec or new.metadata.annotations != old.metadata.annotations


def cells(obj: Deployment, now: float) -> Sequence[Any]:
    """Return the row."""
    return (
        obj.metadata.name,
        f"{obj.status.ready_replicas}/{obj.spec.replicas or 0}",
        obj.status.updated_replicas,
        obj.status.available_replicas,
        columns.object_age(obj, now),
        *columns.containers_of(obj.spec.template.spec),
        selectors.format_label_selector(obj.spec.selector),
    )


STRATEGY: Strategy[Deployment] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    generation=generation,
    columns=(
        columns.NAME,
        Column("Ready", description="How many pods are ready."),
        Column("Up-to-date", description="How many pods have the current template."),
        Column("Available", description="How many pods are available."),
        columns.AGE,
        *columns.CONTAINERS,
        columns.SELECTOR,
    ),
    cells=cells,
    scale=Scale(
        replicas=lambda obj: obj.spec.replicas or 0,
        with_replicas=lambda obj, count: replace(obj, spec=replace(obj.spec, replicas=count)),
        status_replicas=lambda obj: obj.status.replicas,
        selector=lambda obj: workload.selector_text(obj.spec.selector),
    ),
)
