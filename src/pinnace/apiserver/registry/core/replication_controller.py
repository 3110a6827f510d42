"""ReplicationController (upstream pkg/registry/core/replicationcontroller)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import PodSpec, ReplicationController
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.printing import integer, labels
from pinnace.apiserver.registry.strategy import Scale, Selectable, Strategy, spec_changed, unknown_field_own_table
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

_SPEC = Path("spec")


def default(obj: ReplicationController) -> ReplicationController:
    """Fill in one replica, and selector and labels from the template."""
    spec = obj.spec
    if spec.replicas is None:
        spec = replace(spec, replicas=1)
    meta = obj.metadata
    if spec.template is not None:
        template = pod_defaults.template(spec.template)
        own = template.metadata.labels
        spec = replace(spec, template=template, selector=spec.selector or own)
        if own and not meta.labels:
            meta = replace(meta, labels=own)
    return replace(obj, metadata=meta, spec=spec)


def validate(obj: ReplicationController) -> Sequence[FieldError]:
    """Check numbers, selector and template."""
    return tuple(_errors(obj))


def _errors(obj: ReplicationController) -> Iterator[FieldError]:
    spec = obj.spec
    yield from not_negative(spec.min_ready_seconds, _SPEC.child("minReadySeconds"))
    if not spec.selector:
        yield required(_SPEC.child("selector"))
    yield from not_negative(spec.replicas, _SPEC.child("replicas"))
    path = _SPEC.child("template")
    if spec.template is None:
        yield required(path)
        return
    own = spec.template.metadata.labels
    if spec.selector and not selectors.from_map(spec.selector).matches(own):
        yield invalid(path.child("metadata", "labels"), dict(own), "`selector` does not match template `labels`")
    yield from template_errors(spec.template, path)
    policy = spec.template.spec.restart_policy
    if policy in {"Never", "OnFailure"}:
        yield not_supported(path.child("spec", "restartPolicy"), policy, ("Always",))


def cells(obj: ReplicationController, now: float) -> Sequence[Any]:
    """Return the row."""
    template = obj.spec.template
    return (
        obj.metadata.name,
        obj.spec.replicas or 0,
        obj.status.replicas,
        obj.status.ready_replicas,
        columns.object_age(obj, now),
        *columns.containers_of(template.spec if template is not None else PodSpec()),
        labels(obj.spec.selector),
    )


STRATEGY: Strategy[ReplicationController] = Strategy(
    default=default,
    validate=validate,
    generation=spec_changed,
    default_propagation="Orphan",
    selectable=Selectable(
        fields={"status.replicas": lambda obj: str(obj.status.replicas)}, unknown=unknown_field_own_table
    ),
    columns=(
        columns.NAME,
        *map(integer, ("Desired", "Current", "Ready")),
        columns.AGE,
        *columns.CONTAINERS,
        columns.SELECTOR,
    ),
    cells=cells,
    scale=Scale(
        replicas=lambda obj: obj.spec.replicas or 0,
        with_replicas=lambda obj, count: replace(obj, spec=replace(obj.spec, replicas=count)),
        status_replicas=lambda obj: obj.status.replicas,
        selector=lambda obj: ",".join(f"{key}={obj.spec.selector[key]}" for key in sorted(obj.spec.selector)),
    ),
)
