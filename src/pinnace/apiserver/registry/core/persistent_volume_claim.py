"""PersistentVolumeClaim (upstream pkg/registry/core/persistentvolumeclaim).

The finalizer that protects a claim in use belongs to the controller that takes it off again, and is not put on here.
"""

from collections.abc import Iterator, Sequence
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
from pinnace.apiserver.registry.go_struct import go_difference
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, text
from pinnace.apiserver.registry.strategy import Context, Part, Strategy, take_only_status
from pinnace.machinery import quantity
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

_SHORT = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_SPEC = Path("spec")
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_RESIZE_STATES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizePending",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
)
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
    if spec.data_source_ref is not None and spec.data_source_ref.namespace:
        # Sources in other namespaces are behind a gate that is off.
        spec = replace(spec, data_source_ref=None)
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
    """Hold the spec, but for the volume it is bound to (once), its class while unbound, and size and class of a bound one."""
    found = []
    before, after = _comparable(new, old)
    if after != before:
        found.append(forbidden(_SPEC, f"{_FROZEN}\n{go_difference(before, after)}"))
    size, least = _storage(new.spec), _storage(old.spec)
    if size < least and size <= quantity.parse(old.status.capacity.get("storage", "0")):
        at = _SPEC.child("resources", "requests", "storage")
        found.append(forbidden(at, "field can not be less than status.capacity"))
    found += unchanged(new.spec.volume_mode, old.spec.volume_mode, Path("volumeMode"))
    if old.spec.volume_attributes_class_name is not None and new.spec.volume_attributes_class_name is None:
        at = _SPEC.child("volumeAttributesClassName")
        found.append(forbidden(at, "update from non-nil value to nil is forbidden"))
    return found


def _comparable(
    new: PersistentVolumeClaim, old: PersistentVolumeClaim
) -> tuple[PersistentVolumeClaimSpec, PersistentVolumeClaimSpec]:
    """Return the old and the new spec, equal where a change is allowed."""
    before, after = old.spec, new.spec
    if not before.volume_name:
        before = replace(before, volume_name=after.volume_name)
    is_bound = old.status.phase == "Bound"
    if not is_bound and not before.storage_class_name and before.storage_class_name is None:
        # A class may be given later, by hand or as the default one.
        before = replace(before, storage_class_name=after.storage_class_name)
    if is_bound:
        requests = dict(after.resources.requests)
        if "storage" in requests and "storage" in before.resources.requests:
            requests["storage"] = before.resources.requests["storage"]
        after = replace(
            after,
            resources=replace(after.resources, requests=requests),
            volume_attributes_class_name=before.volume_attributes_class_name,
        )
    return before, after


def _storage(spec: PersistentVolumeClaimSpec) -> quantity.Quantity:
    return quantity.parse(spec.resources.requests.get("storage", "0"))


def validate_status(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Sequence[FieldError]:  # noqa: ARG001
    """Check what is said of the volume."""
    found = [] if new.metadata.resource_version else [required(Path("resourceVersion"))]
    if not new.spec.access_modes:
        found.append(required(_SPEC.child("accessModes")))
    capacity = Path("status", "capacity")
    for name in sorted(new.status.capacity):
        amount = quantity.parse(new.status.capacity[name])
        if amount.value() < 0:
            found.append(invalid(capacity.key(name), amount.value(), "must be a valid resource quantity"))
    statuses = Path("status", "allocatedResourceStatus")
    for name in sorted(new.status.allocated_resource_statuses):
        value = new.status.allocated_resource_statuses[name]
        if value not in _RESIZE_STATES:
            found.append(not_supported(statuses.key(name), name, _RESIZE_STATES))
    return found


def warnings(new: PersistentVolumeClaim, old: PersistentVolumeClaim | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of a class given in the old way, and of parts of a byte."""
    found = []
    if _OLD_CLASS in new.metadata.annotations:
        at = Path("metadata", "annotations").key(_OLD_CLASS)
        found.append(f'{at}: deprecated since v1.8; use "storageClassName" attribute instead')
    return (*found, *size_warnings(new.spec, _SPEC))


def size_warnings(spec: PersistentVolumeClaimSpec, path: Path) -> Iterator[str]:
    """Warn of parts of a byte in a claim's size."""
    for amounts, wire in ((spec.resources.requests, "requests"), (spec.resources.limits, "limits")):
        text = amounts.get("storage")
        if text is not None and quantity.parse(text).milli() % 1000:
            at = path.child("resources", wire).key("storage")
            yield f'{at}: fractional byte value "{text}" is invalid, must be an integer'


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
    warnings=warnings,
    delete_returns_object=True,
    columns=(
        NAME,
        *map(text, ("Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass")),
        AGE,
        text("VolumeMode", wide=True),
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
