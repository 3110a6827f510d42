"""VolumeAttachment (upstream pkg/registry/storage/volumeattachment, pkg/apis/storage/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.storage_v1 import (
    VolumeAttachment,
    VolumeAttachmentSource,
    VolumeAttachmentStatus,
    VolumeError,
)
from pinnace.apiserver.registry.core.validation.persistent_volumes import volume_spec_errors
from pinnace.apiserver.registry.core.validation.volumes import driver_name_errors
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.numbers import MAX_INT32
from pinnace.apiserver.registry.printing import AGE, NAME, age, boolean, text
from pinnace.apiserver.registry.strategy import Column, Part, Strategy, take_only_status
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, required, too_long

Errors = Iterator[FieldError]

# Bytes.
METADATA_LIMIT_BYTES = 256 * 1024
ERROR_LIMIT_BYTES = 1024
_SPEC, _STATUS = Path("spec"), Path("status")
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def validate(obj: VolumeAttachment) -> Sequence[FieldError]:
    """Check spec and status; a new one's driver and volume must have good names, too."""
    found = [*_spec_errors(obj), *_status_errors(obj.status)]
    if not obj.metadata.resource_version:
        found += driver_name_errors(obj.spec.attacher, _SPEC.child("attacher"))
        volume = obj.spec.source.persistent_volume_name
        at = _SPEC.child("source", "persistentVolumeName")
        found += (invalid(at, volume, words) for words in ([] if volume is None else names.dns_subdomain(volume)))
    return found


def _spec_errors(obj: VolumeAttachment) -> Errors:
    spec = obj.spec
    if not spec.attacher:
        yield required(_SPEC.child("attacher"))
    yield from _source_errors(spec.source, _SPEC.child("source"))
    yield from (
        invalid(_SPEC.child("nodeName"), spec.node_name, words) for words in names.dns_subdomain(spec.node_name)
    )


def _source_errors(source: VolumeAttachmentSource, path: Path) -> Errors:
    inline, name = source.inline_volume_spec, source.persistent_volume_name
    if inline is None and name is None:
        yield required(path, _ONE_SOURCE)
    elif inline is not None and name is not None:
        yield forbidden(path, _ONE_SOURCE)
    elif name == "":
        yield required(path.child("persistentVolumeName"), "must specify non empty persistentVolumeName")
    elif inline is not None:
        yield from volume_spec_errors(inline, path.child("inlineVolumeSpec"), inline=True)


def _status_errors(status: VolumeAttachmentStatus) -> Errors:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in status.attachment_metadata.items())
    if size > METADATA_LIMIT_BYTES:
        yield too_long(_STATUS.child("attachmentMetadata"), "", METADATA_LIMIT_BYTES)
    yield from _error_errors(status.attach_error, _STATUS.child("attachError"))
    yield from _error_errors(status.detach_error, _STATUS.child("detachError"))


def _error_errors(error: VolumeError | None, path: Path) -> Errors:
    if error is None:
        return
    if len(error.message.encode()) > ERROR_LIMIT_BYTES:
        # Upstream names the other limit.
        yield too_long(path.child("message"), "", METADATA_LIMIT_BYTES)
    if error.error_code is not None and error.error_code < 0:
        yield invalid(path.child("errorCode"), error.error_code, f"must be between 0 and {MAX_INT32}, inclusive")


def validate_update(new: VolumeAttachment, old: VolumeAttachment) -> Sequence[FieldError]:
    """Hold the spec."""
    return tuple(unchanged(new.spec, old.spec, _SPEC))


def validate_status(new: VolumeAttachment, old: VolumeAttachment) -> Sequence[FieldError]:
    """Check the whole."""
    return (*validate(new), *validate_update(new, old))


def cells(obj: VolumeAttachment, now: float) -> Sequence[Any]:
    """Return the row."""
    return (
        obj.metadata.name,
        obj.spec.attacher,
        obj.spec.source.persistent_volume_name or "",
        obj.spec.node_name,
        obj.status.attached,
        age(obj, now),
    )


STRATEGY: Strategy[VolumeAttachment] = Strategy(
    validate=validate,
    validate_update=validate_update,
    allow_unconditional_update=False,
    delete_returns_object=True,
    columns=(
        NAME,
        Column("Attacher", format="name", description="The driver that attaches."),
        text("PV", "The volume."),
        text("Node", "The node it goes to."),
        boolean("Attached", "Whether it is attached."),
        AGE,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
