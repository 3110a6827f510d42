"""PersistentVolumeClaim (upstream pkg/registry/core/persistentvolumeclaim).

The finalizer that protects a claim in use belongs to the controller that takes it off again, and is not put on here.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    TypedLocalObjectReference,
    TypedObjectReference,
)
from pinnace.apiserver.registry.core import volume_defaults
from pinnace.apiserver.registry.core.validation.claims import claim_spec_errors
from pinnace.apiserver.registry.defaulting import changed
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, text
from pinnace.apiserver.registry.strategy import Context, Strategy
from pinnace.machinery.field import FieldError, Path, forbidden

_SHORT = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_FROZEN = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def short_modes(modes: Sequence[str]) -> str:
    """Return access modes as tables show them, in upstream's order."""
    return ",".join(short for mode, short in _SHORT.items() if mode in modes)


def default(obj: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Fill in the volume mode."""
    return changed(obj, spec=volume_defaults.claim_spec(obj.spec))


def prepare_create(ctx: Context, obj: PersistentVolumeClaim) -> PersistentVolumeClaim:  # noqa: ARG001
    """Begin in the phase Pending; what upstream takes for no source is dropped, and the two names of one are in step."""
    spec = obj.spec
    source = spec.data_source
    if source is not None and not source.api_group and source.kind != "PersistentVolumeClaim":
        spec = replace(spec, data_source=None)
    source, ref = spec.data_source, spec.data_source_ref
    if source is not None and ref is None:
        ref = TypedObjectReference(api_group=source.api_group, kind=source.kind, name=source.name)
        spec = replace(spec, data_source_ref=ref)
    elif ref is not None and source is None and not ref.namespace:
        source = TypedLocalObjectReference(api_group=ref.api_group, kind=ref.kind, name=ref.name)
        spec = replace(spec, data_source=source)
    return replace(obj, spec=spec, status=PersistentVolumeClaimStatus(phase="Pending"))


def validate(obj: PersistentVolumeClaim) -> Sequence[FieldError]:
    """Check the spec."""
    return tuple(claim_spec_errors(obj.spec, Path("spec")))


def validate_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Sequence[FieldError]:
    """Hold the spec, but for the volume it is bound to (once) and the size of a bound claim."""
    after, before = new.spec, old.spec
    spec: PersistentVolumeClaimSpec = after
    if not before.volume_name:
        spec = replace(spec, volume_name="")
    if old.status.phase == "Bound":
        spec = replace(
            spec,
            resources=replace(spec.resources, requests=before.resources.requests),
            volume_attributes_class_name=before.volume_attributes_class_name,
        )
    return () if spec == before else (forbidden(Path("spec"), _FROZEN),)


def cells(obj: PersistentVolumeClaim, now: float) -> Sequence[Any]:
    """Return the row."""
    bound = bool(obj.spec.volume_name)
    return (
        obj.metadata.name,
        "Terminating" if obj.metadata.deletion_timestamp is not None else obj.status.phase,
        obj.spec.volume_name,
        obj.status.capacity.get("storage", "0") if bound else "",
        short_modes(obj.status.access_modes) if bound else "",
        obj.spec.storage_class_name or "",
        obj.spec.volume_attributes_class_name or UNSET,
        age(obj, now),
        obj.spec.volume_mode or UNSET,
    )


STRATEGY: Strategy[PersistentVolumeClaim] = Strategy(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    delete_returns_object=True,
    columns=(
        NAME,
        *map(text, ("Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass")),
        AGE,
        text("VolumeMode", wide=True),
    ),
    cells=cells,
)
