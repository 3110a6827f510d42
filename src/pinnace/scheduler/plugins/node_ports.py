"""NodePorts: two pods of a node cannot have one host port (plugins/nodeports)."""

from collections.abc import Iterable

from pinnace.api import core_v1
from pinnace.scheduler.framework import (
    SKIP,
    SUCCESS,
    ClusterEvent,
    CycleState,
    FilterPlugin,
    PreFilterPlugin,
    Rejection,
    Status,
)
from pinnace.scheduler.nodes import NodeTable, host_ports


class NodePorts(PreFilterPlugin, FilterPlugin):
    """Rejects nodes where a wanted (address, protocol, port) is taken."""

    name = "NodePorts"
    events = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.POD_DELETED})

    def pre_filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Status:  # noqa: ARG002
        wanted = host_ports(pod)
        state.data[self.name] = wanted
        return SUCCESS if wanted else SKIP

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        conflicts = nodes.port_conflicts(state.data[self.name])
        if conflicts.any():
            yield Rejection(conflicts, "node(s) didn't have free ports for the requested pod ports")
