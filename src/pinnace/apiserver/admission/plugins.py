"""The plug-ins of an API server, in upstream's order.

Upstream: `pkg/kubeapiserver/options/plugins.go`.
"""

from collections.abc import Iterable, Sequence

from pinnace.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from pinnace.apiserver.admission.interface import Objects, Plugin
from pinnace.apiserver.admission.limit_ranger import LimitRanger
from pinnace.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from pinnace.apiserver.admission.node_restriction import NodeRestriction
from pinnace.apiserver.admission.node_taint import TaintNodesByCondition
from pinnace.apiserver.admission.priority import Priority
from pinnace.apiserver.admission.service_account import ServiceAccountAdmission
from pinnace.component.identity import Identity


def default_plugins(objects: Objects, identity: Identity, further: Iterable[Plugin] = ()) -> Sequence[Plugin]:
    """Return the plug-ins that are on; `further` ones run where upstream has its webhooks."""
    return (
        NamespaceLifecycle(objects),
        LimitRanger(objects),
        ServiceAccountAdmission(objects, identity),
        NodeRestriction(objects),
        TaintNodesByCondition(),
        Priority(objects),
        DefaultTolerationSeconds(),
        *further,
    )
