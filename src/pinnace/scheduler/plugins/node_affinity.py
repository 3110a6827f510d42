"""NodeAffinity: nodeSelector and required terms reject, preferred terms score (plugins/nodeaffinity).

Terms are ORed, the expressions of a term are ANDed, a term without any matches nothing.
"""

from collections.abc import Callable, Iterable
from functools import partial
from operator import eq

import numpy as np

from pinnace.api import core_v1
from pinnace.scheduler.framework import (
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
    normalise,
)
from pinnace.scheduler.nodes import NodeTable


class NodeAffinity(PreFilterPlugin, FilterPlugin, PreScorePlugin, ScorePlugin):
    """Holds a pod to the nodes that its selector and affinity name."""

    name = "NodeAffinity"
    events = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_LABELS_CHANGED, ClusterEvent.POD_CHANGED})

    def pre_filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Status:  # noqa: ARG002
        return SUCCESS if pod.spec.node_selector or _required(pod) is not None else SKIP

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:  # noqa: ARG002
        matched = accepted_nodes(pod, nodes)
        if not matched.all():
            yield Rejection(
                ~matched, "node(s) didn't match Pod's node affinity/selector", Code.UNSCHEDULABLE_AND_UNRESOLVABLE
            )

    def pre_score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Status:  # noqa: ARG002
        return SUCCESS if _preferred(pod) else SKIP

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        total = np.zeros(nodes.size)
        for term in _preferred(pod):
            total += term.weight * _term(term.preference, nodes)
        return normalise(total, feasible)


def accepted_nodes(pod: core_v1.Pod, nodes: NodeTable) -> Mask:
    """Return the rows that a pod's nodeSelector and required terms take."""
    matched = np.ones(nodes.size, dtype=np.bool_)
    for key, value in pod.spec.node_selector.items():
        matched &= nodes.label_mask(key, partial(eq, value))
    required = _required(pod)
    if required is not None:
        matched &= _any_term(required.node_selector_terms, nodes)
    return matched


def _required(pod: core_v1.Pod) -> core_v1.NodeSelector | None:
    affinity = pod.spec.affinity
    if affinity is None or affinity.node_affinity is None:
        return None
    return affinity.node_affinity.required_during_scheduling_ignored_during_execution


def _preferred(pod: core_v1.Pod) -> tuple[core_v1.PreferredSchedulingTerm, ...]:
    affinity = pod.spec.affinity
    if affinity is None or affinity.node_affinity is None:
        return ()
    return affinity.node_affinity.preferred_during_scheduling_ignored_during_execution


def _any_term(terms: Iterable[core_v1.NodeSelectorTerm], nodes: NodeTable) -> Mask:
    matched = np.zeros(nodes.size, dtype=np.bool_)
    for term in terms:
        matched |= _term(term, nodes)
    return matched


def _term(term: core_v1.NodeSelectorTerm, nodes: NodeTable) -> Mask:
    if not term.match_expressions and not term.match_fields:
        return np.zeros(nodes.size, dtype=np.bool_)
    matched = np.ones(nodes.size, dtype=np.bool_)
    for expression in term.match_expressions:
        matched &= nodes.label_mask(expression.key, _accepts(expression))
    for expression in term.match_fields:
        matched &= _named(expression, nodes)
    return matched


def _named(expression: core_v1.NodeSelectorRequirement, nodes: NodeTable) -> Mask:
    """metadata.name is the one field that may be selected."""
    accept = _accepts(expression)
    matched = np.zeros(nodes.size, dtype=np.bool_)
    for row, node in nodes.present():
        matched[row] = expression.key == "metadata.name" and accept(node.metadata.name)
    return matched


def _accepts(expression: core_v1.NodeSelectorRequirement) -> Callable[[str | None], bool]:
    values = frozenset(expression.values)
    match expression.operator:
        case "In":
            return lambda value: value is not None and value in values
        case "NotIn":
            return lambda value: value not in values
        case "Exists":
            return lambda value: value is not None
        case "DoesNotExist":
            return lambda value: value is None
        case "Gt":
            return lambda value: _compare(value, values) > 0
        case "Lt":
            return lambda value: _compare(value, values) < 0
    return lambda _: False


def _compare(value: str | None, bounds: frozenset[str]) -> int:
    """Return the sign of label minus bound; 0, which satisfies neither Gt nor Lt, when either is no whole number."""
    try:
        difference = int(value or "") - int(next(iter(bounds), ""))
    except ValueError:
        return 0
    return (difference > 0) - (difference < 0)
