"""Volumes of a pod: their names, and that each has one whole source.

Upstream: pkg/apis/core/validation `ValidateVolumes`, `validateVolumeSource`. Errors come in upstream's order: a volume's source
before its name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation.claims import claim_spec_errors
from pinnace.apiserver.registry.core.validation.env import field_ref_errors, resource_field_ref_errors
from pinnace.apiserver.registry.core.validation.paths import absolute, local, no_backsteps
from pinnace.machinery import names, quantity
from pinnace.machinery.field import (
    FieldError,
    Path,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)

Errors = Iterator[FieldError]

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_TOKEN_MIN_SECONDS, _TOKEN_MAX_SECONDS = 600, 1 << 32
_ONE = "may not specify more than 1 volume type"
DRIVER_NAME_LIMIT_BYTES = 63


def volume_errors(volumes: tuple[v1.Volume, ...], path: Path) -> tuple[list[FieldError], Mapping[str, v1.Volume]]:
    """Return the errors, and the good volumes by name, for the mounts to refer to."""
    found: list[FieldError] = []
    good: dict[str, v1.Volume] = {}
    for index, volume in enumerate(volumes):
        own = list(_source_errors(volume, path.index(index)))
        name = path.index(index).child("name")
        if not volume.name:
            own.append(required(name))
        else:
            own += (invalid(name, volume.name, text) for text in names.dns_label(volume.name))
        if volume.name in good:
            own.append(duplicate(name, volume.name))
        if not own:
            good[volume.name] = volume
        found += own
    return found, good


def _source_errors(volume: v1.Volume, path: Path) -> Errors:
    seen = False
    for attribute, wire, check in _SOURCES:
        source = getattr(volume, attribute)
        if source is None:
            continue
        if seen:
            yield forbidden(path.child(wire), _ONE)
            continue
        seen = True
        yield from check(source, path.child(wire))
    if not seen:
        yield required(path, "must specify a volume type")


def _empty_dir(source: v1.EmptyDirVolumeSource, path: Path) -> Errors:
    if source.size_limit is not None and quantity.parse(source.size_limit).nanos < 0:
        yield forbidden(path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity")


def _host_path(source: v1.HostPathVolumeSource, path: Path) -> Errors:
    if not source.path:
        yield required(path.child("path"))
        return
    yield from no_backsteps(source.path, path.child("path"))
    kinds = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
    if source.type is not None and source.type not in kinds:
        yield not_supported(path.child("type"), source.type, kinds)


def _git_repo(source: v1.GitRepoVolumeSource, path: Path) -> Errors:
    if not source.repository:
        yield required(path.child("repository"))
    yield from local(source.directory, path.child("directory"))


def _mode(mode: int | None, path: Path) -> Errors:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, _MODE)


def _items(items: tuple[v1.KeyToPath, ...], path: Path) -> Errors:
    for index, item in enumerate(items):
        at = path.child("items").index(index)
        if not item.key:
            yield required(at.child("key"))
        if not item.path:
            yield required(at.child("path"))
        yield from local(item.path, at.child("path"))
        yield from _mode(item.mode, at.child("mode"))


def _secret(source: v1.SecretVolumeSource, path: Path) -> Errors:
    if not source.secret_name:
        yield required(path.child("secretName"))
    yield from _mode(source.default_mode, path.child("defaultMode"))
    yield from _items(source.items, path)


def _config_map(source: v1.ConfigMapVolumeSource, path: Path) -> Errors:
    if not source.name:
        yield required(path.child("name"))
    yield from _mode(source.default_mode, path.child("defaultMode"))
    yield from _items(source.items, path)


def _nfs(source: v1.NFSVolumeSource, path: Path) -> Errors:
    if not source.server:
        yield required(path.child("server"))
    if not source.path:
        yield required(path.child("path"))
    yield from absolute(source.path, path.child("path"))


def _iscsi(source: v1.ISCSIVolumeSource, path: Path) -> Errors:
    if not source.target_portal:
        yield required(path.child("targetPortal"))
    if not source.iqn:
        yield required(path.child("iqn"))
    elif not source.iqn.startswith(("iqn", "eui", "naa")):
        yield invalid(path.child("iqn"), source.iqn, "must be valid format starting with iqn, eui, or naa")
    if not 0 <= source.lun <= 255:
        yield invalid(path.child("lun"), source.lun, "must be between 0 and 255, inclusive")
    if (source.chap_auth_discovery or source.chap_auth_session) and source.secret_ref is None:
        yield required(path.child("secretRef"))


def _rbd(source: v1.RBDVolumeSource, path: Path) -> Errors:
    if not source.monitors:
        yield required(path.child("monitors"))
    if not source.image:
        yield required(path.child("image"))


def _csi(source: v1.CSIVolumeSource, path: Path) -> Errors:
    yield from driver_name_errors(source.driver, path.child("driver"))


def driver_name_errors(driver: str, path: Path) -> Errors:
    """Check the name of a CSI driver, whose case does not matter."""
    if not driver:
        yield required(path)
        return
    if len(driver.encode()) > DRIVER_NAME_LIMIT_BYTES:
        yield too_long(path, driver, DRIVER_NAME_LIMIT_BYTES)
    yield from (invalid(path, driver, text) for text in names.dns_subdomain(driver.lower()))


def _fc(source: v1.FCVolumeSource, path: Path) -> Errors:
    if not source.target_wwns and not source.wwids:
        yield required(path.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both")
    if source.target_wwns and source.wwids:
        yield invalid(
            path.child("targetWWNs"), source.target_wwns, "targetWWNs and wwids can not be specified simultaneously"
        )
    if source.target_wwns:
        if source.lun is None:
            yield required(path.child("lun"), "lun is required if targetWWNs is specified")
        elif not 0 <= source.lun <= 255:
            yield invalid(path.child("lun"), source.lun, "must be between 0 and 255, inclusive")


def _cephfs(source: v1.CephFSVolumeSource, path: Path) -> Errors:
    if not source.monitors:
        yield required(path.child("monitors"))


def _claim(source: v1.PersistentVolumeClaimVolumeSource, path: Path) -> Errors:
    if not source.claim_name:
        yield required(path.child("claimName"))


def _image(source: v1.ImageVolumeSource, path: Path) -> Errors:
    if not source.reference:
        yield required(path.child("reference"))
    policies = ("Always", "IfNotPresent", "Never")
    if source.pull_policy and source.pull_policy not in policies:
        yield not_supported(path.child("pullPolicy"), source.pull_policy, policies)


def _flex(source: v1.FlexVolumeSource, path: Path) -> Errors:
    if not source.driver:
        yield required(path.child("driver"))
    for key in source.options:
        host = key.partition("/")[0].lower()
        if host.endswith((".kubernetes.io", ".k8s.io")) or host in {"kubernetes.io", "k8s.io"}:
            yield invalid(path.child("options").key(key), key, "kubernetes.io and k8s.io namespaces are reserved")


def _glusterfs(source: v1.GlusterfsVolumeSource, path: Path) -> Errors:
    if not source.endpoints:
        yield required(path.child("endpoints"))
    if not source.path:
        yield required(path.child("path"))


def _ephemeral(source: v1.EphemeralVolumeSource, path: Path) -> Errors:
    template = path.child("volumeClaimTemplate")
    if source.volume_claim_template is None:
        yield required(template)
        return
    yield from claim_spec_errors(source.volume_claim_template.spec, template.child("spec"))


def _gce(source: v1.GCEPersistentDiskVolumeSource, path: Path) -> Errors:
    if not source.pd_name:
        yield required(path.child("pdName"))
    if not 0 <= source.partition <= 255:
        yield invalid(path.child("partition"), source.partition, "must be between 0 and 255, inclusive")


def _aws(source: v1.AWSElasticBlockStoreVolumeSource, path: Path) -> Errors:
    if not source.volume_id:
        yield required(path.child("volumeID"))
    if not 0 <= source.partition <= 255:
        yield invalid(path.child("partition"), source.partition, "must be between 0 and 255, inclusive")


def _azure_disk(source: v1.AzureDiskVolumeSource, path: Path) -> Errors:
    if not source.disk_name:
        yield required(path.child("diskName"))
    if not source.disk_uri:
        yield required(path.child("diskURI"))
    modes, kinds = ("None", "ReadOnly", "ReadWrite"), ("Dedicated", "Managed", "Shared")
    if source.caching_mode is not None and source.caching_mode not in modes:
        yield not_supported(path.child("cachingMode"), source.caching_mode, modes)
    if source.kind is not None and source.kind not in kinds:
        yield not_supported(path.child("kind"), source.kind, kinds)


def _azure_file(source: v1.AzureFileVolumeSource, path: Path) -> Errors:
    if not source.secret_name:
        yield required(path.child("secretName"))
    if not source.share_name:
        yield required(path.child("shareName"))


def _cinder(source: v1.CinderVolumeSource, path: Path) -> Errors:
    if not source.volume_id:
        yield required(path.child("volumeID"))


def _vsphere(source: v1.VsphereVirtualDiskVolumeSource, path: Path) -> Errors:
    if not source.volume_path:
        yield required(path.child("volumePath"))


def _photon(source: v1.PhotonPersistentDiskVolumeSource, path: Path) -> Errors:
    if not source.pd_id:
        yield required(path.child("pdID"))


def _portworx(source: v1.PortworxVolumeSource, path: Path) -> Errors:
    if not source.volume_id:
        yield required(path.child("volumeID"))


def _quobyte(source: v1.QuobyteVolumeSource, path: Path) -> Errors:
    if not source.registry:
        yield required(path.child("registry"), "must be a host:port pair or multiple pairs separated by commas")
    if not source.volume:
        yield required(path.child("volume"))


def _scale_io(source: v1.ScaleIOVolumeSource, path: Path) -> Errors:
    for value, wire in ((source.gateway, "gateway"), (source.system, "system"), (source.volume_name, "volumeName")):
        if not value:
            yield required(path.child(wire))


def _flocker(source: v1.FlockerVolumeSource, path: Path) -> Errors:
    if not source.dataset_name and not source.dataset_uuid:
        yield required(path, "one of datasetName and datasetUUID is required")


def _nothing(source: Any, path: Path) -> Errors:  # noqa: ARG001
    yield from ()


def _downward(source: v1.DownwardAPIVolumeSource, path: Path) -> Errors:
    yield from _mode(source.default_mode, path.child("defaultMode"))
    for item in source.items:
        yield from _downward_file(item, path)


def _downward_file(item: v1.DownwardAPIVolumeFile, path: Path) -> Errors:
    if not item.path:
        yield required(path.child("path"))
    yield from local(item.path, path.child("path"))
    if item.field_ref is not None:
        yield from field_ref_errors(item.field_ref, path.child("fieldRef"), DOWNWARD_FIELDS)
        if item.resource_field_ref is not None:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif item.resource_field_ref is not None:
        yield from resource_field_ref_errors(item.resource_field_ref, path.child("resourceFieldRef"), in_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(item.mode, path.child("mode"))


def _projected(source: v1.ProjectedVolumeSource, path: Path) -> Errors:
    yield from _mode(source.default_mode, path.child("defaultMode"))
    taken: set[str] = set()
    for index, projection in enumerate(source.sources or ()):
        yield from _projection(projection, path.child("sources").index(index), taken)


def _projection(projection: v1.VolumeProjection, path: Path, taken: set[str]) -> Errors:
    count = 0
    for source, wire, name in (
        (projection.secret, "secret", "secret"),
        (projection.config_map, "configMap", "configMap"),
    ):
        if source is None:
            continue
        count += 1
        if count > 1:
            yield forbidden(path.child(wire), _ONE)
            continue
        if not source.name:
            yield required(path.child(wire).child("name"))
        yield from _items(source.items, path.child(wire))
        yield from _collisions([item.path for item in source.items], path, source.name, name, taken)
    if projection.downward_api is not None:
        count += 1
        at = path.child("downwardAPI")
        if count > 1:
            yield forbidden(at, _ONE)
        else:
            for item in projection.downward_api.items:
                yield from _downward_file(item, at.child("mode"))
            yield from _collisions([one.path for one in projection.downward_api.items], path, "", "downwardAPI", taken)
    if projection.service_account_token is not None:
        count += 1
        at = path.child("serviceAccountToken")
        if count > 1:
            yield forbidden(at, _ONE)
        else:
            yield from _token(projection.service_account_token, at)
            yield from _collisions([projection.service_account_token.path], path, "", "serviceAccountToken", taken)


def _token(source: v1.ServiceAccountTokenProjection, path: Path) -> Errors:
    if source.expiration_seconds is not None and source.expiration_seconds < _TOKEN_MIN_SECONDS:
        yield invalid(
            path.child("expirationSeconds"),
            source.expiration_seconds,
            "may not specify a duration less than 10 minutes",
        )
    if source.expiration_seconds is not None and source.expiration_seconds > _TOKEN_MAX_SECONDS:
        yield invalid(
            path.child("expirationSeconds"),
            source.expiration_seconds,
            "may not specify a duration larger than 2^32 seconds",
        )
    if not source.path:
        yield required(path.child("path"))
    else:
        yield from local(source.path, path.child("path"))


def _collisions(paths: list[str], path: Path, name: str, what: str, taken: set[str]) -> Errors:
    for one in paths:
        if one in taken:
            yield invalid(path, name, f"conflicting duplicate paths within a volume: {one} of {what}")
        taken.add(one)


# In the order in which upstream looks at them: with several, the first is checked and the others are one too many.
_SOURCES: tuple[tuple[str, str, Callable[[Any, Path], Errors]], ...] = (
    ("empty_dir", "emptyDir", _empty_dir),
    ("host_path", "hostPath", _host_path),
    ("git_repo", "gitRepo", _git_repo),
    ("gce_persistent_disk", "gcePersistentDisk", _gce),
    ("aws_elastic_block_store", "awsElasticBlockStore", _aws),
    ("secret", "secret", _secret),
    ("nfs", "nfs", _nfs),
    ("iscsi", "iscsi", _iscsi),
    ("glusterfs", "glusterfs", _glusterfs),
    ("flocker", "flocker", _flocker),
    ("persistent_volume_claim", "persistentVolumeClaim", _claim),
    ("rbd", "rbd", _rbd),
    ("cinder", "cinder", _cinder),
    ("cephfs", "cephfs", _cephfs),
    ("quobyte", "quobyte", _quobyte),
    ("downward_api", "downwardAPI", _downward),
    ("fc", "fc", _fc),
    ("flex_volume", "flexVolume", _flex),
    ("config_map", "configMap", _config_map),
    ("azure_file", "azureFile", _azure_file),
    ("vsphere_volume", "vsphereVolume", _vsphere),
    ("photon_persistent_disk", "photonPersistentDisk", _photon),
    ("portworx_volume", "portworxVolume", _portworx),
    ("azure_disk", "azureDisk", _azure_disk),
    ("storageos", "storageos", _nothing),
    ("projected", "projected", _projected),
    ("scale_io", "scaleIO", _scale_io),
    ("csi", "csi", _csi),
    ("ephemeral", "ephemeral", _ephemeral),
    ("image", "image", _image),
)
# The checks of the sources that persistent volumes have, too, by the field.
CHECKS: Mapping[str, Callable[[Any, Path], Errors]] = {attribute: check for attribute, _, check in _SOURCES}
