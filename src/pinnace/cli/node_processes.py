"""The further nodes of a cluster, as commands start, stop and remove them; several at a time."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pinnace.api.bootstrap_tokens import BootstrapToken
from pinnace.api.core_v1 import Node
from pinnace.cli.process import ServerFailed, start, stop
from pinnace.client import Client, HttpTransport
from pinnace.cluster.cluster_dns import DnsFiles, stop_dns
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_cleanup import remove, stop_containers
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.discovery import server_of
from pinnace.cluster.further_nodes import FurtherNode, FurtherNodes
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ClusterError, ServerState, is_locked, running_state
from pinnace.cluster.this_node import missing_for_containers
from pinnace.cluster.token_secrets import create_token
from pinnace.component.clock import RealClock
from pinnace.component.http import HttpError
from pinnace.component.identity import system_identity
from pinnace.component.kubeconfig import access
from pinnace.machinery.errors import ApiError, NotFound
from pinnace.machinery.names import dns_subdomain

# Seconds that a token for a node on this machine is good.
_TOKEN_SECONDS = 600.0
T = TypeVar("T")
# What starting and stopping a node fails with; each has a text for its user.
Failed = (ServerFailed, ClusterError, ApiError, HttpError)


def as_administrator(paths: ClusterPaths, call: Callable[[Client], Awaitable[T]]) -> T:
    """Return what a call as the cluster's administrator gives.

    Raises:
        ApiError, HttpError: the call failed.
    """

    async def calling() -> T:
        client = Client(HttpTransport.to(access(paths.admin_kubeconfig)), user_agent="pinnace")
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(calling())


def new_token(paths: ClusterPaths, lifetime_seconds: float, description: str) -> tuple[BootstrapToken, str]:
    """Make a token; return it and the URL by which other machines find the server."""

    async def make(client: Client) -> tuple[BootstrapToken, str]:
        now = RealClock().time()
        token = await create_token(
            client, system_identity(), now, lifetime_seconds=lifetime_seconds, description=description
        )
        return token, await server_of(client)

    return as_administrator(paths, make)


def start_nodes(paths: ClusterPaths, nodes: Iterable[FurtherNode]) -> list[ServerState]:
    """Start nodes that do not run; return what each says of itself once it is ready.

    Raises:
        ServerFailed: one does not start; the others do.
        ClusterError: there is no network for them.
    """
    nodes, further, state = list(nodes), FurtherNodes(paths), running_state(paths)
    if not nodes or state is None:
        return []
    token, server = new_token(paths, _TOKEN_SECONDS, "for nodes on the server's machine")
    for node in nodes:
        node.stopped.unlink(missing_ok=True)
        further.connect(node, state.pod_range)

    def started(node: FurtherNode) -> ServerState:
        token_file = node.root / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(token.text)
        try:
            words = ["agent", "--server", server, "--token-file", str(token_file), "--ca", str(paths.pki / "ca.crt")]
            words += ["--node-name", node.name, "--data-dir", str(node.root), "--images", str(paths.root / "images")]
            return start(node.paths, words, within=node.command())
        finally:
            token_file.unlink(missing_ok=True)

    return _each(started, nodes)


def start_missing(paths: ClusterPaths, wanted: int) -> list[ServerState]:
    """Start the nodes that are there and were not stopped by hand, and new ones until there are `wanted`, the server's counted.

    Raises:
        Failed: one does not start.
    """
    further = FurtherNodes(paths)
    while len(further.all()) + 1 < wanted:
        further.new()
    return start_nodes(
        paths, [node for node in further.all() if not node.stopped.exists() and not is_locked(node.paths)]
    )


def stop_nodes(nodes: Iterable[FurtherNode]) -> None:
    """End agents and containers of nodes, as if their machines were switched off."""

    def stopped(node: FurtherNode) -> None:
        stop(node.paths)
        asyncio.run(_stop(node))

    _each(stopped, list(nodes))


def remove_nodes(paths: ClusterPaths, nodes: Iterable[FurtherNode]) -> list[str]:
    """End nodes and take away all that they left on this machine; return what could not be."""
    further = FurtherNodes(paths)

    def removed(node: FurtherNode) -> list[str]:
        stop(node.paths)
        left = asyncio.run(_remove(node)) + further.disconnect(node)
        if not left:
            shutil.rmtree(node.root)
        return left

    left = [complaint for complaints in _each(removed, list(nodes)) for complaint in complaints]
    return left if further.all() else left + further.remove_bridge()


def stop_all(paths: ClusterPaths) -> None:
    """Stop every further node of a cluster, to be started with it."""
    stop_nodes(FurtherNodes(paths).all())


def remove_all(paths: ClusterPaths) -> list[str]:
    """Remove every further node of a cluster that goes itself; return what could not be."""
    return remove_nodes(paths, FurtherNodes(paths).all())


def forget_node(paths: ClusterPaths, name: str) -> None:
    """Delete a Node object, if there is one.

    Raises:
        ApiError, HttpError: it cannot be deleted.
    """

    async def delete(client: Client) -> None:
        try:
            await client.delete(Node, name)
        except NotFound:
            return

    as_administrator(paths, delete)


class NodeProcesses:
    """What `pinnace node` does with further nodes of one running cluster.

    Every method raises one of `Failed`.
    """

    def __init__(self, paths: ClusterPaths) -> None:
        self._paths, self._further = paths, FurtherNodes(paths)

    def add(self, name: str) -> str:
        """Make a node and start it; return its name."""
        if lacking := missing_for_containers():
            raise ClusterError(f"a real node needs {', '.join(lacking)}: see `pinnace doctor`")
        if wrong := dns_subdomain(name) if name else []:
            raise ClusterError(f"{name!r} is no name for a node: {wrong[0]}")
        if name == self._paths.node_name:
            raise ClusterError(f"{name!r} is the node of the server itself")
        made = self._further.new(name)
        try:
            start_nodes(self._paths, [made])
        except BaseException:
            remove_nodes(self._paths, [made])
            raise
        return made.name

    def start(self, name: str) -> None:
        """Start a node that does not run."""
        node = self._found(name)
        if not is_locked(node.paths):
            start_nodes(self._paths, [node])

    def stop(self, name: str) -> None:
        """Stop a node with its pods; `pinnace up` leaves it so."""
        node = self._found(name)
        stop_nodes([node])
        node.stopped.touch()

    def remove(self, name: str) -> None:
        """Remove a node, and its Node object."""
        left = remove_nodes(self._paths, [self._found(name)])
        forget_node(self._paths, name)
        if left:
            raise ClusterError(f"not everything of {name} is gone: {'; '.join(left)}")

    def _found(self, name: str) -> FurtherNode:
        found = self._further.get(name)
        if found is None:
            raise ClusterError(f"there is no further node {name!r} on this machine")
        return found


async def _stop(node: FurtherNode) -> None:
    await stop_dns(DnsFiles(node.root / "dns"), RealClock())
    await stop_containers(_containerd(node), RealClock())


async def _remove(node: FurtherNode) -> list[str]:
    network = pod_network(node.root)
    await stop_dns(DnsFiles(node.root / "dns"), RealClock())
    return await remove(_containerd(node), node.root, network, f"/{network.name}", RealClock())


def _containerd(node: FurtherNode) -> Containerd:
    return Containerd(ContainerdPaths(node.root / "containerd"), detect(), RealClock())


def _each(work: Callable[[FurtherNode], T], nodes: list[FurtherNode]) -> list[T]:
    with ThreadPoolExecutor(max(len(nodes), 1)) as pool:
        return list(pool.map(work, nodes))
