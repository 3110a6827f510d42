"""When a node of this machine can be used: its role, and the wait for it.

The role is a label that no kubelet may give itself; whoever makes the cluster does. Upstream: kubeadm's `cmd/phases/init/markcontrolplane`.
"""

from pinnace.api.core_v1 import Node
from pinnace.client import Client
from pinnace.component.clock import Clock
from pinnace.machinery.errors import ApiError

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
# Seconds for a node to become Ready before the cluster is declared usable without it, and between looks.
READY_LIMIT_SECONDS, _LOOK_SECONDS = 30.0, 0.02


async def wait_ready(client: Client, name: str, clock: Clock) -> str:
    """Wait until a node is Ready; return what to tell the user when it did not come to that, else an empty text."""
    try:
        async with clock.timeout(READY_LIMIT_SECONDS):
            while not await _is_ready(client, name):
                await clock.sleep(_LOOK_SECONDS)
    except TimeoutError:
        return f"node {name} is not Ready yet: see `kubectl describe node {name}`"
    return ""


async def mark_control_plane(client: Client, name: str) -> None:
    """Say by its label that a node shares its machine with the control plane."""
    await client.patch(Node, name, {"metadata": {"labels": {CONTROL_PLANE_LABEL: ""}}})


async def _is_ready(client: Client, name: str) -> bool:
    try:
        found = await client.get(Node, name)
    except ApiError:
        return False
    return any(condition.type == "Ready" and condition.status == "True" for condition in found.status.conditions)
