"""Admission: checks and completes writes before the kind's own validation."""

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
    Target,
)
from pinnace.apiserver.admission.plugins import default_plugins

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
    "Target",
    "default_plugins",
]
