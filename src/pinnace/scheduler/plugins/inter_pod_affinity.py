"""InterPodAffinity: pods that want to be near others, or apart from them (plugins/interpodaffinity).

Near and apart are meant by a label of nodes: nodes with one value of it are one domain. What pods that stand already say of the new one
counts as well as what it says of them.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct

from pinnace.api import core_v1
from pinnace.scheduler.affinity_terms import PodTerms, Term, pod_terms
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
from pinnace.scheduler.standing import Counts, Kind, totals

# What a pod's required affinity is worth to a new one that it means.
HARD_AFFINITY_WEIGHT = 1


class _State(Struct, frozen=True):
    """Per term, and per label of nodes: how many pods that matter stand in each node's domain."""

    terms: PodTerms
    near: tuple[Counts, ...]
    apart: tuple[Counts, ...]
    shunned: Mapping[str, Counts]
    is_first: bool


class InterPodAffinity(PreFilterPlugin, FilterPlugin, PreScorePlugin, ScorePlugin):
    """Holds a pod to its terms about other pods, and to theirs about it."""

    name = "InterPodAffinity"
    events = frozenset({
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_LABELS_CHANGED,
        ClusterEvent.POD_ADDED,
        ClusterEvent.POD_DELETED,
        ClusterEvent.POD_LABELS_CHANGED,
        ClusterEvent.POD_CHANGED,
    })

    def pre_filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Status:
        terms = pod_terms(pod.metadata.namespace, pod.spec.affinity)
        shunned: dict[str, Counts] = {}
        for kind in nodes.pods.with_terms():
            for term in kind.terms.anti_affinity:
                if _means(term, pod, nodes):
                    _add(shunned, term.topology_key, totals([kind], nodes.size))
        if not (terms.affinity or terms.anti_affinity or shunned):
            return SKIP

        def wanted_by_all(kind: Kind) -> bool:
            return all(_finds(term, kind, nodes) for term in terms.affinity)

        wanted = nodes.pods.matching(wanted_by_all, nodes.size) if terms.affinity else np.zeros(nodes.size, np.int64)
        near = tuple(nodes.in_domain(term.topology_key, wanted, nodes.alive) for term in terms.affinity)
        state.data[self.name] = _State(
            terms,
            near,
            tuple(_around(term, nodes) for term in terms.anti_affinity),
            {key: nodes.in_domain(key, counts, nodes.alive) for key, counts in shunned.items()},
            # Nobody could ever be the first of a group that wants to be together.
            is_first=not any(counts.any() for counts in near)
            and all(_means(term, pod, nodes) for term in terms.affinity),
        )
        return SUCCESS

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        found: _State = state.data[self.name]
        lonely, undecided = np.zeros(nodes.size, dtype=np.bool_), np.ones(nodes.size, dtype=np.bool_)
        for term, counts in zip(found.terms.affinity, found.near, strict=True):
            lonely |= ~nodes.has_label(term.topology_key)
            if not found.is_first:
                lonely |= counts <= 0
        yield Rejection(lonely, "node(s) didn't match pod affinity rules", Code.UNSCHEDULABLE_AND_UNRESOLVABLE)
        undecided &= ~lonely
        crowded = _any(nodes, found.apart) & undecided
        yield Rejection(crowded, "node(s) didn't match pod anti-affinity rules")
        undecided &= ~crowded
        unwelcome = _any(nodes, found.shunned.values()) & undecided
        yield Rejection(unwelcome, "node(s) didn't satisfy existing pods anti-affinity rules")

    def pre_score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Status:  # noqa: ARG002
        """Add up the weights that stand in each domain."""
        found: dict[str, Counts] = {}
        for term in pod_terms(pod.metadata.namespace, pod.spec.affinity).preferred:
            counts = nodes.pods.matching(lambda kind, term=term: _finds(term, kind, nodes), nodes.size)  # type: ignore[misc]
            if counts.any():
                _add(found, term.topology_key, counts * term.weight)
        for kind in nodes.pods.with_terms():
            for term in (*kind.terms.affinity, *kind.terms.preferred):
                if _means(term, pod, nodes):
                    weight = term.weight or HARD_AFFINITY_WEIGHT
                    _add(found, term.topology_key, totals([kind], nodes.size) * weight)
        if not found:
            return SKIP
        state.data[self.name, "score"] = sum(
            nodes.in_domain(key, weights, nodes.alive) for key, weights in found.items()
        )
        return SUCCESS

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        raw = state.data[self.name, "score"]
        least, most = raw[feasible].min(), raw[feasible].max()
        if least == most:
            return np.zeros(nodes.size)
        scaled: Scores = np.trunc(MAX_NODE_SCORE * ((raw - least) / (most - least)))
        return scaled


def _means(term: Term, pod: core_v1.Pod, nodes: NodeTable) -> bool:
    """Tell whether a term, of whomever, means the new pod."""
    metadata = pod.metadata
    return term.matches(metadata.namespace, metadata.labels, nodes.pods.namespace_labels(metadata.namespace))


def _finds(term: Term, kind: Kind, nodes: NodeTable) -> bool:
    return term.matches(kind.namespace, kind.labels, nodes.pods.namespace_labels(kind.namespace))


def _around(term: Term, nodes: NodeTable) -> Counts:
    """Count the pods that one term means in the domain of each node."""
    counts = nodes.pods.matching(lambda kind: _finds(term, kind, nodes), nodes.size)
    return nodes.in_domain(term.topology_key, counts, nodes.alive)


def _add(found: dict[str, Counts], key: str, counts: Counts) -> None:
    found[key] = found[key] + counts if key in found else counts


def _any(nodes: NodeTable, counts: Iterable[Counts]) -> Mask:
    hit = np.zeros(nodes.size, dtype=np.bool_)
    for one in counts:
        hit |= one > 0
    return hit
