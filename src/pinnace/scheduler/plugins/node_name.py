"""NodeName: a pod that names its node runs there or nowhere (plugins/nodename)."""

from collections.abc import Iterable

import numpy as np

from pinnace.api import core_v1
from pinnace.scheduler.framework import ClusterEvent, Code, CycleState, FilterPlugin, Rejection
from pinnace.scheduler.nodes import NodeTable


class NodeName(FilterPlugin):
    """Rejects every node but the named one."""

    name = "NodeName"
    events = frozenset({ClusterEvent.NODE_ADDED})

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        if pod.spec.node_name:
            refused = np.ones(nodes.size, dtype=np.bool_)
            if (row := nodes.row(pod.spec.node_name)) is not None:
                refused[row] = False
            yield Rejection(
                refused, "node(s) didn't match the requested node name", Code.UNSCHEDULABLE_AND_UNRESOLVABLE
            )
