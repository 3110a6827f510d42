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

__all__ = [
    "ALLOWED",
    "MASTERS",
    "NO_OPINION",
    "Attributes",
    "Authorizer",
    "Authorizers",
    "BootstrapAuthorizer",
    "Decision",
    "Verdict",
    "check",
    "refusal",
    "require",
]
