"""What runs of a cluster on this machine: its processes, and what its API server says of itself and its nodes.

Processes are found by what only they have in their command lines, so that what outlived a killed server is shown, too. Asking changes
nothing, and an API server that does not answer is a fact like others.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from pinnace.api.core_v1 import Node
from pinnace.client import Client, HttpTransport
from pinnace.cluster.cluster_dns import DnsFiles
from pinnace.cluster.config import DNS_ADDRESS
from pinnace.cluster.containerd_config import ContainerdPaths
from pinnace.cluster.detached import Detached
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ServerState, is_locked, running_state
from pinnace.component.clock import Clock
from pinnace.component.http.errors import HttpError
from pinnace.component.kubeconfig import KubeconfigError, access
from pinnace.machinery.errors import ApiError

_ROLE = "node-role.kubernetes.io/"
# Seconds for the API server to say how it is.
_ANSWER_LIMIT_SECONDS = 5.0


class ProcessFacts(Struct, frozen=True):
    """One process of the cluster: what it is, where it answers, and what it takes; `pid` is 0 when it does not run."""

    name: str
    pid: int
    memory_mib: int
    endpoint: str


class NodeFacts(Struct, frozen=True):
    """One node as `kubectl get nodes -o wide` shows it."""

    name: str
    status: str
    roles: str
    version: str
    address: str
    runtime: str


class Overview(Struct, frozen=True):
    """A cluster; `health` is `ready`, `starting`, `stopped`, or why it is none of these."""

    health: str
    state: ServerState | None
    processes: tuple[ProcessFacts, ...]
    nodes: tuple[NodeFacts, ...] = ()


async def overview(paths: ClusterPaths, clock: Clock) -> Overview:
    """Look at a cluster."""
    state = running_state(paths)
    processes = tuple(_processes(paths, state, clock))
    if state is None:
        return Overview("starting" if is_locked(paths) else "stopped", None, processes)
    try:
        transport = HttpTransport.to(access(paths.admin_kubeconfig))
    except (KubeconfigError, OSError) as error:
        return Overview(f"unknown: {error}", state, processes)
    client = Client(transport, user_agent="pinnace-status")
    try:
        async with clock.timeout(_ANSWER_LIMIT_SECONDS):
            await client.raw("GET", "/readyz")
            listed = await client.list(Node)
    except (ApiError, HttpError, TimeoutError) as error:
        return Overview(f"not ready: {str(error) or 'no answer'}", state, processes)
    finally:
        await client.close()
    return Overview("ready", state, processes, tuple(_node(node) for node in listed.items))


def _processes(paths: ClusterPaths, state: ServerState | None, clock: Clock) -> Iterator[ProcessFacts]:
    pid = state.pid if state is not None else 0
    yield ProcessFacts("server", pid, resident_mib(pid), state.server if state is not None else "")
    containerd, dns = ContainerdPaths(paths.root / "containerd"), DnsFiles(paths.root / "dns")
    for name, mark, log, endpoint in (
        ("containerd", containerd.config, containerd.log, f"unix://{containerd.socket}"),
        ("dns", dns.kubeconfig, dns.log, f"{DNS_ADDRESS}:53"),
    ):
        found = Detached(str(mark), log, clock).pid() or 0
        yield ProcessFacts(name, found, resident_mib(found), endpoint if found else "")


def resident_mib(pid: int) -> int:
    """Return the memory that a process has resident; 0 when there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def _node(node: Node) -> NodeFacts:
    info = node.status.node_info
    ready = {condition.type: condition.status for condition in node.status.conditions}.get("Ready", "Unknown")
    words = {"True": "Ready", "False": "NotReady"}
    roles = sorted(label.removeprefix(_ROLE) for label in node.metadata.labels if label.startswith(_ROLE))
    return NodeFacts(
        name=node.metadata.name,
        status=words.get(ready, "Unknown") + (",SchedulingDisabled" if node.spec.unschedulable else ""),
        roles=",".join(roles) or "<none>",
        version=info.kubelet_version,
        address=next((item.address for item in node.status.addresses if item.type == "InternalIP"), ""),
        runtime=info.container_runtime_version,
    )
