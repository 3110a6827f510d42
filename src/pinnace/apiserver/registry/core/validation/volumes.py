"""Volumes of a pod: their names, and that each has one whole source.

Upstream: pkg/apis/core/validation `ValidateVolumes`, `validateVolumeSource`. Errors come in upstream's order: a volume's source
before its name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation import iscsi
from pinnace.apiserver.registry.core.validation.claims import claim_spec_errors
from pinnace.apiserver.registry.core.validation.paths import absolute, local, no_backsteps
from pinnace.apiserver.registry.core.validation.projections import (
    downward_file_errors,
    item_errors,
    mode_errors,
    projected_errors,
)
from pinnace.apiserver.registry.metadata import annotation_errors, label_errors
from pinnace.machinery import names, quantity
from pinnace.machinery.field import (
    FieldError,
    Path,
    duplicate,
    forbidden,
    go_quoted,
    invalid,
    not_supported,
    required,
    too_long,
)

Errors = Iterator[FieldError]

_ONE = "may not specify more than 1 volume type"
DRIVER_NAME_LIMIT_BYTES = 63
_PARTITION = "must be between 1 and 255, inclusive"
_HOST_PORT = "must be a host:port pair or multiple pairs separated by commas"
_TENANT_LIMIT_BYTES = 64
_MANAGED = "Managed"
_DISK_ID = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_BLOB = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
# Names that upstream gives a source by mistake: where its fields are reported, and where that it is one too many.
CHECKED_AS = {"gcePersistentDisk": "persistentDisk"}
REFUSED_AS = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}


def volume_errors(volumes: tuple[v1.Volume, ...], path: Path) -> tuple[list[FieldError], Mapping[str, v1.Volume]]:
    """Return the errors, and the good volumes by name, for the mounts to refer to."""
    found: list[FieldError] = []
    good: dict[str, v1.Volume] = {}
    for index, volume in enumerate(volumes):
        own = list(_source_errors(volume, path.index(index)))
        own += iscsi.volume_name_errors(volume.iscsi, volume.name, path.index(index))
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


def made_claim_errors(volumes: tuple[v1.Volume, ...], pod: str, path: Path) -> Errors:
    """Check what depends on the pod's name: the claims that are made for it, which no other volume may use."""
    made = {f"{pod}-{volume.name}" for volume in volumes if pod and volume.ephemeral is not None}
    for index, volume in enumerate(volumes if made else ()):
        at = path.index(index)
        if volume.ephemeral is not None and volume.name:
            claim = f"{pod}-{volume.name}"
            for text in names.dns_subdomain(claim):
                yield invalid(at.child("name"), volume.name, f"PVC name {go_quoted(claim)}: {text}")
        used = volume.persistent_volume_claim
        if used is not None and used.claim_name in made:
            text = "must not reference a PVC that gets created for an ephemeral volume"
            yield invalid(at.child("persistentVolumeClaim").child("claimName"), used.claim_name, text)


def _source_errors(volume: v1.Volume, path: Path) -> Errors:
    seen = False
    for attribute, wire, check in _SOURCES:
        source = getattr(volume, attribute)
        if source is None:
            continue
        if seen:
            yield forbidden(path.child(REFUSED_AS.get(wire, wire)), _ONE)
            continue
        seen = True
        yield from check(source, path.child(CHECKED_AS.get(wire, wire)))
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


def _secret(source: v1.SecretVolumeSource, path: Path) -> Errors:
    if not source.secret_name:
        yield required(path.child("secretName"))
    yield from mode_errors(source.default_mode, path.child("defaultMode"))
    yield from item_errors(source.items, path)


def _config_map(source: v1.ConfigMapVolumeSource, path: Path) -> Errors:
    if not source.name:
        yield required(path.child("name"))
    yield from mode_errors(source.default_mode, path.child("defaultMode"))
    yield from item_errors(source.items, path)


def _nfs(source: v1.NFSVolumeSource, path: Path) -> Errors:
    if not source.server:
        yield required(path.child("server"))
    if not source.path:
        yield required(path.child("path"))
    yield from absolute(source.path, path.child("path"))


def _rbd(source: v1.RBDVolumeSource, path: Path) -> Errors:
    if not source.monitors:
        yield required(path.child("monitors"))
    if not source.image:
        yield required(path.child("image"))


def _csi(source: v1.CSIVolumeSource, path: Path) -> Errors:
    yield from driver_name_errors(source.driver, path.child("driver"))
    secret = source.node_publish_secret_ref
    if secret is None:
        return
    if not secret.name:
        yield required(path.child("nodePublishSecretRef").child("name"))
    else:
        yield from (invalid(path.child("name"), secret.name, text) for text in names.dns_subdomain(secret.name))


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
    meta = source.volume_claim_template.metadata
    yield from annotation_errors(meta.annotations, template.child("metadata").child("annotations"))
    yield from label_errors(meta.labels, template.child("metadata").child("labels"))
    yield from claim_spec_errors(source.volume_claim_template.spec, template.child("spec"))


