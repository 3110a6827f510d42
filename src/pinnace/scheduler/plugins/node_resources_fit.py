"""NodeResourcesFit: a pod runs where its requests are free; the emptier the node, the better (plugins/noderesources).

Scoring is upstream's default strategy, LeastAllocated over cpu and memory with weight 1 each.
"""

from collections.abc import Iterable

import numpy as np

from pinnace.api import core_v1
from pinnace.api.pod_resources import CPU, MEMORY, PODS, pod_requests, scoring_requests
from pinnace.scheduler.framework import (
    MAX_NODE_SCORE,
    SUCCESS,
    ClusterEvent,
    Code,
    CycleState,
    FilterPlugin,
    Mask,
    PreFilterPlugin,
    Rejection,
    ScorePlugin,
    Scores,
    Status,
)
from pinnace.scheduler.nodes import NodeTable


class NodeResourcesFit(PreFilterPlugin, FilterPlugin, ScorePlugin):
    """Holds a pod to what nodes have left."""

    name = "NodeResourcesFit"
    events = frozenset({
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_ALLOCATABLE_CHANGED,
        ClusterEvent.POD_DELETED,
        ClusterEvent.POD_CHANGED,
    })

    def pre_filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Status:  # noqa: ARG002
        state.data[self.name] = pod_requests(pod)
        return SUCCESS

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        crowded = nodes.requested(PODS) + 1 > nodes.allocatable(PODS)
        if crowded.any():
            yield Rejection(crowded, "Too many pods")
        for resource, wanted in state.data[self.name].items():
            if wanted == 0:
                continue
            allocatable = nodes.allocatable(resource)
            never = wanted > allocatable
            short = (wanted > allocatable - nodes.requested(resource)) & ~never
            if never.any():
                yield Rejection(never, f"Insufficient {resource}", Code.UNSCHEDULABLE_AND_UNRESOLVABLE)
            if short.any():
                yield Rejection(short, f"Insufficient {resource}")

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        wanted = scoring_requests(pod)
        total = np.zeros(nodes.size)
        weights = np.zeros(nodes.size)
        for resource in (CPU, MEMORY):
            allocatable = nodes.allocatable(resource)
            free = allocatable - nodes.scoring(resource) - wanted.get(resource, 0)
            offered = allocatable > 0
            total += np.where(offered & (free > 0), np.floor(free * MAX_NODE_SCORE / np.maximum(allocatable, 1)), 0.0)
            weights += offered
        return np.floor(total / np.maximum(weights, 1))
