"""ResourceClaimTemplate (upstream pkg/registry/resource/resourceclaimtemplate, pkg/apis/resource/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.resource_v1 import ResourceClaimTemplate
from pinnace.apiserver.registry.defaulting import changed
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.metadata import annotation_errors, label_errors
from pinnace.apiserver.registry.printing import AGE, NAME, age
from pinnace.apiserver.registry.resource.device_claims import EXPRESSIONS_WEIGHT, default_spec, spec_errors
from pinnace.apiserver.registry.resource.resource_claim import namespace_errors
from pinnace.apiserver.registry.strategy import Begun, Context, Strategy
from pinnace.machinery.field import FieldError, Path

_SPEC = Path("spec")


def default(obj: ResourceClaimTemplate) -> ResourceClaimTemplate:
    """Fill in how many devices are asked for."""
    return changed(obj, spec=changed(obj.spec, spec=default_spec(obj.spec.spec)))


async def begin_create(ctx: Context, obj: ResourceClaimTemplate) -> Begun[ResourceClaimTemplate]:
    """Look at the namespace where that matters."""
    at = _SPEC.child("spec")
    return Begun(obj, await namespace_errors(ctx, obj.spec.spec, obj.metadata.namespace, at))


def validate(obj: ResourceClaimTemplate) -> Sequence[FieldError]:
    """Check the template's metadata and spec."""
    return tuple(_errors(obj))


def _errors(obj: ResourceClaimTemplate) -> Iterator[FieldError]:
    meta = _SPEC.child("metadata")
    yield from annotation_errors(obj.spec.metadata.annotations, meta.child("annotations"))
    yield from label_errors(obj.spec.metadata.labels, meta.child("labels"))
    yield from spec_errors(obj.spec.spec, _SPEC.child("spec"))


def validate_update(new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> Sequence[FieldError]:
    """Hold the spec."""
    if new.spec == old.spec:
        return ()
    return (*unchanged(new.spec, old.spec, _SPEC), *_errors(new))


def cells(obj: ResourceClaimTemplate, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, age(obj, now))


STRATEGY: Strategy[ResourceClaimTemplate] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    weight=EXPRESSIONS_WEIGHT,
    begin_create=begin_create,
    delete_returns_object=True,
    columns=(NAME, AGE),
    cells=cells,
)
