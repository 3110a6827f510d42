"""ReplicaSet (upstream pkg/registry/apps/replicaset, pkg/apis/apps/validation, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import ReplicaSet
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.apps.workload import SPEC, STATUS
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.strategy import Column, Part, Scale, Strategy, spec_changed, take_only_status
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError, invalid


def default(obj: ReplicaSet) -> ReplicaSet:
    """Fill in one replica, and the template's defaults."""
    spec = replace(obj.spec, template=pod_defaults.template(obj.spec.template))
    if spec.replicas is None:
        spec = replace(spec, replicas=1)
    return replace(obj, spec=spec)


def validate(obj: ReplicaSet) -> Sequence[FieldError]:
    """Check numbers, selector and template."""
    return tuple(_errors(obj))


def _errors(obj: ReplicaSet) -> Iterator[FieldError]:
    spec = obj.spec
    yield from not_negative(spec.replicas, SPEC.child("replicas"))
    yield from not_negative(spec.min_ready_seconds, SPEC.child("minReadySeconds"))
    yield from workload.replicated_errors(spec.selector, spec.template)


def validate_update(new: ReplicaSet, old: ReplicaSet) -> Sequence[FieldError]:
    """Hold the selector; upstream checks all the rest a second time, and lists its causes twice."""
    return (*validate(new), *workload.selector_unchanged(new.spec.selector, old.spec.selector))


def validate_status(new: ReplicaSet, old: ReplicaSet) -> Sequence[FieldError]:  # noqa: ARG001
    """Check the counts, each for itself and against one another."""
    return tuple(_status_errors(new))


def _status_errors(obj: ReplicaSet) -> Iterator[FieldError]:
    status = obj.status
    counts = (
        ("fullyLabeledReplicas", status.fully_labeled_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    )
    yield from workload.negative_errors((
        ("replicas", status.replicas),
        *counts,
        ("observedGeneration", status.observed_generation),
    ))
    yield from workload.count_errors(counts, status.replicas)
    if status.available_replicas > status.ready_replicas:
        at = STATUS.child("availableReplicas")
        yield invalid(at, status.available_replicas, "cannot be greater than readyReplicas")


def warnings(new: ReplicaSet, old: ReplicaSet | None) -> Sequence[str]:
    """Warn of an odd name and of what is deprecated in the template."""
    return workload.warnings(new.metadata, new.spec.template, old.spec.template if old is not None else None)


def cells(obj: ReplicaSet, now: float) -> Sequence[Any]:
    """Return the row."""
    return (
        obj.metadata.name,
        obj.spec.replicas or 0,
        obj.status.replicas,
        obj.status.ready_replicas,
        columns.object_age(obj, now),
        *columns.containers_of(obj.spec.template.spec),
        selectors.format_label_selector(obj.spec.selector),
    )


STRATEGY: Strategy[ReplicaSet] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    generation=spec_changed,
    columns=(
        columns.NAME,
        Column("Desired", "integer", description="How many pods are wanted."),
        Column("Current", "integer", description="How many pods there are."),
        Column("Ready", "integer", description="How many pods are ready."),
        columns.AGE,
        *columns.CONTAINERS,
        columns.SELECTOR,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
    scale=Scale(
        replicas=lambda obj: obj.spec.replicas or 0,
        with_replicas=lambda obj, count: replace(obj, spec=replace(obj.spec, replicas=count)),
        status_replicas=lambda obj: obj.status.replicas,
        selector=lambda obj: workload.selector_text(obj.spec.selector),
    ),
)
