"""TaintToleration: hard taints reject, soft ones cost points (plugins/tainttoleration)."""

from collections.abc import Iterable

import numpy as np

from pinnace.api import core_v1
from pinnace.scheduler.framework import (
    ClusterEvent,
    Code,
    CycleState,
    FilterPlugin,
    Mask,
    Rejection,
    ScorePlugin,
    Scores,
    normalise,
)
from pinnace.scheduler.nodes import NodeTable
from pinnace.scheduler.tolerations import tolerates


class TaintToleration(FilterPlugin, ScorePlugin):
    """Holds a pod to the taints it does not tolerate."""

    name = "TaintToleration"
    events = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_TAINTS_CHANGED, ClusterEvent.POD_CHANGED})

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        refused = untolerated_nodes(pod, nodes)
        if refused.any():
            yield Rejection(refused, "node(s) had untolerated taint(s)", Code.UNSCHEDULABLE_AND_UNRESOLVABLE)

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        soft = [item for item in pod.spec.tolerations if item.effect in {"", "PreferNoSchedule"}]
        count = np.zeros(nodes.size)
        for taint, rows in nodes.taints():
            if taint.effect == "PreferNoSchedule" and not tolerates(soft, taint):
                count += rows
        return normalise(count, feasible, reverse=True)


def untolerated_nodes(pod: core_v1.Pod, nodes: NodeTable) -> Mask:
    """Return the rows with a taint that keeps a pod off, and that it does not tolerate."""
    refused = np.zeros(nodes.size, dtype=np.bool_)
    for taint, rows in nodes.taints():
        if taint.effect != "PreferNoSchedule" and not tolerates(pod.spec.tolerations, taint):
            refused |= rows
    return refused
