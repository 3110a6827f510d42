"""The spec of a persistent volume, on its own or inline in a volume attachment.

Upstream: pkg/apis/core/validation `ValidatePersistentVolumeSpec`.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation import iscsi
from pinnace.apiserver.registry.core.validation.claims import VOLUME_MODES, access_mode_errors
from pinnace.apiserver.registry.core.validation.paths import no_backsteps
from pinnace.apiserver.registry.core.validation.scheduling import node_selector_errors
from pinnace.apiserver.registry.core.validation.volumes import CHECKED_AS, CHECKS, REFUSED_AS, driver_name_errors
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]

_POLICIES = ("Delete", "Recycle", "Retain")
_NOT_INLINE = "may not be specified in the context of inline volumes"


def volume_spec_errors(spec: v1.PersistentVolumeSpec, path: Path, *, inline: bool) -> Errors:
    """Check a volume's spec."""
    if inline:
        if spec.claim_ref is not None:
            yield forbidden(path.child("claimRef"), _NOT_INLINE)
        if spec.capacity:
            yield forbidden(path.child("capacity"), _NOT_INLINE)
        if spec.csi is None:
            yield required(path.child("csi"), "has to be specified in the context of inline volumes")
    if not spec.access_modes:
        yield required(path.child("accessModes"))
    yield from access_mode_errors(spec.access_modes, path.child("accessModes"))
    if not inline:
        yield from _capacity_errors(spec.capacity, path.child("capacity"))
    yield from _policy_errors(spec, path.child("persistentVolumeReclaimPolicy"), inline=inline)
    yield from _affinity_errors(spec.node_affinity, path.child("nodeAffinity"), inline=inline)
    yield from _source_errors(spec, path)
    if (
        spec.host_path is not None
        and posixpath.normpath(spec.host_path.path or ".") in {"/", "//"}
        and spec.persistent_volume_reclaim_policy == "Recycle"
    ):
        words = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden(path.child("persistentVolumeReclaimPolicy"), words)
    yield from _class_errors(spec, path, inline=inline)


def _capacity_errors(capacity: Mapping[str, str], path: Path) -> Errors:
    if not capacity:
        yield required(path)
    if set(capacity) != {"storage"}:
        yield not_supported(path, dict(capacity) or None, ("storage",))
    for name in sorted(capacity):
        amount = quantity.parse(capacity[name])
        if amount.value() < 0:
            yield invalid(path.key(name), amount.value(), "must be a valid resource quantity")
        if amount.nanos <= 0:
            yield invalid(path.key(name), str(amount), "must be greater than zero")


def _policy_errors(spec: v1.PersistentVolumeSpec, path: Path, *, inline: bool) -> Errors:
    policy = spec.persistent_volume_reclaim_policy
    if not policy:
        return
    if inline:
        if policy != "Retain":
            yield forbidden(path, "may only be Retain in the context of inline volumes")
    elif policy not in _POLICIES:
        yield not_supported(path, policy, _POLICIES)


def _affinity_errors(affinity: v1.VolumeNodeAffinity | None, path: Path, *, inline: bool) -> Errors:
    if affinity is None:
        return
    if inline:
        yield forbidden(path, _NOT_INLINE)
    elif affinity.required is None:
        yield required(path.child("required"), "must specify required node constraints")
    else:
        yield from node_selector_errors(affinity.required, path.child("required"))


def _source_errors(spec: v1.PersistentVolumeSpec, path: Path) -> Errors:
    seen = False
    for attribute, wire, check in _SOURCES:
        source = getattr(spec, attribute)
        if source is None:
            continue
        if seen:
            yield forbidden(path.child(REFUSED_AS.get(wire, wire)), "may not specify more than 1 volume type")
            continue
        seen = True
        yield from check(source, path.child(CHECKED_AS.get(wire, wire)))
        if attribute == "local" and spec.node_affinity is None:
            yield required(Path("metadata", "annotations"), "Local volume requires node affinity")
    if not seen:
        yield required(path, "must specify a volume type")


def _class_errors(spec: v1.PersistentVolumeSpec, path: Path, *, inline: bool) -> Errors:
    name, mode = spec.storage_class_name, spec.volume_mode
    if name and inline:
        yield forbidden(path.child("storageClassName"), _NOT_INLINE)
    elif name:
        yield from (invalid(path.child("storageClassName"), name, words) for words in names.dns_subdomain(name))
    if mode is not None:
        if inline and mode != "Filesystem":
            words = "may not specify volumeMode other than Filesystem in the context of inline volumes"
            yield forbidden(path.child("volumeMode"), words)
        elif not inline and mode not in VOLUME_MODES:
            yield not_supported(path.child("volumeMode"), mode, VOLUME_MODES)
    attributes, at = spec.volume_attributes_class_name, path.child("volumeAttributesClassName")
    if attributes is None:
        return
    if not attributes:
        yield required(at, "an empty string is disallowed")
    else:
        yield from (invalid(at, attributes, words) for words in names.dns_subdomain(attributes))
    if spec.csi is None:
        yield required(path.child("csi"), "has to be specified when using volumeAttributesClassName")


