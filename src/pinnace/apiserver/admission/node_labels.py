"""Which labels a node may give itself: those that say what it is, none that would steer pods to it.

Upstream: `plugin/pkg/admission/noderestriction` (getForbiddenLabels), kubelet `pkg/apis/well_known_labels.go`.
"""

from collections.abc import Mapping

_RESTRICTED = "node-restriction.kubernetes.io"
_KUBELET_LABELS = frozenset({
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
})
_KUBELET_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_SYSTEM_DOMAINS = ("kubernetes.io", "k8s.io")


def forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Return the labels that differ and that a node may not touch, sorted."""
    changed = {key for key in {*new, *old} if new.get(key) != old.get(key)}
    return sorted(key for key in changed if _is_forbidden(key))


def _is_forbidden(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if _is_within(domain, _RESTRICTED):
        return True
    if not any(_is_within(domain, system) for system in _SYSTEM_DOMAINS):
        return False
    return key not in _KUBELET_LABELS and not any(_is_within(domain, own) for own in _KUBELET_DOMAINS)


def _is_within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)
