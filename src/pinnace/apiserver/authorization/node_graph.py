"""Which objects are tied to a node: through the pods that are bound to it, their claims and their volumes.

    node ◁ pod ◁ secret, config map, service account, resource claim, claim ◁ volume ◁ secret
    node ◁ volume attachment, resource slice

Answered from the caches at each question, so that access begins with the binding and ends with the pod. A mirror pod ties nothing to
its node, since the node itself made it. Upstream: `plugin/pkg/auth/authorizer/node/{graph,graph_populator}.go`, which keeps the edges.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from pinnace.api.core_v1 import Container, EphemeralContainer, PersistentVolume, Pod, Volume
from pinnace.api.resource_v1 import ResourceSlice
from pinnace.api.storage_v1 import VolumeAttachment
from pinnace.machinery.selectors import FieldRequirement, FieldSelector

S = TypeVar("S", bound=Struct)

_MIRROR = "kubernetes.io/config.mirror"
# Pods whose ties are remembered.
_REMEMBERED = 8192

Tie = tuple[str, str]


class Item(Protocol):
    """A pod as the cache holds it."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def object(self) -> Any: ...


class Pods(Protocol):
    """The cache of pods."""

    def current(self, namespace: str = "", fields: FieldSelector = ...) -> Iterable[Item]:
        """Return the pods of a namespace that fields select."""


class Objects(Protocol):
    """Reads other objects of the API server's own store."""

    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None: ...
    async def list(self, cls: type[S], namespace: str = "") -> tuple[S, ...]: ...


