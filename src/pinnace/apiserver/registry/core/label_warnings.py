"""Warnings about labels of nodes that went out of use (upstream pkg/api/node `warnings.go`)."""

from collections.abc import Iterator

from pinnace.api.core_v1 import NodeSelectorTerm
from pinnace.api.meta_v1 import LabelSelector
from pinnace.machinery.field import Path

LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}


def label_warning(key: str, path: Path) -> Iterator[str]:
    """Warn of one label's key, which stands at the path."""
    if key in LABELS:
        yield f"{path}: {key} is {LABELS[key]}"


def term_warnings(term: NodeSelectorTerm, path: Path) -> Iterator[str]:
    """Warn of the keys of a node selector's term."""
    for index, requirement in enumerate(term.match_expressions):
        yield from label_warning(requirement.key, path.child("matchExpressions").index(index).child("key"))


def selector_warnings(selector: LabelSelector | None, path: Path) -> Iterator[str]:
    """Warn of the keys of a label selector for nodes."""
    if selector is None:
        return
    for key in sorted(set(selector.match_labels) & set(LABELS)):
        yield f"{path.child('matchLabels').key(key)}: {LABELS[key]}"
    for index, requirement in enumerate(selector.match_expressions):
        yield from label_warning(requirement.key, path.child("matchExpressions").index(index).child("key"))
