"""Node authorization: a node reads the secrets, config maps, claims and accounts of the pods that run on it, and no others.

Put it before the authorizer that holds the nodes' role: what it denies stays denied, on everything else it has no opinion. The
relation is read from the pods at each request, so that access ends with the pod. Upstream: `plugin/pkg/auth/authorizer/node`
(which keeps a graph; at the sizes here a namespace's pods are walked in less time than a graph's upkeep takes).
"""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from msgspec import Struct

from pinnace.api.core_v1 import Container, EphemeralContainer, Pod, Volume
from pinnace.apiserver.authorization.interface import NO_OPINION, Attributes, Authorizer, Decision, Verdict

S = TypeVar("S", bound=Struct)

_GROUP = "system:nodes"
_USER_PREFIX = "system:node:"
_READ = frozenset({"get", "list", "watch"})
_KINDS = frozenset({"secrets", "configmaps", "persistentvolumeclaims"})


class Objects(Protocol):
    """Lists objects of the API server's own store."""

    async def list(self, cls: type[S], namespace: str = "") -> tuple[S, ...]:
        """Return all objects of a type in a namespace."""


class NodeAuthorizer(Authorizer):
    """Denies nodes what their pods do not use."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def authorize(self, attributes: Attributes) -> Verdict:
        user = attributes.user
        if _GROUP not in user.groups or not user.name.startswith(_USER_PREFIX):
            return NO_OPINION
        if not attributes.is_resource or attributes.group or not _is_guarded(attributes):
            return NO_OPINION
        node = user.name.removeprefix(_USER_PREFIX)
        if not attributes.name or not attributes.namespace:
            return Verdict(Decision.DENIED, "can only read namespaced object of this type")
        for pod in await self._objects.list(Pod, attributes.namespace):
            if pod.spec.node_name == node and attributes.name in _used(pod, attributes.resource):
                return NO_OPINION
        return Verdict(Decision.DENIED, f"no relationship found between node '{node}' and this object")


def _is_guarded(attributes: Attributes) -> bool:
    if attributes.resource == "serviceaccounts":
        return attributes.subresource in {"", "token"}
    return attributes.resource in _KINDS and (attributes.verb in _READ or bool(attributes.subresource))


def _used(pod: Pod, resource: str) -> frozenset[str]:
    """Return the names of a kind's objects that a pod uses."""
    spec = pod.spec
    if resource == "serviceaccounts":
        return frozenset({spec.service_account_name})
    if resource == "persistentvolumeclaims":
        return frozenset(_claims(pod))
    containers: tuple[Container | EphemeralContainer, ...] = (
        *spec.init_containers,
        *spec.containers,
        *spec.ephemeral_containers,
    )
    names = {name for container in containers for name in _of_environment(container, resource)}
    names |= {name for volume in spec.volumes for name in _of_volume(volume, resource)}
    if resource == "secrets":
        names |= {reference.name for reference in spec.image_pull_secrets}
    return frozenset(names)


def _claims(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}"


def _of_environment(container: Container | EphemeralContainer, resource: str) -> Iterator[str]:
    for variable in container.env:
        source = variable.value_from
        if source is None:
            continue
        if resource == "secrets" and source.secret_key_ref is not None:
            yield source.secret_key_ref.name
        if resource == "configmaps" and source.config_map_key_ref is not None:
            yield source.config_map_key_ref.name
    for whole in container.env_from:
        if resource == "secrets" and whole.secret_ref is not None:
            yield whole.secret_ref.name
        if resource == "configmaps" and whole.config_map_ref is not None:
            yield whole.config_map_ref.name


def _of_volume(volume: Volume, resource: str) -> Iterator[str]:
    for projection in (volume.projected.sources or ()) if volume.projected is not None else ():
        if resource == "secrets" and projection.secret is not None:
            yield projection.secret.name
        if resource == "configmaps" and projection.config_map is not None:
            yield projection.config_map.name
    if resource == "configmaps":
        if volume.config_map is not None:
            yield volume.config_map.name
        return
    if volume.secret is not None:
        yield volume.secret.secret_name
    if volume.azure_file is not None:
        yield volume.azure_file.secret_name
    if volume.csi is not None and volume.csi.node_publish_secret_ref is not None:
        yield volume.csi.node_publish_secret_ref.name
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
            yield source.secret_ref.name
