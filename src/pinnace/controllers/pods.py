"""What controllers share about pods: which are active, ready, available, and how one is made from a template.

Upstream: pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.api.resources import by_type
from pinnace.machinery import timestamps
from pinnace.machinery.meta import controller_of


def is_active(pod: core_v1.Pod) -> bool:
    """Tell whether a pod still counts: neither finished nor being deleted."""
    return pod.status.phase not in {"Succeeded", "Failed"} and pod.metadata.deletion_timestamp is None


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


def owner_reference(owner: Struct) -> OwnerReference:
    """Return the reference that makes an object its controller."""
    resource = by_type(type(owner))
    metadata: Any = owner.metadata  # type: ignore[attr-defined]
    return OwnerReference(
        api_version=resource.api_version,
        kind=resource.kind,
        name=metadata.name,
        uid=metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def from_template(owner: Struct, template: core_v1.PodTemplateSpec) -> core_v1.Pod:
    """Return the pod that a controller is to create."""
    metadata: Any = owner.metadata  # type: ignore[attr-defined]
    return core_v1.Pod(
        metadata=ObjectMeta(
            generate_name=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=template.metadata.labels,
            annotations=template.metadata.annotations,
            finalizers=template.metadata.finalizers,
            owner_references=(owner_reference(owner),),
        ),
        spec=template.spec,
    )


def adopted(pod: core_v1.Pod, owner: Struct) -> core_v1.Pod:
    """Return an orphaned pod with an owner."""
    owners = (*pod.metadata.owner_references, owner_reference(owner))
    return replace(pod, metadata=replace(pod.metadata, owner_references=owners))


def deletion_rank(pod: core_v1.Pod) -> tuple[Any, ...]:
    """Return the order in which pods go when there are too many, first to go first.

    Unassigned, then pending, then not ready, then cheaper, then more often restarted, then younger.
    """
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    restarts = max((status.restart_count for status in pod.status.container_statuses), default=0)
    cost = pod.metadata.annotations.get("controller.kubernetes.io/pod-deletion-cost", "0")
    created = timestamps.parse(pod.metadata.creation_timestamp) if pod.metadata.creation_timestamp else 0.0
    return (
        bool(pod.spec.node_name),
        phases.get(pod.status.phase, 0),
        is_ready(pod),
        int(cost) if cost.lstrip("-").isdecimal() else 0,
        -restarts,
        -created,
        pod.metadata.name,
    )


def controller_uid(obj: Any) -> str:
    """Return the uid of an object's controller, "" when it has none; an index function's value."""
    owner = controller_of(obj.metadata.owner_references)
    return str(owner.uid) if owner is not None else ""
