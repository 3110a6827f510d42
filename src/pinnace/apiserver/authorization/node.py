"""Node authorization: a node reaches its own objects and those of its pods, and no other's.

It allows what it knows to be a node's business and has no opinion on the rest, so that roles may still grant a node more. What it cannot
see (the name of an object that is being created) the NodeRestriction admission plug-in checks. Upstream:
`plugin/pkg/auth/authorizer/node/node_authorizer.go`.
"""

from collections.abc import Awaitable, Callable, Mapping

from pinnace.apiserver.authorization.interface import ALLOWED, NO_OPINION, Attributes, Authorizer, Decision, Verdict
from pinnace.apiserver.authorization.node_graph import NodeGraph
from pinnace.apiserver.authorization.policy.cluster_roles import NODE_RULES
from pinnace.apiserver.authorization.rules import allowed_by_any
from pinnace.component.http import UserInfo

LEASE_NAMESPACE = "kube-node-lease"
_GROUP = "system:nodes"
_USER_PREFIX = "system:node:"
_READ = frozenset({"get", "list", "watch"})
_OWN = frozenset({"get", "create", "update", "patch", "delete"})


def node_of(user: UserInfo) -> str | None:
    """Return the node that a user is, None for a user that is none; a node without a name is empty."""
    if _GROUP not in user.groups or not user.name.startswith(_USER_PREFIX):
        return None
    return user.name.removeprefix(_USER_PREFIX)


class NodeAuthorizer(Authorizer):
    """Allows nodes what is theirs."""

    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self._by_resource: Mapping[tuple[str, str], Callable[[str, Attributes], Awaitable[Verdict]]] = {
            ("", "secrets"): self._read,
            ("", "configmaps"): self._read,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get,
            ("", "serviceaccounts"): self._account,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
            ("resource.k8s.io", "resourceclaims"): self._get,
            ("resource.k8s.io", "resourceslices"): self._slice,
            ("storage.k8s.io", "volumeattachments"): self._get,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("coordination.k8s.io", "leases"): self._lease,
        }

    async def authorize(self, attributes: Attributes) -> Verdict:
        node = node_of(attributes.user)
        if node is None:
            return NO_OPINION
        if not node:
            return _unsure(f'unknown node for user "{attributes.user.name}"')
        if attributes.is_resource:
            own = self._by_resource.get((attributes.group, attributes.resource))
            if own is not None:
                return await own(node, attributes)
        return ALLOWED if allowed_by_any(NODE_RULES, attributes) else NO_OPINION

    async def _tied(self, node: str, wanted: Attributes) -> Verdict:
        if not wanted.name:
            return _unsure("No Object name found")
        if await self._graph.is_tied(node, wanted.resource, wanted.namespace, wanted.name):
            return ALLOWED
        return _unsure(f"no relationship found between node '{node}' and this object")

    async def _read(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.verb not in _READ:
            return _unsure("can only read resources of this type")
        if wanted.subresource:
            return _unsure("cannot read subresource")
        if not wanted.namespace:
            return _unsure("can only read namespaced object of this type")
        return await self._tied(node, wanted)

    async def _get(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.verb != "get":
            return _unsure("can only get individual resources of this type")
        if wanted.subresource:
            return _unsure("cannot get subresource")
        return await self._tied(node, wanted)

    async def _claim(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.subresource != "status":
            return await self._get(node, wanted)
        if wanted.verb not in {"update", "patch"}:
            return _unsure("can only get/update/patch this type")
        return await self._tied(node, wanted)

    async def _account(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.verb == "get" and not wanted.subresource:
            return await self._tied(node, wanted)
        if wanted.verb != "create" or not wanted.name:
            return _unsure("can only create tokens for individual service accounts")
        if wanted.subresource != "token":
            return _unsure("can only create token subresource of serviceaccount")
        return await self._tied(node, wanted)

    async def _node(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.subresource:
            is_status = wanted.subresource == "status" and wanted.verb in {"update", "patch"}
            return ALLOWED if is_status else NO_OPINION
        if wanted.verb in {"create", "update", "patch"}:
            return ALLOWED
        if wanted.verb not in _READ:
            return NO_OPINION
        # By name alone, so that a node can look for itself before it is there.
        if wanted.name == node:
            return ALLOWED
        if not wanted.name:
            return _unsure(f"node '{node}' cannot read all nodes, only its own Node object")
        return _unsure(f"node '{node}' cannot read '{wanted.name}', only its own Node object")

    async def _pod(self, node: str, wanted: Attributes) -> Verdict:
        verb = wanted.verb
        if wanted.subresource:
            allowed = {"status": {"update", "patch"}, "eviction": {"create"}}.get(wanted.subresource, set())
            return ALLOWED if verb in allowed else NO_OPINION
        if verb == "get":
            return await self._get(node, wanted)
        if verb in {"list", "watch"}:
            if wanted.fields.exact("spec.nodeName") == node:
                return ALLOWED
            if wanted.name:
                return await self._tied(node, wanted)
            return _unsure("can only list/watch pods with spec.nodeName field selector")
        # Mirror pods, as admission sees to.
        return ALLOWED if verb in {"create", "delete"} else NO_OPINION

    async def _slice(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.subresource:
            return _unsure("cannot authorize ResourceSlice subresources")
        if wanted.verb == "create":
            return ALLOWED
        if wanted.verb in _OWN:
            return await self._tied(node, wanted)
        if wanted.verb not in {"watch", "list", "deletecollection"}:
            return _unsure(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, "
                "deletecollection"
            )
        if wanted.fields.exact("spec.nodeName") == node:
            return ALLOWED
        return _unsure("can only list/watch/deletecollection resourceslices with nodeName field selector")

    async def _csi_node(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.verb not in _OWN:
            return _unsure("can only get, create, update, patch, or delete a CSINode")
        if wanted.subresource:
            return _unsure("cannot authorize CSINode subresources")
        if wanted.verb != "create" and wanted.name != node:
            return _unsure("can only access CSINode with the same name as the requesting node")
        return ALLOWED

    async def _lease(self, node: str, wanted: Attributes) -> Verdict:
        if wanted.verb not in _OWN:
            return _unsure("can only get, create, update, patch, or delete a node lease")
        if wanted.namespace != LEASE_NAMESPACE:
            return _unsure(f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
        if wanted.verb != "create" and wanted.name != node:
            return _unsure("can only access node lease with the same name as the requesting node")
        return ALLOWED


def _unsure(reason: str) -> Verdict:
    return Verdict(Decision.NO_OPINION, reason)
