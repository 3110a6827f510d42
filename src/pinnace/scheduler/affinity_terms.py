"""What a pod says of other pods: its affinity and anti-affinity terms, ready to be matched (kube-scheduler framework AffinityTerm).

A term looks at pods of its namespaces, by name or by their labels; one that names neither looks at the pod's own namespace.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.machinery.selectors import NOTHING, LabelSelector, from_label_selector


class Term(Struct, frozen=True):
    """One term: whom it means, and by which label of nodes it groups them; `weight` is 0 for a required one."""

    topology_key: str
    selector: LabelSelector
    namespaces: frozenset[str]
    namespace_selector: LabelSelector = NOTHING
    weight: int = 0

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
        """Tell whether it means a pod of these labels in this namespace, whose own labels come last."""
        is_seen = namespace in self.namespaces or self.namespace_selector.matches(namespace_labels)
        return is_seen and self.selector.matches(labels)


class PodTerms(Struct, frozen=True):
    """All terms of a pod."""

    affinity: tuple[Term, ...] = ()
    anti_affinity: tuple[Term, ...] = ()
    # Their weights are negative where pods are shunned.
    preferred: tuple[Term, ...] = ()


def pod_terms(namespace: str, affinity: core_v1.Affinity | None) -> PodTerms:
    """Return the terms of a pod of this namespace."""
    near = affinity.pod_affinity if affinity is not None else None
    apart = affinity.pod_anti_affinity if affinity is not None else None
    preferred: list[Term] = []
    if near is not None:
        preferred += _weighted(namespace, near.preferred_during_scheduling_ignored_during_execution, 1)
    if apart is not None:
        preferred += _weighted(namespace, apart.preferred_during_scheduling_ignored_during_execution, -1)
    return PodTerms(
        _required(namespace, near.required_during_scheduling_ignored_during_execution) if near is not None else (),
        _required(namespace, apart.required_during_scheduling_ignored_during_execution) if apart is not None else (),
        tuple(preferred),
    )


def _required(namespace: str, terms: Iterable[core_v1.PodAffinityTerm]) -> tuple[Term, ...]:
    return tuple(_term(namespace, term, 0) for term in terms)


def _weighted(namespace: str, terms: Iterable[core_v1.WeightedPodAffinityTerm], sign: int) -> list[Term]:
    return [_term(namespace, item.pod_affinity_term, sign * item.weight) for item in terms if item.weight]


def _term(namespace: str, term: core_v1.PodAffinityTerm, weight: int) -> Term:
    own = frozenset({namespace}) if not term.namespaces and term.namespace_selector is None else frozenset[str]()
    return Term(
        term.topology_key,
        from_label_selector(term.label_selector),
        own | frozenset(term.namespaces),
        from_label_selector(term.namespace_selector),
        weight,
    )
