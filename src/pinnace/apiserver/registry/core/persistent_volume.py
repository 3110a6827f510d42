"""PersistentVolume (upstream pkg/registry/core/persistentvolume).

The finalizer that protects a volume in use belongs to the controller that takes it off again, and is not put on here.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus
from pinnace.apiserver.registry.core import volume_defaults
from pinnace.apiserver.registry.core.label_warnings import term_warnings
from pinnace.apiserver.registry.core.persistent_volume_claim import short_modes
from pinnace.apiserver.registry.core.validation.persistent_volumes import SOURCES, volume_spec_errors
from pinnace.apiserver.registry.defaulting import changed, filled, maybe
from pinnace.apiserver.registry.go_struct import go_difference
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, text
from pinnace.apiserver.registry.strategy import Context, Part, Strategy, take_only_status
from pinnace.machinery import timestamps
from pinnace.machinery.field import FieldError, Path, forbidden, required

_SPEC = Path("spec")
_FROZEN = "spec.persistentvolumesource is immutable after creation"
_DEPRECATED = (
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photon_persistent_disk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scale_io", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
)
_ANNOTATIONS = (
    (
        "volume.beta.kubernetes.io/storage-class",
        'deprecated since v1.8; use "storageClassName" attribute instead',
    ),
    (
        "volume.beta.kubernetes.io/mount-options",
        'deprecated since v1.31; use "mountOptions" attribute instead',
    ),
)
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."


def default(obj: PersistentVolume) -> PersistentVolume:
    """Fill in reclaim policy and volume mode, and what some sources leave out."""
    spec = filled(obj.spec, persistent_volume_reclaim_policy="Retain", volume_mode="Filesystem")
    host = spec.host_path
    if host is not None and host.type is None:
        host = replace(host, type="")
    spec = changed(
        spec,
        host_path=host,
        rbd=maybe(spec.rbd, lambda one: filled(one, **volume_defaults.RBD)),
        iscsi=maybe(spec.iscsi, lambda one: filled(one, iscsi_interface="default")),
        azure_disk=maybe(
            spec.azure_disk,
            lambda one: filled(one, caching_mode="ReadWrite", kind="Shared", fs_type="ext4", read_only=False),
        ),
        scale_io=maybe(spec.scale_io, lambda one: filled(one, storage_mode="ThinProvisioned", fs_type="xfs")),
    )
    return changed(obj, spec=spec)


def prepare_create(ctx: Context, obj: PersistentVolume) -> PersistentVolume:
    """Begin in the phase Pending."""
    status = PersistentVolumeStatus(phase="Pending", last_phase_transition_time=timestamps.format(ctx.now))
    return replace(obj, status=status)


def prepare_status(ctx: Context, new: PersistentVolume, old: PersistentVolume) -> PersistentVolume:
    """Take the status, and note when the phase changed unless the client says it."""
    new = take_only_status(ctx, new, old)
    after, before = new.status, old.status
    if after.phase == before.phase or (
        after.last_phase_transition_time is not None
        and after.last_phase_transition_time != before.last_phase_transition_time
    ):
        return new
    return replace(new, status=replace(after, last_phase_transition_time=timestamps.format(ctx.now)))


def validate(obj: PersistentVolume) -> Sequence[FieldError]:
    """Check the spec."""
    return tuple(volume_spec_errors(obj.spec, _SPEC, inline=False))


def validate_update(new: PersistentVolume, old: PersistentVolume) -> Sequence[FieldError]:
    """Hold the source and the volume mode, and where the volume can be used once that is said."""
    found = []
    if any(getattr(new.spec, name) != getattr(old.spec, name) for name in SOURCES):
        difference = go_difference(_only_source(old.spec), _only_source(new.spec))
        found.append(forbidden(_SPEC.child("persistentvolumesource"), f"{_FROZEN}\n{difference}"))
    found += unchanged(new.spec.volume_mode, old.spec.volume_mode, Path("volumeMode"))
    if old.spec.node_affinity is not None:
        found += unchanged(new.spec.node_affinity, old.spec.node_affinity, Path("nodeAffinity"))
    if old.spec.volume_attributes_class_name is not None and new.spec.volume_attributes_class_name is None:
        words = "update from non-nil value to nil is forbidden"
        found.append(forbidden(_SPEC.child("volumeAttributesClassName"), words))
    return found


def _only_source(spec: PersistentVolumeSpec) -> PersistentVolumeSpec:
    return PersistentVolumeSpec(**{name: getattr(spec, name) for name in SOURCES})


def validate_status(new: PersistentVolume, old: PersistentVolume) -> Sequence[FieldError]:  # noqa: ARG001
    """Want the version that was read."""
    return () if new.metadata.resource_version else (required(Path("resourceVersion")),)


def warnings(new: PersistentVolume, old: PersistentVolume | None) -> Sequence[str]:
    """Warn of what is deprecated; on updates only when the spec changes."""
    if old is not None and old.spec == new.spec:
        return ()
    spec = new.spec
    found: list[str] = []
    if spec.node_affinity is not None and spec.node_affinity.required is not None:
        terms = _SPEC.child("nodeAffinity", "required", "nodeSelectorTerms")
        for index, term in enumerate(spec.node_affinity.required.node_selector_terms):
            found += term_warnings(term, terms.index(index))
    at = Path("metadata", "annotations")
    found += [f"{at.key(key)}: {text}" for key, text in _ANNOTATIONS if key in new.metadata.annotations]
    if spec.persistent_volume_reclaim_policy == "Recycle":
        found.append(f"{_SPEC.child('persistentVolumeReclaimPolicy')}: {_RECYCLE}")
    found += [f"{_SPEC.child(wire)}: {text}" for name, wire, text in _DEPRECATED if getattr(spec, name) is not None]
    return found


def cells(obj: PersistentVolume, now: float) -> Sequence[Any]:
    """Return the row."""
    spec = obj.spec
    claim = f"{spec.claim_ref.namespace}/{spec.claim_ref.name}" if spec.claim_ref is not None else ""
    return (
        obj.metadata.name,
        spec.capacity.get("storage", "0"),
        short_modes(spec.access_modes),
        spec.persistent_volume_reclaim_policy,
        "Terminating" if obj.metadata.deletion_timestamp is not None else obj.status.phase,
        claim,
        spec.storage_class_name,
        spec.volume_attributes_class_name or UNSET,
        obj.status.reason,
        age(obj, now),
        spec.volume_mode or UNSET,
    )


STRATEGY: Strategy[PersistentVolume] = Strategy(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    delete_returns_object=True,
    columns=(
        NAME,
        *map(text, ("Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass")),
        text("VolumeAttributesClass"),
        text("Reason"),
        AGE,
        text("VolumeMode", wide=True),
    ),
    cells=cells,
    parts={"status": Part(prepare_update=prepare_status, validate_update=validate_status)},
)
