"""NodeUnschedulable: cordoned nodes take no pod that does not tolerate being there (plugins/nodeunschedulable)."""

from collections.abc import Iterable

from pinnace.api import core_v1
from pinnace.scheduler.framework import ClusterEvent, Code, CycleState, FilterPlugin, Rejection
from pinnace.scheduler.nodes import NodeTable, Taint
from pinnace.scheduler.tolerations import tolerates

CORDONED = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable(FilterPlugin):
    """Rejects nodes with spec.unschedulable."""

    name = "NodeUnschedulable"
    events = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_TAINTS_CHANGED, ClusterEvent.POD_CHANGED})

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        if not tolerates(pod.spec.tolerations, CORDONED):
            yield Rejection(nodes.unschedulable, "node(s) were unschedulable", Code.UNSCHEDULABLE_AND_UNRESOLVABLE)
