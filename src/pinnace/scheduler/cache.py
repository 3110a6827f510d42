"""What the scheduler believes of nodes and pods: the cluster as told, plus what it has decided itself.

    assumed ──(told that it is bound)──▶ added ──(told that it is gone or done)──▶ removed
       └──(binding failed: forget)──▶ removed

A pod is assumed in the step that decides, so that the next cycle sees its node's resources taken before the API server knows.
Upstream: pkg/scheduler/backend/cache.
"""

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.api.pod_resources import pod_requests, scoring_requests
from pinnace.machinery.meta import key as key_of
from pinnace.scheduler.nodes import Demand, NodeTable, host_ports
from pinnace.scheduler.standing import standing_of


class _Placed(Struct, frozen=True):
    """Where a pod counts, and for how much."""

    node: str
    demand: Demand
    uid: str


class SchedulerCache:
    """The node table, kept in step with pods."""

    def __init__(self) -> None:
        self.nodes = NodeTable()
        self._placed: dict[str, _Placed] = {}

    def set_pod(self, pod: core_v1.Pod) -> None:
        """Count a pod on its node, or count it anew; a finished one takes nothing."""
        key = key_of(pod)
        if not pod.spec.node_name or pod.status.phase in {"Succeeded", "Failed"}:
            self.remove_pod(key)
            return
        placed = _Placed(pod.spec.node_name, demand_of(pod), pod.metadata.uid)
        if self._placed.get(key) != placed:
            self.remove_pod(key)
            self._placed[key] = placed
            self.nodes.add_pod(placed.node, placed.demand)

    def assume(self, pod: core_v1.Pod, node: str) -> None:
        """Count a pod on the node that has been chosen for it."""
        placed = _Placed(node, demand_of(pod), pod.metadata.uid)
        self._placed[key_of(pod)] = placed
        self.nodes.add_pod(node, placed.demand)

    def is_assumed(self, key: str) -> bool:
        """Tell whether a pod counts somewhere already."""
        return key in self._placed

    def remove_pod(self, key: str) -> bool:
        """Count a pod no longer; tell whether it counted."""
        placed = self._placed.pop(key, None)
        if placed is not None:
            self.nodes.remove_pod(placed.node, placed.demand)
        return placed is not None


def demand_of(pod: core_v1.Pod) -> Demand:
    """Return what a pod takes from its node, and what others look at in it."""
    return Demand(pod_requests(pod), scoring_requests(pod), host_ports(pod), standing_of(pod))
