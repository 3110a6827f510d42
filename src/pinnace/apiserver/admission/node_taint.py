"""TaintNodesByCondition: no pod is placed on a new node before its controller has seen it ready.

Upstream: `plugin/pkg/admission/nodetaint`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Node, Taint
from pinnace.apiserver.admission.default_toleration_seconds import NOT_READY
from pinnace.apiserver.admission.interface import CREATE, Attributes, Plugin, Target


class TaintNodesByCondition(Plugin):
    """Taints a node that is created."""

    name = "TaintNodesByCondition"

    def handles(self, target: Target) -> bool:
        return target.is_on("", "nodes") and target.operation == CREATE

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        node: Node = obj
        if any(taint.key == NOT_READY and taint.effect == "NoSchedule" for taint in node.spec.taints):
            return node
        taints = (*node.spec.taints, Taint(key=NOT_READY, effect="NoSchedule"))
        return replace(node, spec=replace(node.spec, taints=taints))
