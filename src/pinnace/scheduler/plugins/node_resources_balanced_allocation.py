"""NodeResourcesBalancedAllocation: prefers nodes whose cpu and memory fill up evenly (plugins/noderesources).

Score = 50 + (50 + s(with the pod) - s(without)) / 2, where s = (1 - deviation of the used fractions) * 100, by real requests.
"""

import numpy as np

from pinnace.api import core_v1
from pinnace.api.pod_resources import CPU, MEMORY, pod_requests
from pinnace.scheduler.framework import (
    MAX_NODE_SCORE,
    SKIP,
    SUCCESS,
    CycleState,
    Mask,
    PreScorePlugin,
    ScorePlugin,
    Scores,
    Status,
)
from pinnace.scheduler.nodes import NodeTable


class NodeResourcesBalancedAllocation(PreScorePlugin, ScorePlugin):
    """Ranks nodes by how evenly they would be used."""

    name = "NodeResourcesBalancedAllocation"
    events = frozenset()

    def pre_score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Status:  # noqa: ARG002
        requests = pod_requests(pod)
        state.data[self.name] = requests
        # A pod that asks for neither would move no fraction, and pods of best effort would pile up on one node.
        return SUCCESS if requests.get(CPU) or requests.get(MEMORY) else SKIP

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        requests = state.data[self.name]
        with_pod = _evenness(nodes, requests.get(CPU, 0), requests.get(MEMORY, 0))
        without = _evenness(nodes, 0, 0)
        half = MAX_NODE_SCORE / 2
        return np.floor(half + np.trunc((half + with_pod - without) / 2))


def _evenness(nodes: NodeTable, cpu_millis: int, memory_bytes: int) -> Scores:
    """Return (1 - |difference of the two fractions| / 2) * 100; nodes that lack one of the two count as even."""
    fractions = []
    offered = np.ones(nodes.size, dtype=np.bool_)
    for resource, wanted in ((CPU, cpu_millis), (MEMORY, memory_bytes)):
        allocatable = nodes.allocatable(resource)
        offered &= allocatable > 0
        fractions.append(np.minimum((nodes.requested(resource) + wanted) / np.maximum(allocatable, 1), 1.0))
    deviation = np.where(offered, np.abs(fractions[0] - fractions[1]) / 2, 0.0)
    return np.floor((1.0 - deviation) * MAX_NODE_SCORE)