def _gce(source: v1.GCEPersistentDiskVolumeSource, path: Path) -> Errors:
    if not source.pd_name:
        yield required(path.child("pdName"))
    if not 0 <= source.partition <= 255:
        yield invalid(path.child("partition"), source.partition, _PARTITION)


def _aws(source: v1.AWSElasticBlockStoreVolumeSource, path: Path) -> Errors:
    if not source.volume_id:
        yield required(path.child("volumeID"))
    if not 0 <= source.partition <= 255:
        yield invalid(path.child("partition"), source.partition, _PARTITION)


def _azure_disk(source: v1.AzureDiskVolumeSource, path: Path) -> Errors:
    if not source.disk_name:
        yield required(path.child("diskName"))
    if not source.disk_uri:
        yield required(path.child("diskURI"))
    modes, kinds = ("None", "ReadOnly", "ReadWrite"), ("Dedicated", _MANAGED, "Shared")
    if source.caching_mode is not None and source.caching_mode not in modes:
        yield not_supported(path.child("cachingMode"), source.caching_mode, modes)
    if source.kind is not None and source.kind not in kinds:
        yield not_supported(path.child("kind"), source.kind, kinds)
    start, form = ("/subscriptions/", _DISK_ID) if source.kind == _MANAGED else ("https://", _BLOB)
    if source.kind is not None and not source.disk_uri.startswith(start):
        yield not_supported(path.child("diskURI"), source.disk_uri, (form,))


def _azure_file(source: v1.AzureFileVolumeSource, path: Path) -> Errors:
    if not source.secret_name:
        yield required(path.child("secretName"))
    if not source.share_name:
        yield required(path.child("shareName"))


def _cinder(source: v1.CinderVolumeSource, path: Path) -> Errors:
    if not source.volume_id:
        yield required(path.child("volumeID"))
    yield from _secret_ref(source.secret_ref, path)


def _secret_ref(secret: v1.LocalObjectReference | v1.SecretReference | None, path: Path) -> Errors:
    if secret is not None and not secret.name:
        yield required(path.child("secretRef").child("name"))


def _storageos(source: v1.StorageOSVolumeSource, path: Path) -> Errors:
    at = path.child("volumeName")
    if not source.volume_name:
        yield required(at)
    else:
        yield from (invalid(at, source.volume_name, text) for text in names.dns_label(source.volume_name))
    if source.volume_namespace:
        at = path.child("volumeNamespace")
        yield from (invalid(at, source.volume_namespace, text) for text in names.dns_label(source.volume_namespace))
    yield from _secret_ref(source.secret_ref, path)


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
        yield required(path.child("registry"), _HOST_PORT)
    elif len(source.tenant.encode()) > _TENANT_LIMIT_BYTES:
        yield required(path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters")
    else:
        for pair in source.registry.split(","):
            if not _is_host_and_port(pair):
                yield invalid(path.child("registry"), source.registry, _HOST_PORT)
    if not source.volume:
        yield required(path.child("volume"))


def _is_host_and_port(pair: str) -> bool:
    """Tell whether Go's net.SplitHostPort takes a text: one colon outside of brackets around the host."""
    if pair.startswith("["):
        host, end, port = pair[1:].partition("]:")
        return bool(end) and not set("[]:") & set(port) and "[" not in host
    return pair.count(":") == 1 and not set("[]") & set(pair)


def _scale_io(source: v1.ScaleIOVolumeSource, path: Path) -> Errors:
    for value, wire in ((source.gateway, "gateway"), (source.system, "system"), (source.volume_name, "volumeName")):
        if not value:
            yield required(path.child(wire))


def _flocker(source: v1.FlockerVolumeSource, path: Path) -> Errors:
    if not source.dataset_name and not source.dataset_uuid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if source.dataset_name and source.dataset_uuid:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in source.dataset_name:
        yield invalid(path.child("datasetName"), source.dataset_name, "must not contain '/'")


def _downward(source: v1.DownwardAPIVolumeSource, path: Path) -> Errors:
    yield from mode_errors(source.default_mode, path.child("defaultMode"))
    for item in source.items:
        yield from downward_file_errors(item, path)


# In the order in which upstream looks at them: with several, the first is checked and the others are one too many.
_SOURCES: tuple[tuple[str, str, Callable[[Any, Path], Errors]], ...] = (
    ("empty_dir", "emptyDir", _empty_dir),
    ("host_path", "hostPath", _host_path),
    ("git_repo", "gitRepo", _git_repo),
    ("gce_persistent_disk", "gcePersistentDisk", _gce),
    ("aws_elastic_block_store", "awsElasticBlockStore", _aws),
    ("secret", "secret", _secret),
    ("nfs", "nfs", _nfs),
    ("iscsi", "iscsi", iscsi.volume_errors),
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
    ("storageos", "storageos", _storageos),
    ("projected", "projected", projected_errors),
    ("scale_io", "scaleIO", _scale_io),
    ("csi", "csi", _csi),
    ("ephemeral", "ephemeral", _ephemeral),
    ("image", "image", _image),
)
# The checks of the sources that persistent volumes have, too, by the field.
CHECKS: Mapping[str, Callable[[Any, Path], Errors]] = {attribute: check for attribute, _, check in _SOURCES}