def _secret_errors(secret: v1.SecretReference | None, path: Path) -> Errors:
    if secret is None:
        return
    if not secret.name:
        yield required(path.child("name"))
    if not secret.namespace:
        yield required(path.child("namespace"))


def _csi(source: v1.CSIPersistentVolumeSource, path: Path) -> Errors:
    yield from driver_name_errors(source.driver, path.child("driver"))
    if not source.volume_handle:
        yield required(path.child("volumeHandle"))
    for secret, wire in (
        (source.controller_publish_secret_ref, "controllerPublishSecretRef"),
        (source.controller_expand_secret_ref, "controllerExpandSecretRef"),
        (source.node_publish_secret_ref, "nodePublishSecretRef"),
        (source.node_expand_secret_ref, "nodeExpandSecretRef"),
    ):
        yield from _secret_errors(secret, path.child(wire))


def _local(source: v1.LocalVolumeSource, path: Path) -> Errors:
    if not source.path:
        yield required(path.child("path"))
        return
    yield from no_backsteps(source.path, path.child("path"))


def _glusterfs(source: v1.GlusterfsPersistentVolumeSource, path: Path) -> Errors:
    yield from CHECKS["glusterfs"](source, path)
    namespace, at = source.endpoints_namespace, path.child("endpointsNamespace")
    if namespace is not None and not namespace:
        words = "if the endpointnamespace is set, it must be a valid namespace name"
        yield invalid(at, namespace, words)
    elif namespace is not None:
        yield from (invalid(at, namespace, words) for words in names.dns_label(namespace))


def _azure_file(source: v1.AzureFilePersistentVolumeSource, path: Path) -> Errors:
    yield from CHECKS["azure_file"](source, path)
    if source.secret_namespace is not None and not source.secret_namespace:
        yield required(path.child("secretNamespace"))


def _cinder(source: v1.CinderPersistentVolumeSource, path: Path) -> Errors:
    yield from CHECKS["cinder"](source, path)
    yield from _secret_errors(source.secret_ref, path.child("secretRef"))


def _storageos(source: v1.StorageOSPersistentVolumeSource, path: Path) -> Errors:
    if not source.volume_name:
        yield required(path.child("volumeName"))
    else:
        at = path.child("volumeName")
        yield from (invalid(at, source.volume_name, words) for words in names.dns_label(source.volume_name))
    if source.volume_namespace:
        at = path.child("volumeNamespace")
        yield from (invalid(at, source.volume_namespace, words) for words in names.dns_label(source.volume_namespace))
    yield from _secret_errors(
        None
        if source.secret_ref is None
        else v1.SecretReference(name=source.secret_ref.name, namespace=source.secret_ref.namespace),
        path.child("secretRef"),
    )


# In the order in which upstream looks at them: with several, the first is checked and the others are one too many.
_SOURCES: tuple[tuple[str, str, Callable[[Any, Path], Errors]], ...] = (
    ("host_path", "hostPath", CHECKS["host_path"]),
    ("gce_persistent_disk", "gcePersistentDisk", CHECKS["gce_persistent_disk"]),
    ("aws_elastic_block_store", "awsElasticBlockStore", CHECKS["aws_elastic_block_store"]),
    ("glusterfs", "glusterfs", _glusterfs),
    ("flocker", "flocker", CHECKS["flocker"]),
    ("nfs", "nfs", CHECKS["nfs"]),
    ("rbd", "rbd", CHECKS["rbd"]),
    ("quobyte", "quobyte", CHECKS["quobyte"]),
    ("cephfs", "cephfs", CHECKS["cephfs"]),
    ("iscsi", "iscsi", iscsi.persistent_volume_errors),
    ("cinder", "cinder", _cinder),
    ("fc", "fc", CHECKS["fc"]),
    ("flex_volume", "flexVolume", CHECKS["flex_volume"]),
    ("azure_file", "azureFile", _azure_file),
    ("vsphere_volume", "vsphereVolume", CHECKS["vsphere_volume"]),
    ("photon_persistent_disk", "photonPersistentDisk", CHECKS["photon_persistent_disk"]),
    ("portworx_volume", "portworxVolume", CHECKS["portworx_volume"]),
    ("azure_disk", "azureDisk", CHECKS["azure_disk"]),
    ("scale_io", "scaleIO", CHECKS["scale_io"]),
    ("local", "local", _local),
    ("storageos", "storageos", _storageos),
    ("csi", "csi", _csi),
)
SOURCES: tuple[str, ...] = tuple(attribute for attribute, _, _ in _SOURCES)
