"""The condition by which a pod says that it is not its own fault that it ends: `DisruptionTarget` (KEP-3329)."""

from typing import Any

from pinnace.api import core_v1
from pinnace.client import Client, PatchType
from pinnace.machinery import timestamps

DISRUPTION_TARGET = "DisruptionTarget"


async def mark_disrupted(
    client: Client, pod: core_v1.Pod, reason: str, message: str, now: float, *, phase: str = ""
) -> None:
    """Say why a pod is about to be deleted; with a phase, end it.

    Raises:
        ApiError: NotFound when the pod has gone, and others.
    """
    condition = {
        "type": DISRUPTION_TARGET,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": timestamps.format(now),
    }
    status: dict[str, Any] = {"conditions": [condition]} if reason else {}
    if phase:
        status["phase"] = phase
    metadata = pod.metadata
    patch = {"metadata": {"uid": metadata.uid}, "status": status}
    await client.patch(
        core_v1.Pod,
        metadata.name,
        patch,
        type=PatchType.STRATEGIC,
        namespace=metadata.namespace,
        subresource="status",
    )