class NodeGraph:
    """Answers whether an object is tied to a node; kinds are named by their plurals."""

    def __init__(self, pods: Pods, objects: Objects) -> None:
        self._pods = pods
        self._objects = objects
        self._ties: dict[str, tuple[Item, frozenset[Tie]]] = {}

    async def is_tied(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Tell whether a node has to do with an object."""
        if plural == "pods":
            return any(item.name == name for item in self._on(node, namespace))
        if plural == "persistentvolumes":
            return self._is_volume_tied(node, await self._objects.get(PersistentVolume, name))
        if plural == "volumeattachments":
            attachment = await self._objects.get(VolumeAttachment, name)
            return attachment is not None and attachment.spec.node_name == node
        if plural == "resourceslices":
            piece = await self._objects.get(ResourceSlice, name)
            return piece is not None and piece.spec.node_name == node
        if any((plural, name) in self._ties_of(item) for item in self._on(node, namespace)):
            return True
        return plural == "secrets" and await self._is_volume_secret(node, namespace, name)

    def _on(self, node: str, namespace: str) -> Iterable[Item]:
        selector = FieldSelector((FieldRequirement("spec.nodeName", node),))
        return self._pods.current(namespace, selector)

    def _ties_of(self, item: Item) -> frozenset[Tie]:
        known = self._ties.get(item.key)
        if known is not None and known[0] is item:
            return known[1]
        if len(self._ties) >= _REMEMBERED:
            self._ties.clear()
        ties = frozenset(_of_pod(item.object))
        self._ties[item.key] = (item, ties)
        return ties

    def _is_volume_tied(self, node: str, volume: PersistentVolume | None) -> bool:
        claim = volume.spec.claim_ref if volume is not None else None
        if claim is None:
            return False
        tie = ("persistentvolumeclaims", claim.name)
        return any(tie in self._ties_of(item) for item in self._on(node, claim.namespace))

    async def _is_volume_secret(self, node: str, namespace: str, name: str) -> bool:
        for volume in await self._objects.list(PersistentVolume):
            if (namespace, name) in _volume_secrets(volume) and self._is_volume_tied(node, volume):
                return True
        return False


def _of_pod(pod: Pod) -> Iterator[Tie]:
    """Yield what a pod ties to its node, by kind and name, all in the pod's namespace."""
    if _MIRROR in pod.metadata.annotations:
        return
    spec = pod.spec
    if spec.service_account_name:
        yield "serviceaccounts", spec.service_account_name
    containers: tuple[Container | EphemeralContainer, ...] = (
        *spec.init_containers,
        *spec.containers,
        *spec.ephemeral_containers,
    )
    for container in containers:
        yield from _of_environment(container)
    for volume in spec.volumes:
        yield from _of_volume(pod, volume)
    for reference in spec.image_pull_secrets:
        yield "secrets", reference.name
    yield from _claims(pod)


def _claims(pod: Pod) -> Iterator[Tie]:
    """Yield the pod's resource claims: named in its spec, or made for it and named in its status."""
    made = {status.name: status.resource_claim_name for status in pod.status.resource_claim_statuses}
    for claim in pod.spec.resource_claims:
        name = claim.resource_claim_name or made.get(claim.name)
        if name:
            yield "resourceclaims", name
    extended = pod.status.extended_resource_claim_status
    if extended is not None and extended.resource_claim_name:
        yield "resourceclaims", extended.resource_claim_name


def _of_environment(container: Container | EphemeralContainer) -> Iterator[Tie]:
    for variable in container.env:
        source = variable.value_from
        if source is None:
            continue
        if source.secret_key_ref is not None:
            yield "secrets", source.secret_key_ref.name
        if source.config_map_key_ref is not None:
            yield "configmaps", source.config_map_key_ref.name
    for whole in container.env_from:
        if whole.secret_ref is not None:
            yield "secrets", whole.secret_ref.name
        if whole.config_map_ref is not None:
            yield "configmaps", whole.config_map_ref.name


def _of_volume(pod: Pod, volume: Volume) -> Iterator[Tie]:
    if volume.persistent_volume_claim is not None:
        yield "persistentvolumeclaims", volume.persistent_volume_claim.claim_name
    elif volume.ephemeral is not None:
        yield "persistentvolumeclaims", f"{pod.metadata.name}-{volume.name}"
    for projection in (volume.projected.sources or ()) if volume.projected is not None else ():
        if projection.secret is not None:
            yield "secrets", projection.secret.name
        if projection.config_map is not None:
            yield "configmaps", projection.config_map.name
    if volume.config_map is not None:
        yield "configmaps", volume.config_map.name
    if volume.secret is not None:
        yield "secrets", volume.secret.secret_name
    if volume.azure_file is not None:
        yield "secrets", volume.azure_file.secret_name
    if volume.csi is not None and volume.csi.node_publish_secret_ref is not None:
        yield "secrets", volume.csi.node_publish_secret_ref.name
    for source in (
        volume.cephfs,
        volume.cinder,
        volume.flex_volume,
        volume.iscsi,
        volume.rbd,
        volume.scale_io,
        volume.storageos,
    ):
        if source is not None and source.secret_ref is not None:
            yield "secrets", source.secret_ref.name


def _volume_secrets(volume: PersistentVolume) -> Iterator[Tie]:
    """Yield namespace and name of the secrets that the node's agent needs for a volume; those of controllers are not its business."""
    spec, claim = volume.spec, volume.spec.claim_ref
    here = claim.namespace if claim is not None else ""
    if spec.azure_file is not None:
        yield spec.azure_file.secret_namespace or here, spec.azure_file.secret_name
    for source in (spec.cephfs, spec.cinder, spec.flex_volume, spec.rbd, spec.scale_io, spec.iscsi):
        if source is not None and source.secret_ref is not None:
            yield source.secret_ref.namespace or here, source.secret_ref.name
    if spec.storageos is not None and spec.storageos.secret_ref is not None:
        yield spec.storageos.secret_ref.namespace, spec.storageos.secret_ref.name
    csi = spec.csi
    if csi is not None:
        for reference in (csi.node_publish_secret_ref, csi.node_stage_secret_ref, csi.node_expand_secret_ref):
            if reference is not None:
                yield reference.namespace, reference.name
