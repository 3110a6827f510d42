"""One pod's cycle: PreFilter, Filter, Score, and the text that says why nothing fits (pkg/scheduler/schedule_one.go).

Pure: it reads the node table and answers; assuming, binding and telling are the scheduler's.
"""

import random
from collections import Counter

import numpy as np
from msgspec import Struct

from pinnace.api import core_v1
from pinnace.scheduler.framework import ClusterEvent, Code, CycleState, Mask, Plugin, PreFilterPlugin
from pinnace.scheduler.nodes import NodeTable
from pinnace.scheduler.registry import Profile

# The text that upstream's DynamicResources adds for a pod without claims, and preemption's opening.
_NO_CLAIMS = "no new claims to deallocate"


class Placement(Struct, frozen=True):
    """The node that was chosen."""

    node: str


class Unschedulable(Struct, frozen=True):
    """Why there is none, and what may change that."""

    message: str
    waits_for: frozenset[ClusterEvent]


def schedule(profile: Profile, pod: core_v1.Pod, nodes: NodeTable, source: random.Random) -> Placement | Unschedulable:
    """Choose a node for a pod; of equally good ones any."""
    total = len(nodes)
    if not nodes.alive.any():
        return Unschedulable("no nodes available to schedule pods", frozenset({ClusterEvent.NODE_ADDED}))
    state = CycleState()
    skipped: set[str] = set()
    rejected = _pre_filter(profile, pod, nodes, state, skipped)
    if rejected is not None:
        plugin, reasons = rejected
        return Unschedulable(f"0/{total} nodes are available: {', '.join(reasons)}.", plugin.events)
    feasible, reasons_by_count, rejecting, unresolvable = _filter(profile, pod, nodes, state, skipped)
    if not feasible.any():
        return Unschedulable(_message(nodes, pod, reasons_by_count, unresolvable), _events(rejecting))
    return Placement(nodes.name(_best(profile, pod, nodes, state, feasible, source)))


def _pre_filter(
    profile: Profile, pod: core_v1.Pod, nodes: NodeTable, state: CycleState, skipped: set[str]
) -> tuple[PreFilterPlugin, tuple[str, ...]] | None:
    rejected = None
    for plugin in profile.pre_filter:
        status = plugin.pre_filter(state, pod, nodes)
        if status.code is Code.SKIP:
            skipped.add(plugin.name)
        elif not status.is_success:
            rejected = plugin, status.reasons
            if status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE:
                break
    return rejected


def _filter(
    profile: Profile, pod: core_v1.Pod, nodes: NodeTable, state: CycleState, skipped: set[str]
) -> tuple[Mask, Counter[str], list[Plugin], Mask]:
    """Return the feasible rows, how many nodes each reason refused, by whom, and the rows that preemption cannot help."""
    feasible = nodes.alive.copy()
    unresolvable = np.zeros(nodes.size, dtype=np.bool_)
    reasons: Counter[str] = Counter()
    rejecting: list[Plugin] = []
    for plugin in profile.filter:
        if plugin.name in skipped or not feasible.any():
            continue
        refused = np.zeros(nodes.size, dtype=np.bool_)
        for rejection in plugin.filter(state, pod, nodes):
            hit = rejection.nodes & feasible
            count = int(hit.sum())
            if count:
                reasons[rejection.reason] += count
                refused |= hit
                if rejection.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE:
                    unresolvable |= hit
        if refused.any():
            rejecting.append(plugin)
            feasible &= ~refused
    return feasible, reasons, rejecting, unresolvable


def _events(rejecting: list[Plugin]) -> frozenset[ClusterEvent]:
    return frozenset[ClusterEvent]().union(*(plugin.events for plugin in rejecting))


def _message(nodes: NodeTable, pod: core_v1.Pod, reasons: Counter[str], unresolvable: Mask) -> str:
    """Word the failure as upstream does, its preemption's part included: no pod is ever preempted here yet."""
    total = len(nodes)
    histogram = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    head = f"0/{total} nodes are available: {histogram}. {_NO_CLAIMS}, "
    if pod.spec.preemption_policy == "Never":
        return f"{head}preemption: not eligible due to preemptionPolicy=Never."
    helpless = int((unresolvable & nodes.alive).sum())
    tried = int(nodes.alive.sum()) - helpless
    parts = []
    if helpless:
        parts.append(f"{helpless} Preemption is not helpful for scheduling")
    if tried:
        parts.append(f"{tried} No preemption victims found for incoming pod")
    return f"{head}preemption: 0/{total} nodes are available: {', '.join(sorted(parts))}."


def _best(
    profile: Profile, pod: core_v1.Pod, nodes: NodeTable, state: CycleState, feasible: Mask, source: random.Random
) -> int:
    rows = np.flatnonzero(feasible)
    if len(rows) == 1:
        return int(rows[0])
    skipped = {
        plugin.name for plugin in profile.pre_score if plugin.pre_score(state, pod, nodes, feasible).code is Code.SKIP
    }
    total = np.zeros(nodes.size)
    for plugin, weight in profile.score:
        if plugin.name not in skipped:
            total += weight * plugin.score(state, pod, nodes, feasible)
    scores = total[rows]
    best = rows[scores == scores.max()]
    return int(best[source.randrange(len(best))])
