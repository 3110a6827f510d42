"""The authorization of an API server, over its own caches: masters, then Node, then RBAC."""

from pinnace.api import resources
from pinnace.api.core_v1 import Pod
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from pinnace.apiserver.authorization.interface import Authorizer
from pinnace.apiserver.authorization.node import NodeAuthorizer
from pinnace.apiserver.authorization.node_graph import NodeGraph
from pinnace.apiserver.authorization.rbac import RbacAuthorizer
from pinnace.apiserver.authorization.roles import Roles
from pinnace.apiserver.authorization.union import Authorizers, MastersAuthorizer
from pinnace.apiserver.registries import Registries


def roles_of(registries: Registries) -> Roles:
    """Return the roles and bindings of a server's own store."""
    kinds = (Role, RoleBinding, ClusterRole, ClusterRoleBinding)
    return Roles(*(registries.of(resources.by_type(kind)).storage for kind in kinds))


def authorizer_of(registries: Registries, roles: Roles) -> Authorizer:
    """Return who decides in upstream's order."""
    graph = NodeGraph(registries.of(resources.by_type(Pod)).storage, registries.objects)
    return Authorizers(MastersAuthorizer(), NodeAuthorizer(graph), RbacAuthorizer(roles))
