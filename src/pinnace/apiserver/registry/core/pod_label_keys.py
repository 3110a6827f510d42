"""Label keys that a pod's scheduling terms take the values of from the pod itself.

What `matchLabelKeys` and `mismatchLabelKeys` mean for this pod is written into its label selectors when it is made, so that
schedulers need look at selectors only. Upstream: pkg/registry/core/pod `applyMatchLabelKeysAndMismatchLabelKeys`.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    Affinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSpec,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from pinnace.api.meta_v1 import LabelSelector, LabelSelectorRequirement
from pinnace.apiserver.registry.defaulting import changed, each, maybe


def with_label_keys(pod: Pod) -> Pod:
    """Return the pod with its own labels in its selectors."""
    spec = pod.spec
    if spec.affinity is None and not spec.topology_spread_constraints:
        return pod
    return changed(pod, spec=_merged(spec, pod.metadata.labels))


def _merged(spec: PodSpec, labels: Mapping[str, str]) -> PodSpec:
    def term(one: PodAffinityTerm) -> PodAffinityTerm:
        selector = _selected(one.label_selector, one.match_label_keys, "In", labels)
        return changed(one, label_selector=_selected(selector, one.mismatch_label_keys, "NotIn", labels))

    def weighted(one: WeightedPodAffinityTerm) -> WeightedPodAffinityTerm:
        return changed(one, pod_affinity_term=term(one.pod_affinity_term))

    def near(one: PodAffinity) -> PodAffinity:
        return changed(
            one,
            required_during_scheduling_ignored_during_execution=each(
                one.required_during_scheduling_ignored_during_execution, term
            ),
            preferred_during_scheduling_ignored_during_execution=each(
                one.preferred_during_scheduling_ignored_during_execution, weighted
            ),
        )

    def apart(one: PodAntiAffinity) -> PodAntiAffinity:
        return changed(
            one,
            required_during_scheduling_ignored_during_execution=each(
                one.required_during_scheduling_ignored_during_execution, term
            ),
            preferred_during_scheduling_ignored_during_execution=each(
                one.preferred_during_scheduling_ignored_during_execution, weighted
            ),
        )

    def affinity(one: Affinity) -> Affinity:
        return changed(
            one,
            pod_affinity=maybe(one.pod_affinity, near),
            pod_anti_affinity=maybe(one.pod_anti_affinity, apart),
        )

    def spread(one: TopologySpreadConstraint) -> TopologySpreadConstraint:
        return changed(one, label_selector=_selected(one.label_selector, one.match_label_keys, "In", labels))

    return changed(
        spec,
        affinity=maybe(spec.affinity, affinity),
        topology_spread_constraints=each(spec.topology_spread_constraints, spread),
    )


def _selected(
    selector: LabelSelector | None, keys: Sequence[str], operator: str, labels: Mapping[str, str]
) -> LabelSelector | None:
    if selector is None:
        return None
    added = tuple(
        LabelSelectorRequirement(key=key, operator=operator, values=(labels[key],)) for key in keys if key in labels
    )
    return replace(selector, match_expressions=(*selector.match_expressions, *added)) if added else selector
