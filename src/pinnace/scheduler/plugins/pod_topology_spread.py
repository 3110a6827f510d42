"""PodTopologySpread: as many pods of a kind in each zone, rack or node as in any other (plugins/podtopologyspread).

Nodes with one value of a constraint's label are one domain. Hard constraints reject a node whose domain would be ahead of the emptiest
by more than maxSkew; soft ones prefer the emptier domains.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct

from pinnace.api import core_v1
from pinnace.machinery.selectors import LabelSelector, Operator, Requirement, from_label_selector
from pinnace.scheduler.framework import (
    MAX_NODE_SCORE,
    SKIP,
    SUCCESS,
    ClusterEvent,
    Code,
    CycleState,
    FilterPlugin,
    Mask,
    PreFilterPlugin,
    PreScorePlugin,
    Rejection,
    ScorePlugin,
    Scores,
    Status,
)
from pinnace.scheduler.nodes import NodeTable
from pinnace.scheduler.plugins.node_affinity import accepted_nodes
from pinnace.scheduler.plugins.taint_toleration import untolerated_nodes
from pinnace.scheduler.standing import Counts

HOSTNAME = "kubernetes.io/hostname"
_HARD, _SOFT = "DoNotSchedule", "ScheduleAnyway"


class _Constraint(Struct, frozen=True):
    """One constraint of a pod, ready to be counted by."""

    key: str
    max_skew: int
    selector: LabelSelector
    # Whether the pod itself is one of those that are spread.
    counts_itself: bool
    min_domains: int
    honors_affinity: bool
    honors_taints: bool


class _Hard(Struct, frozen=True):
    """A hard constraint with the pods in each node's domain, and in the emptiest one."""

    constraint: _Constraint
    counts: Counts
    least: int


class _Soft(Struct, frozen=True):
    """A soft constraint with the pods in each node's domain, and what each of them weighs."""

    constraint: _Constraint
    counts: Counts
    weight: float


class PodTopologySpread(PreFilterPlugin, FilterPlugin, PreScorePlugin, ScorePlugin):
    """Spreads pods over domains."""

    name = "PodTopologySpread"
    events = frozenset({
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_DELETED,
        ClusterEvent.NODE_LABELS_CHANGED,
        ClusterEvent.NODE_TAINTS_CHANGED,
        ClusterEvent.POD_ADDED,
        ClusterEvent.POD_DELETED,
        ClusterEvent.POD_LABELS_CHANGED,
        ClusterEvent.POD_CHANGED,
    })

    def pre_filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Status:
        constraints = _constraints(pod, _HARD)
        if not constraints:
            return SKIP
        complete = _with_labels(constraints, nodes)
        found = []
        for constraint in constraints:
            eligible = complete & _included(constraint, pod, nodes)
            counts = _matching(constraint, pod, nodes)
            domains = nodes.domains(constraint.key, eligible)
            totals = nodes.domain_totals(constraint.key, counts, eligible)
            least = int(totals[domains].min()) if 0 < len(domains) >= constraint.min_domains else 0
            found.append(_Hard(constraint, nodes.in_domain(constraint.key, counts, eligible), least))
        state.data[self.name] = found
        return SUCCESS

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        text = "node(s) didn't match pod topology spread constraints"
        undecided = nodes.alive.copy()
        hard: list[_Hard] = state.data[self.name]
        for item in hard:
            constraint = item.constraint
            unlabelled = undecided & ~nodes.has_label(constraint.key)
            yield Rejection(unlabelled, f"{text} (missing required label)", Code.UNSCHEDULABLE_AND_UNRESOLVABLE)
            ahead = undecided & (item.counts + constraint.counts_itself - item.least > constraint.max_skew)
            yield Rejection(ahead & ~unlabelled, text)
            undecided &= ~(unlabelled | ahead)

    def pre_score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Status:
        constraints = _constraints(pod, _SOFT)
        if not constraints:
            return SKIP
        complete = _with_labels(constraints, nodes)
        scored = feasible & complete
        found = []
        for constraint in constraints:
            counts = _matching(constraint, pod, nodes)
            if constraint.key == HOSTNAME:
                size = int(scored.sum())
            else:
                size = len(nodes.domains(constraint.key, scored))
                counts = nodes.in_domain(constraint.key, counts, complete & _included(constraint, pod, nodes))
            # The more domains there are, the less a pod more or less in one of them means.
            found.append(_Soft(constraint, counts, math.log(size + 2)))
        state.data[self.name, "score"] = scored, found
        return SUCCESS

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        scored, soft = state.data[self.name, "score"]
        raw = np.zeros(nodes.size)
        for item in soft:
            raw += item.counts * item.weight + (item.constraint.max_skew - 1)
        # Halves away from zero, as Go rounds.
        raw = np.floor(raw + 0.5)
        if not scored.any():
            return np.zeros(nodes.size)
        least, most = raw[scored].min(), raw[scored].max()
        if most == 0:
            return np.where(scored, MAX_NODE_SCORE, 0.0)
        return np.where(scored, np.floor(MAX_NODE_SCORE * (most + least - raw) / most), 0.0)


def _constraints(pod: core_v1.Pod, when: str) -> list[_Constraint]:
    labels = pod.metadata.labels
    found = []
    for item in pod.spec.topology_spread_constraints:
        if item.when_unsatisfiable != when:
            continue
        selector = _selector(item, labels)
        found.append(
            _Constraint(
                item.topology_key,
                item.max_skew,
                selector,
                selector.matches(labels),
                item.min_domains or 1,
                honors_affinity=item.node_affinity_policy != "Ignore",
                honors_taints=item.node_taints_policy == "Honor",
            )
        )
    return found


def _selector(item: core_v1.TopologySpreadConstraint, labels: Mapping[str, str]) -> LabelSelector:
    """Return whom a constraint spreads; keys whose values are the pod's own may have been written into the selector already."""
    selector = from_label_selector(item.label_selector)
    own = tuple(Requirement(key, Operator.IN, (labels[key],)) for key in item.match_label_keys if key in labels)
    missing = tuple(one for one in own if one not in selector.requirements)
    return LabelSelector((*selector.requirements, *missing), selector.nothing)


def _with_labels(constraints: Iterable[_Constraint], nodes: NodeTable) -> Mask:
    """Return the nodes that are in a domain of every constraint; others count for none."""
    complete = nodes.alive.copy()
    for constraint in constraints:
        complete &= nodes.has_label(constraint.key)
    return complete


def _included(constraint: _Constraint, pod: core_v1.Pod, nodes: NodeTable) -> Mask:
    included = np.ones(nodes.size, dtype=np.bool_)
    if constraint.honors_affinity:
        included &= accepted_nodes(pod, nodes)
    if constraint.honors_taints:
        included &= ~untolerated_nodes(pod, nodes)
    return included


def _matching(constraint: _Constraint, pod: core_v1.Pod, nodes: NodeTable) -> Counts:
    """Count by node the pods that are spread; a selector of everything counts none."""
    if constraint.selector.is_everything:
        return np.zeros(nodes.size, dtype=np.int64)
    return nodes.pods.staying(pod.metadata.namespace, constraint.selector, nodes.size)
