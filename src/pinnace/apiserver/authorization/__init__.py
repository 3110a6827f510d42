"""Authorization: who may do what."""

from pinnace.apiserver.authorization.bootstrap import MASTERS, Authorizers, BootstrapAuthorizer
from pinnace.apiserver.authorization.interface import (
    ALLOWED,
    NO_OPINION,
    Attributes,
    Authorizer,
    Decision,
    Verdict,
    check,
    refusal,
    require,
)
from pinnace.apiserver.authorization.node import NodeAuthorizer

__all__ = [
    "ALLOWED",
    "MASTERS",
    "NO_OPINION",
    "Attributes",
    "Authorizer",
    "Authorizers",
    "BootstrapAuthorizer",
    "Decision",
    "NodeAuthorizer",
    "Verdict",
    "check",
    "refusal",
    "require",
]
