"""What controllers share about pods: which are active, ready, available, and how one is made from a template.

Upstream: pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Cache
from pinnace.controllers.ownership import owner_reference
from pinnace.machinery import names, timestamps

_NODE = "node"


def is_active(pod: core_v1.Pod) -> bool:
    """Tell whether a pod still counts: neither finished nor being deleted."""
    return pod.status.phase not in {"Succeeded", "Failed"} and pod.metadata.deletion_timestamp is None


def add_node_index(cache: Cache[core_v1.Pod]) -> None:
    """Let pods be found by their node."""
    cache.add_index(_NODE, lambda pod: (pod.spec.node_name,))


def on_node(cache: Cache[core_v1.Pod], name: str) -> Sequence[core_v1.Pod]:
    """Return the pods of a node, those without one for ""."""
    return cache.by_index(_NODE, name)


def nodes_with_pods(cache: Cache[core_v1.Pod]) -> Sequence[str]:
    """Return the names of nodes that pods are on."""
    return cache.index_values(_NODE)


def condition(pod: core_v1.Pod, kind: str) -> core_v1.PodCondition | None:
    """Return a condition, None when the pod has none of that type."""
    return next((item for item in pod.status.conditions if item.type == kind), None)


def is_ready(pod: core_v1.Pod) -> bool:
    """Tell whether a pod serves."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def available_in(pod: core_v1.Pod, min_ready_seconds: int, now: float) -> float | None:
    """Return the seconds until a ready pod counts as available, 0 when it does; None when it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True":
        return None
    if min_ready_seconds <= 0:
        return 0.0
    since = timestamps.age_seconds(ready.last_transition_time, now)
    return max(min_ready_seconds - (since or 0.0), 0.0)


def from_template(owner: Struct, template: core_v1.PodTemplateSpec) -> core_v1.Pod:
    """Return the pod that a controller is to create."""
    metadata: Any = owner.metadata  # type: ignore[attr-defined]
    prefix = f"{metadata.name}-"
    return core_v1.Pod(
        metadata=ObjectMeta(
            # A prefix that no pod could have, as of an owner with too long a name, goes without its dash.
            generate_name=metadata.name if names.dns_subdomain(prefix, prefix=True) else prefix,
            namespace=metadata.namespace,
            labels=template.metadata.labels,
            annotations=template.metadata.annotations,
            finalizers=template.metadata.finalizers,
            owner_references=(owner_reference(owner),),
        ),
        spec=template.spec,
    )


def max_restarts(pod: core_v1.Pod) -> tuple[int, int]:
    """Return the highest restart counts of a pod's containers and of its sidecars."""
    sidecars = {item.name for item in pod.spec.init_containers if item.restart_policy == "Always"}
    main = max((item.restart_count for item in pod.status.container_statuses), default=0)
    beside = (item.restart_count for item in pod.status.init_container_statuses if item.name in sidecars)
    return main, max(beside, default=0)


def deletion_rank(pod: core_v1.Pod, now: float, related: Mapping[str, int]) -> tuple[Any, ...]:
    """Return the order in which pods go when there are too many, first to go first.

    Unassigned, pending, not ready, cheaper, on a node with more of the owner's pods (`related`: node → count), ready for less time,
    more often restarted, younger. Ages count by their order of magnitude only, so that among pods of about one age the uid decides
    and no node empties first.
    """
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    cost = pod.metadata.annotations.get("controller.kubernetes.io/pod-deletion-cost", "0")
    ready = condition(pod, "Ready")
    since = ready.last_transition_time if ready is not None and ready.status == "True" else None
    return (
        bool(pod.spec.node_name),
        phases.get(pod.status.phase, 0),
        is_ready(pod),
        int(cost) if cost.lstrip("-").isdecimal() else 0,
        -related.get(pod.spec.node_name, 0),
        _magnitude(since, now),
        *(-count for count in max_restarts(pod)),
        _magnitude(pod.metadata.creation_timestamp, now),
        pod.metadata.uid,
    )


def _magnitude(since: str | None, now: float) -> int:
    """Return the binary logarithm of an age in nanoseconds, whole; a time that is not known counts as oldest."""
    age = timestamps.age_seconds(since, now)
    return 64 if age is None else int(age * 1e9).bit_length() - 1 if age > 0 else -1
