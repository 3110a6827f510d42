"""Disks reached by iSCSI, in pods and as persistent volumes: the same rules, in words that differ.

Upstream: pkg/apis/core/validation `validateISCSIVolumeSource`, `validateISCSIPersistentVolumeSource`.
"""

import re
from collections.abc import Iterator

from pinnace.api import core_v1 as v1
from pinnace.machinery.field import FieldError, Path, invalid, required

Errors = Iterator[FieldError]

_FORMATS = {
    "iqn": re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.([0-9A-Za-z.-]+)(:[^,;*&$|\s]+)\Z"),
    "eui": re.compile(r"\Aeui.[0-9A-Za-z]{16}\Z"),
    "naa": re.compile(r"\Anaa.[0-9A-Za-z]{32}\Z"),
}
_WRONG = "must be valid format"
_WRONG_START = f"{_WRONG} starting with iqn, eui, or naa"
# Of `<volume>:<portal>`, which becomes the name of an interface.
_INTERFACE_LIMIT_BYTES = 64
_TOO_LONG = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."

_Source = v1.ISCSIVolumeSource | v1.ISCSIPersistentVolumeSource


def volume_errors(source: v1.ISCSIVolumeSource, path: Path) -> Errors:
    """Check a disk of a pod."""
    if not source.target_portal:
        yield required(path.child("targetPortal"))
    yield from _disk_errors(source, path, _WRONG_START)
    yield from _initiator_errors(source, path, _WRONG_START)


def volume_name_errors(source: v1.ISCSIVolumeSource | None, volume: str, path: Path) -> Errors:
    """Check that a pod's disk with an initiator of its own has a short enough name."""
    if source is not None and source.initiator_name is not None and _is_long(volume, source):
        yield invalid(path.child("name"), volume, _TOO_LONG)


def persistent_volume_errors(source: v1.ISCSIPersistentVolumeSource, path: Path) -> Errors:
    """Check a disk that is a persistent volume."""
    if not source.target_portal:
        yield required(path.child("targetPortal"))
    yield from _disk_errors(source, path, _WRONG)
    if source.secret_ref is not None and not source.secret_ref.name:
        yield required(path.child("secretRef").child("name"))
    yield from _initiator_errors(source, path, _WRONG)


def _is_long(volume: str, source: _Source) -> bool:
    return len(f"{volume}:{source.target_portal}".encode()) > _INTERFACE_LIMIT_BYTES


def _disk_errors(source: _Source, path: Path, wrong_start: str) -> Errors:
    if not source.iqn:
        yield required(path.child("iqn"))
    else:
        yield from _name_errors(source.iqn, path.child("iqn"), wrong_start)
    if not 0 <= source.lun <= 255:
        yield invalid(path.child("lun"), source.lun, "must be between 0 and 255, inclusive")
    if (source.chap_auth_discovery or source.chap_auth_session) and source.secret_ref is None:
        yield required(path.child("secretRef"))


def _initiator_errors(source: _Source, path: Path, wrong_start: str) -> Errors:
    if source.initiator_name is not None:
        yield from _name_errors(source.initiator_name, path.child("initiatorname"), wrong_start)


def _name_errors(name: str, path: Path, wrong_start: str) -> Errors:
    known = _FORMATS.get(name[:3])
    if known is None:
        yield invalid(path, name, wrong_start)
    elif known.search(name) is None:
        yield invalid(path, name, _WRONG)
