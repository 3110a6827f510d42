"""Which nodes a pod may run on by its node selector and its required affinity (component-helpers/scheduling/corev1/nodeaffinity).

Terms are ORed, the requirements of a term are ANDed, a term without any matches nothing.
"""

from collections.abc import Sequence

from pinnace.api.core_v1 import Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec


def allows(spec: PodSpec, node: Node) -> bool:
    """Tell whether a pod may run on a node."""
    labels = node.metadata.labels
    if any(labels.get(name) != value for name, value in spec.node_selector.items()):
        return False
    required = required_terms(spec)
    return required is None or any(_matches(term, node) for term in required.node_selector_terms)


def required_terms(spec: PodSpec) -> NodeSelector | None:
    """Return the node affinity that a pod insists on."""
    node = spec.affinity.node_affinity if spec.affinity is not None else None
    return node.required_during_scheduling_ignored_during_execution if node is not None else None


def _matches(term: NodeSelectorTerm, node: Node) -> bool:
    if not term.match_expressions and not term.match_fields:
        return False
    labels = node.metadata.labels
    return all(_accepts(item, labels.get(item.key)) for item in term.match_expressions) and all(
        # metadata.name is the one field that may be selected.
        item.key == "metadata.name" and _accepts(item, node.metadata.name)
        for item in term.match_fields
    )


def _accepts(requirement: NodeSelectorRequirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return _difference(value, requirement.values) > 0
        case "Lt":
            return _difference(value, requirement.values) < 0
    return False


def _difference(value: str | None, bounds: Sequence[str]) -> int:
    """Return label minus bound; 0, which satisfies neither Gt nor Lt, when either is no whole number."""
    try:
        return int(value or "") - int(bounds[0])
    except (ValueError, IndexError):
        return 0
