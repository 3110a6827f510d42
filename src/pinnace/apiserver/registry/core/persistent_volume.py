"""PersistentVolume (upstream pkg/registry/core/persistentvolume).

The finalizer that protects a volume in use belongs to the controller that takes it off again, and is not put on here.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import PersistentVolume, PersistentVolumeStatus
from pinnace.apiserver.registry.core.persistent_volume_claim import short_modes
from pinnace.apiserver.registry.core.validation.claims import VOLUME_MODES, access_mode_errors, storage_errors
from pinnace.apiserver.registry.defaulting import changed, filled
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, text
from pinnace.apiserver.registry.strategy import Context, Strategy
from pinnace.machinery import names, timestamps
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

_SPEC = Path("spec")
_POLICIES = ("Delete", "Recycle", "Retain")
_SOURCES = (
    ("host_path", "hostPath"),
    ("gce_persistent_disk", "gcePersistentDisk"),
    ("aws_elastic_block_store", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("nfs", "nfs"),
    ("rbd", "rbd"),
    ("quobyte", "quobyte"),
    ("cephfs", "cephfs"),
    ("iscsi", "iscsi"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flex_volume", "flexVolume"),
    ("azure_file", "azureFile"),
    ("vsphere_volume", "vsphereVolume"),
    ("photon_persistent_disk", "photonPersistentDisk"),
    ("portworx_volume", "portworxVolume"),
    ("azure_disk", "azureDisk"),
    ("scale_io", "scaleIO"),
    ("local", "local"),
    ("storageos", "storageos"),
    ("csi", "csi"),
)


def default(obj: PersistentVolume) -> PersistentVolume:
    """Fill in reclaim policy and volume mode."""
    spec = filled(obj.spec, persistent_volume_reclaim_policy="Retain", volume_mode="Filesystem")
    if spec.host_path is not None and spec.host_path.type is None:
        spec = replace(spec, host_path=replace(spec.host_path, type=""))
    return changed(obj, spec=spec)


def prepare_create(ctx: Context, obj: PersistentVolume) -> PersistentVolume:
    """Begin in the phase Pending."""
    status = PersistentVolumeStatus(phase="Pending", last_phase_transition_time=timestamps.format(ctx.now))
    return replace(obj, status=status)


def validate(obj: PersistentVolume) -> Sequence[FieldError]:
    """Check capacity, modes, policy and that there is one source."""
    spec = obj.spec
    found: list[FieldError] = []
    if not spec.access_modes:
        found.append(required(_SPEC.child("accessModes")))
    found += access_mode_errors(spec.access_modes, _SPEC.child("accessModes"))
    capacity = _SPEC.child("capacity")
    if not spec.capacity:
        found.append(required(capacity))
    if set(spec.capacity) != {"storage"}:
        found.append(not_supported(capacity, dict(spec.capacity) or None, ("storage",)))
    else:
        found += storage_errors(spec.capacity["storage"], capacity.key("storage"))
    policy = spec.persistent_volume_reclaim_policy
    if policy not in _POLICIES:
        found.append(not_supported(_SPEC.child("persistentVolumeReclaimPolicy"), policy, _POLICIES))
    given = [wire for attribute, wire in _SOURCES if getattr(spec, attribute) is not None]
    found += [forbidden(_SPEC.child(wire), "may not specify more than 1 volume type") for wire in given[1:]]
    if not given:
        found.append(required(_SPEC, "must specify a volume type"))
    if spec.storage_class_name:
        at = _SPEC.child("storageClassName")
        found += [invalid(at, spec.storage_class_name, words) for words in names.dns_subdomain(spec.storage_class_name)]
    if spec.volume_mode is not None and spec.volume_mode not in VOLUME_MODES:
        found.append(not_supported(_SPEC.child("volumeMode"), spec.volume_mode, VOLUME_MODES))
    return found


def validate_update(new: PersistentVolume, old: PersistentVolume) -> Sequence[FieldError]:
    """Hold the source and the volume mode."""
    found = []
    if any(getattr(new.spec, attribute) != getattr(old.spec, attribute) for attribute, _ in _SOURCES):
        found.append(
            forbidden(_SPEC.child("persistentvolumesource"), "spec.persistentvolumesource is immutable after creation")
        )
    if new.spec.volume_mode != old.spec.volume_mode:
        found.append(invalid(Path("volumeMode"), new.spec.volume_mode, "field is immutable"))
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
)
