"""NodeRestriction: a node's identity writes its own Node, its own pods and its own lease, and nothing of other nodes.

Upstream: `plugin/pkg/admission/noderestriction`.
"""

from typing import Any

from pinnace.api.core_v1 import Node, Pod
from pinnace.apiserver.admission.interface import CREATE, DELETE, UPDATE, Attributes, Objects, Plugin
from pinnace.apiserver.admission.service_account import MIRROR_ANNOTATION

_USER_PREFIX = "system:node:"
_GROUP = "system:nodes"
_LEASE_NAMESPACE = "kube-node-lease"
_RESTRICTED_LABEL_DOMAIN = "node-restriction.kubernetes.io"


class NodeRestriction(Plugin):
    """Keeps nodes to their own objects."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        node = _node_of(attributes)
        if node is None:
            return obj
        if not node:
            raise attributes.refuse(f"could not determine node from user {attributes.user.name!r}".replace("'", '"'))
        match attributes.resource:
            case "pods":
                await self._check_pod(attributes, obj, node)
            case "nodes":
                _check_node(attributes, obj, old, node)
            case "leases":
                _check_lease(attributes, obj, node)
            case "serviceaccounts" if attributes.subresource == "token":
                await self._check_token(attributes, obj, node)
            case "csinodes" if (attributes.name or obj.metadata.name) != node:
                raise attributes.refuse(f"node {node!r} can only access CSINode with the same name".replace("'", '"'))
        return obj

    async def _check_pod(self, attributes: Attributes, obj: Any, node: str) -> None:
        if not attributes.subresource and attributes.operation == CREATE:
            _check_mirror(attributes, obj, node)
            return
        if attributes.subresource not in {"", "status", "eviction"}:
            raise attributes.refuse(f"unexpected pod subresource {attributes.subresource!r}".replace("'", '"'))
        name = attributes.name or obj.metadata.name
        pod = await self._objects.get(Pod, name, attributes.namespace)
        if pod is not None and pod.spec.node_name != node:
            doing = {UPDATE: "update status for", DELETE: "delete"}.get(attributes.operation, "evict")
            raise attributes.refuse(f'node "{node}" can only {doing} pods with spec.nodeName set to itself')

    async def _check_token(self, attributes: Attributes, request: Any, node: str) -> None:
        reference = request.spec.bound_object_ref
        if reference is None:
            raise attributes.refuse(f'node "{node}" can only request tokens bound to a pod')
        if reference.api_version != "v1" or reference.kind != "Pod" or not reference.name:
            raise attributes.refuse("node requested token not bound to a pod")
        if not reference.uid:
            raise attributes.refuse("node requested token with a pod binding without a uid")
        pod = await self._objects.get(Pod, reference.name, attributes.namespace)
        if pod is None or pod.spec.node_name != node or pod.metadata.uid != reference.uid:
            raise attributes.refuse("node requested token bound to a pod scheduled on a different node")


def _node_of(attributes: Attributes) -> str | None:
    """Return the node whose identity writes, empty when it has no name, None when it is no node's."""
    if _GROUP not in attributes.user.groups:
        return None
    name = attributes.user.name
    return name.removeprefix(_USER_PREFIX) if name.startswith(_USER_PREFIX) else ""


def _check_mirror(attributes: Attributes, pod: Pod, node: str) -> None:
    name = pod.metadata.name
    if MIRROR_ANNOTATION not in pod.metadata.annotations:
        raise attributes.refuse(
            f'pod does not have "{MIRROR_ANNOTATION}" annotation, node "{node}" can only create mirror pods', name=name
        )
    if pod.spec.node_name != node:
        raise attributes.refuse(f'node "{node}" can only create pods with spec.nodeName set to itself', name=name)
    if pod.spec.service_account_name:
        raise attributes.refuse(f'node "{node}" can not create pods that reference a service account', name=name)
    if any(volume.secret is not None for volume in pod.spec.volumes):
        raise attributes.refuse(f'node "{node}" can not create pods that reference secrets', name=name)
    if any(volume.config_map is not None for volume in pod.spec.volumes):
        raise attributes.refuse(f'node "{node}" can not create pods that reference configmaps', name=name)
    owners = pod.metadata.owner_references
    if len(owners) > 1 or any(owner.kind != "Node" or owner.name != node for owner in owners):
        raise attributes.refuse(f'node "{node}" can only create pods with an owner reference set to itself', name=name)


def _check_node(attributes: Attributes, obj: Node | None, old: Node | None, node: str) -> None:
    name = attributes.name or (obj.metadata.name if obj is not None else "")
    if name != node:
        raise attributes.refuse(f'node "{node}" is not allowed to modify node "{name}"', name=name)
    if attributes.operation == CREATE and obj is not None:
        _check_labels(attributes, obj, None, node)
    elif attributes.operation == UPDATE and obj is not None and old is not None:
        if obj.spec.taints != old.spec.taints:
            raise attributes.refuse(f'node "{node}" is not allowed to modify taints')
        if obj.metadata.owner_references != old.metadata.owner_references:
            raise attributes.refuse(f'node "{node}" is not allowed to modify ownerReferences')
        _check_labels(attributes, obj, old, node)


def _check_labels(attributes: Attributes, obj: Node, old: Node | None, node: str) -> None:
    before = old.metadata.labels if old is not None else {}
    now = obj.metadata.labels
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key) and _is_restricted(key))
    if changed:
        doing = "modify" if old is not None else "set"
        raise attributes.refuse(f"is not allowed to {doing} the following labels: {', '.join(changed)}", name=node)


def _is_restricted(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    return domain == _RESTRICTED_LABEL_DOMAIN or domain.endswith("." + _RESTRICTED_LABEL_DOMAIN)


def _check_lease(attributes: Attributes, obj: Any, node: str) -> None:
    if attributes.namespace != _LEASE_NAMESPACE:
        raise attributes.refuse(f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace')
    if (attributes.name or obj.metadata.name) != node:
        raise attributes.refuse("can only access node lease with the same name as the requesting node")
