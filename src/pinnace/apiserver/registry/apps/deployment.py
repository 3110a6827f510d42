"""Deployment (upstream pkg/registry/apps/deployment, pkg/apis/apps/validation, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    RollingUpdateDeployment,
)
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.apps.workload import SPEC, STATUS
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.percentages import share_errors, whole_errors
from pinnace.apiserver.registry.strategy import Column, Context, Part, Scale, Strategy, take_only_status
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
    """Check numbers, selector, template and strategy."""
    return tuple(_errors(obj.spec))


def _errors(spec: DeploymentSpec) -> Iterator[FieldError]:
    yield from not_negative(spec.replicas, SPEC.child("replicas"))
    yield from workload.replicated_errors(spec.selector, spec.template)
    yield from _strategy_errors(spec.strategy, SPEC.child("strategy"))
    yield from not_negative(spec.min_ready_seconds, SPEC.child("minReadySeconds"))
    yield from not_negative(spec.revision_history_limit, SPEC.child("revisionHistoryLimit"))
    deadline = spec.progress_deadline_seconds
    if deadline is not None:
        at = SPEC.child("progressDeadlineSeconds")
        yield from not_negative(deadline, at)
        if deadline <= spec.min_ready_seconds:
            yield invalid(at, deadline, "must be greater than minReadySeconds")


def _strategy_errors(strategy: DeploymentStrategy, path: Path) -> Iterator[FieldError]:
    at = path.child("rollingUpdate")
    if strategy.type not in {ROLLING, RECREATE}:
        yield not_supported(path, go_struct(strategy), (RECREATE, ROLLING))
    elif strategy.type == RECREATE and strategy.rolling_update is not None:
        yield forbidden(at, f"may not be specified when strategy `type` is '{RECREATE}'")
    elif strategy.rolling_update is not None:
        yield from _rolling_errors(strategy.rolling_update, at)


def _rolling_errors(rolling: RollingUpdateDeployment, path: Path) -> Iterator[FieldError]:
    unavailable, surge = rolling.max_unavailable, rolling.max_surge
    at = path.child("maxUnavailable")
    assert unavailable is not None and surge is not None, "both have defaults"  # noqa: PT018
    yield from share_errors(unavailable, at)
    yield from share_errors(surge, path.child("maxSurge"))
    if not workload.amount(unavailable) and not workload.amount(surge):
        yield invalid(at, unavailable, "may not be 0 when `maxSurge` is 0")
    yield from whole_errors(unavailable, at)


def validate_update(new: Deployment, old: Deployment) -> Sequence[FieldError]:
    """Hold the selector."""
    return workload.selector_unchanged(new.spec.selector, old.spec.selector)


def prepare_status(ctx: Context, new: Deployment, old: Deployment) -> Deployment:
    """Take the labels, too, from the stored object: sets copy them."""
    kept = take_only_status(ctx, new, old)
    return replace(kept, metadata=replace(kept.metadata, labels=old.metadata.labels))


def validate_status(new: Deployment, old: Deployment) -> Sequence[FieldError]:
    """Check the counts, each for itself and against one another."""
    return tuple(_status_errors(new.status, old.status))


def _status_errors(status: DeploymentStatus, old: DeploymentStatus) -> Iterator[FieldError]:
    counts = (
        ("updatedReplicas", status.updated_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    )
    yield from workload.negative_errors((
        ("observedGeneration", status.observed_generation),
        ("replicas", status.replicas),
        *counts,
        ("unavailableReplicas", status.unavailable_replicas),
        ("collisionCount", status.collision_count),
    ))
    yield from workload.count_errors(counts, status.replicas)
    if status.available_replicas > status.ready_replicas:
        at = STATUS.child("availableReplicas")
        yield invalid(at, status.available_replicas, "cannot be greater than readyReplicas")
    yield from workload.collision_errors(status.collision_count, old.collision_count)


def warnings(new: Deployment, old: Deployment | None) -> Sequence[str]:
    """Warn of an odd name and of what is deprecated in the template."""
    return workload.warnings(new.metadata, new.spec.template, old.spec.template if old is not None else None)


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
    warnings=warnings,
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
    parts={"status": Part(prepare_update=prepare_status, validate_update=validate_status)},
    scale=Scale(
        replicas=lambda obj: obj.spec.replicas or 0,
        with_replicas=lambda obj, count: replace(obj, spec=replace(obj.spec, replicas=count)),
        status_replicas=lambda obj: obj.status.replicas,
        selector=lambda obj: workload.selector_text(obj.spec.selector),
    ),
)
