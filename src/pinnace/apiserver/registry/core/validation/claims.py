"""The spec of a persistent volume claim, on its own or as a template in a pod.

Upstream: pkg/apis/core/validation `ValidatePersistentVolumeClaimSpec`.
"""

from collections.abc import Iterator

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation.resources import name_errors
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def access_mode_errors(modes: tuple[str, ...], path: Path) -> Errors:
    """Check how a volume may be mounted."""
    found = set()
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield not_supported(path, mode, ACCESS_MODES)
        found.add(mode)
    if "ReadWriteOncePod" in found and len(found) > 1:
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")


def storage_errors(text: str, path: Path) -> Errors:
    """Check an amount of storage."""
    if quantity.parse(text).nanos <= 0:
        yield invalid(path, text, "must be greater than zero")


def claim_spec_errors(spec: v1.PersistentVolumeClaimSpec, path: Path) -> Errors:
    """Check a claim's spec."""
    if not spec.access_modes:
        yield required(path.child("accessModes"), "at least 1 access mode is required")
    yield from selector_errors(spec.selector, path.child("selector"))
    yield from access_mode_errors(spec.access_modes, path.child("accessModes"))
    storage = spec.resources.requests.get("storage")
    at = path.child("resources").key("storage")
    if storage is None:
        yield required(at)
    else:
        for name in sorted(spec.resources.requests):
            yield from name_errors(name, path.child("resources").child("requests").key(name))
        yield from storage_errors(storage, at)
    if spec.storage_class_name:
        name = spec.storage_class_name
        yield from (invalid(path.child("storageClassName"), name, text) for text in names.dns_subdomain(name))
    if spec.volume_mode is not None and spec.volume_mode not in VOLUME_MODES:
        yield not_supported(path.child("volumeMode"), spec.volume_mode, VOLUME_MODES)
    yield from _source_errors(spec, path)
    if spec.volume_attributes_class_name:
        name = spec.volume_attributes_class_name
        yield from (invalid(path.child("volumeAttributesClassName"), name, text) for text in names.dns_subdomain(name))


def _source_errors(spec: v1.PersistentVolumeClaimSpec, path: Path) -> Errors:
    for source, wire in ((spec.data_source, "dataSource"), (spec.data_source_ref, "dataSourceRef")):
        if source is None:
            continue
        at = path.child(wire)
        if not source.name:
            yield required(at.child("name"))
        if not source.kind:
            yield required(at.child("kind"))
        group = source.api_group or ""
        if not group and source.kind != "PersistentVolumeClaim":
            yield invalid(at, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
        if group:
            yield from (invalid(at.child("apiGroup"), group, text) for text in names.dns_subdomain(group))
    if (
        spec.data_source is not None
        and spec.data_source_ref is not None
        and (
            spec.data_source.kind != spec.data_source_ref.kind
            or spec.data_source.name != spec.data_source_ref.name
            or (spec.data_source.api_group or "") != (spec.data_source_ref.api_group or "")
        )
    ):
        yield invalid(path, {}, "must match dataSourceRef")
