"""Which nodes a DaemonSet's pods belong on, and what such a pod looks like (pkg/controller/daemon/util).

A daemon pod is bound by the scheduler as any other: it is aimed at its node by an affinity of its own. Taints that come and go with a
node's health do not keep it away.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.apps_v1 import DaemonSet
from pinnace.api.core_v1 import (
    Affinity,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    Toleration,
)
from pinnace.controllers import node_selection, pods
from pinnace.controllers.tolerations import untolerated

HASH = "controller-revision-hash"
# The template's generation as clients of long ago counted it: an annotation of the set, a label of its pods.
GENERATION, GENERATION_LABEL = "deprecated.daemonset.template.generation", "pod-template-generation"
_NAME = "metadata.name"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_TOLERATED_WITH_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


def is_wanted(daemon_set: DaemonSet, node: Node) -> bool:
    """Tell whether a pod is to be made on a node that has none."""
    return _fits(daemon_set, node) and not _shunned(daemon_set, node, ("NoSchedule", "NoExecute"))


def may_stay(daemon_set: DaemonSet, node: Node) -> bool:
    """Tell whether a pod that is on a node goes on there."""
    return _fits(daemon_set, node) and not _shunned(daemon_set, node, ("NoExecute",))


def _fits(daemon_set: DaemonSet, node: Node) -> bool:
    spec = daemon_set.spec.template.spec
    return spec.node_name in {"", node.metadata.name} and node_selection.allows(spec, node)


def _shunned(daemon_set: DaemonSet, node: Node, effects: tuple[str, ...]) -> bool:
    return bool(untolerated(node.spec.taints, _tolerations(daemon_set.spec.template.spec), effects))


def _tolerations(spec: PodSpec) -> tuple[Toleration, ...]:
    wanted = (*_TOLERATED, _TOLERATED_WITH_HOST_NETWORK) if spec.host_network else _TOLERATED
    added = (Toleration(key=key, operator="Exists", effect=effect) for key, effect in wanted)
    return (*spec.tolerations, *(item for item in added if item not in spec.tolerations))


def make_pod(daemon_set: DaemonSet, revision_hash: str, node_name: str) -> Pod:
    """Return the pod that is to be created for a node."""
    pod = pods.from_template(daemon_set, daemon_set.spec.template)
    labels = {**pod.metadata.labels, **_generation(daemon_set), HASH: revision_hash}
    spec = replace(pod.spec, affinity=_aimed(pod.spec.affinity, node_name), tolerations=_tolerations(pod.spec))
    return replace(pod, metadata=replace(pod.metadata, labels=labels), spec=spec)


def _generation(daemon_set: DaemonSet) -> Mapping[str, str]:
    text = daemon_set.metadata.annotations.get(GENERATION, "")
    return {GENERATION_LABEL: text} if text.isdecimal() else {}


def _aimed(affinity: Affinity | None, node_name: str) -> Affinity:
    """Return an affinity that insists on one node; it takes the place of what the template insists on, which led to that node."""
    by_name = NodeSelectorRequirement(key=_NAME, operator="In", values=(node_name,))
    terms = NodeSelector(node_selector_terms=(NodeSelectorTerm(match_fields=(by_name,)),))
    affinity = affinity or Affinity()
    node = replace(affinity.node_affinity or NodeAffinity(), required_during_scheduling_ignored_during_execution=terms)
    return replace(affinity, node_affinity=node)


def node_of(pod: Pod) -> str:
    """Return the node a daemon pod is on or aimed at, "" when it is neither."""
    if pod.spec.node_name:
        return pod.spec.node_name
    required = node_selection.required_terms(pod.spec)
    for term in required.node_selector_terms if required is not None else ():
        for item in term.match_fields:
            if item.key == _NAME and item.operator == "In" and len(item.values) == 1:
                return item.values[0]
    return ""


def is_updated(daemon_set: DaemonSet, pod: Pod, revision_hash: str) -> bool:
    """Tell whether a pod is of the current template."""
    if pod.metadata.labels.get(HASH) == revision_hash:
        return True
    generation = _generation(daemon_set)
    return bool(generation) and pod.metadata.labels.get(GENERATION_LABEL) == generation[GENERATION_LABEL]
