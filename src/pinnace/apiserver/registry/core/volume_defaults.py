"""Defaults of volumes, wherever they stand (upstream pkg/apis/core/v1 `defaults.go`)."""

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    EphemeralVolumeSource,
    ImageVolumeSource,
    PersistentVolumeClaimSpec,
    ProjectedVolumeSource,
    Volume,
    VolumeProjection,
)
from pinnace.apiserver.registry.core.image_reference import default_pull_policy
from pinnace.apiserver.registry.defaulting import changed, each, filled, maybe

# 0644, in decimal as on the wire.
FILE_MODE = 420
# Seconds that a projected token lives.
TOKEN_SECONDS = 3600
RBD = {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}
_SOURCES = tuple(name for name in Volume.__struct_fields__ if name != "name")


def volume(item: Volume) -> Volume:
    """Return a volume with defaults; one without a source is an emptyDir."""
    if all(getattr(item, name) is None for name in _SOURCES):
        return replace(item, empty_dir=EmptyDirVolumeSource())
    return changed(
        item,
        secret=maybe(item.secret, lambda one: filled(one, default_mode=FILE_MODE)),
        config_map=maybe(item.config_map, lambda one: filled(one, default_mode=FILE_MODE)),
        downward_api=maybe(item.downward_api, _downward),
        projected=maybe(item.projected, _projected),
        host_path=maybe(item.host_path, lambda one: one if one.type is not None else replace(one, type="")),
        iscsi=maybe(item.iscsi, lambda one: filled(one, iscsi_interface="default")),
        rbd=maybe(item.rbd, lambda one: filled(one, **RBD)),
        azure_disk=maybe(
            item.azure_disk,
            lambda one: filled(one, caching_mode="ReadWrite", kind="Shared", fs_type="ext4", read_only=False),
        ),
        scale_io=maybe(item.scale_io, lambda one: filled(one, storage_mode="ThinProvisioned", fs_type="xfs")),
        ephemeral=maybe(item.ephemeral, _ephemeral),
        image=maybe(item.image, _image),
    )


def claim_spec(spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaimSpec:
    """Return a claim's spec with defaults."""
    return filled(spec, volume_mode="Filesystem")


def field_file(item: DownwardAPIVolumeFile) -> DownwardAPIVolumeFile:
    """Return a file of the downward API with defaults."""
    return changed(item, field_ref=maybe(item.field_ref, lambda one: filled(one, api_version="v1")))


def _downward(source: DownwardAPIVolumeSource) -> DownwardAPIVolumeSource:
    return filled(changed(source, items=each(source.items, field_file)), default_mode=FILE_MODE)


def _projected(source: ProjectedVolumeSource) -> ProjectedVolumeSource:
    sources = None if source.sources is None else each(source.sources, _projection)
    return filled(changed(source, sources=sources), default_mode=FILE_MODE)


def _projection(item: VolumeProjection) -> VolumeProjection:
    def downward(one: DownwardAPIProjection) -> DownwardAPIProjection:
        return changed(one, items=each(one.items, field_file))

    return changed(
        item,
        downward_api=maybe(item.downward_api, downward),
        service_account_token=maybe(
            item.service_account_token, lambda one: filled(one, expiration_seconds=TOKEN_SECONDS)
        ),
    )


def _ephemeral(source: EphemeralVolumeSource) -> EphemeralVolumeSource:
    template = source.volume_claim_template
    if template is None:
        return source
    return changed(source, volume_claim_template=changed(template, spec=claim_spec(template.spec)))


def _image(source: ImageVolumeSource) -> ImageVolumeSource:
    return filled(source, pull_policy=default_pull_policy(source.reference))
