"""ReplicaSet (upstream pkg/registry/apps/replicaset, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import ReplicaSet
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.strategy import Column, Scale, Strategy, spec_changed
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError


def default(obj: ReplicaSet) -> ReplicaSet:
    """Fill in one replica, and the template's defaults."""
    spec = replace(obj.spec, template=pod_defaults.template(obj.spec.template))
    if spec.replicas is None:
        spec = replace(spec, replicas=1)
    return replace(obj, spec=spec)


def validate(obj: ReplicaSet) -> Sequence[FieldError]:
    """Check what all workloads share."""
    return workload.validate(obj.spec.replicas, obj.spec.min_ready_seconds, obj.spec.selector, obj.spec.template)


def validate_update(new: ReplicaSet, old: ReplicaSet) -> Sequence[FieldError]:
    """Hold the selector."""
    return workload.selector_unchanged(new.spec.selector, old.spec.selector)


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
    scale=Scale(
        replicas=lambda obj: obj.spec.replicas or 0,
        with_replicas=lambda obj, count: replace(obj, spec=replace(obj.spec, replicas=count)),
        status_replicas=lambda obj: obj.status.replicas,
        selector=lambda obj: workload.selector_text(obj.spec.selector),
    ),
)
