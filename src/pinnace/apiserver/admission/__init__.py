"""Admission: checks and completes writes before the kind's own validation."""

from collections.abc import Sequence

from pinnace.apiserver.admission.interface import (
    CONNECT,
    CREATE,
    DELETE,
    UPDATE,
    Admission,
    AdmissionChain,
    Attributes,
    Objects,
    Plugin,
)
from pinnace.apiserver.admission.limit_ranger import LimitRanger
from pinnace.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from pinnace.apiserver.admission.node_restriction import NodeRestriction
from pinnace.apiserver.admission.pods import DefaultTolerationSeconds, Priority, TaintNodesByCondition
from pinnace.apiserver.admission.service_account import ServiceAccountAdmission
from pinnace.component.identity import Identity

__all__ = [
    "CONNECT",
    "CREATE",
    "DELETE",
    "UPDATE",
    "Admission",
    "AdmissionChain",
    "Attributes",
    "Objects",
    "Plugin",
    "default_plugins",
]


def default_plugins(objects: Objects, identity: Identity) -> Sequence[Plugin]:
    """Return the plug-ins that are on, in upstream's order."""
    return (
        NamespaceLifecycle(objects),
        LimitRanger(objects),
        ServiceAccountAdmission(objects, identity),
        NodeRestriction(objects),
        TaintNodesByCondition(),
        Priority(objects),
        DefaultTolerationSeconds(),
    )
