"""Authorization: who may do what."""

from pinnace.apiserver.authorization.interface import (
    ALLOWED,
    NO_OPINION,
    Attributes,
    Authorizer,
    Decision,
    Verdict,
    attributes_of,
    check,
    refusal,
    require,
)
from pinnace.apiserver.authorization.node import NodeAuthorizer, node_of
from pinnace.apiserver.authorization.node_graph import NodeGraph
from pinnace.apiserver.authorization.rbac import RbacAuthorizer
from pinnace.apiserver.authorization.roles import Roles
from pinnace.apiserver.authorization.union import MASTERS, Authorizers, MastersAuthorizer

__all__ = [
    "ALLOWED",
    "MASTERS",
    "NO_OPINION",
    "Attributes",
    "Authorizer",
    "Authorizers",
    "Decision",
    "MastersAuthorizer",
    "NodeAuthorizer",
    "NodeGraph",
    "RbacAuthorizer",
    "Roles",
    "Verdict",
    "attributes_of",
    "check",
    "node_of",
    "refusal",
    "require",
]
