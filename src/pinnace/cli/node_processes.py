"""The end of further nodes, as commands stop and remove them; several at a time."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pinnace.api.core_v1 import Node
from pinnace.cli.administrator import as_administrator
from pinnace.cli.process import stop
from pinnace.client import Client
from pinnace.cluster.cluster_dns import DnsFiles, stop_dns
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_cleanup import remove, stop_containers
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.further_nodes import FurtherNode, FurtherNodes
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ClusterError
from pinnace.component.clock import RealClock
from pinnace.machinery.errors import NotFound

T = TypeVar("T")


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


def stop_node(paths: ClusterPaths, name: str) -> None:
    """Stop a node with its pods; `pinnace up` leaves it so.

    Raises:
        Failed: there is none, or it cannot be stopped.
    """
    node = FurtherNodes(paths).found(name)
    stop_nodes([node])
    node.stopped.touch()


def remove_node(paths: ClusterPaths, name: str) -> None:
    """Remove a node, and its Node object.

    Raises:
        Failed: there is none, or not everything of it is gone.
    """
    left = remove_nodes(paths, [FurtherNodes(paths).found(name)])
    forget_node(paths, name)
    if left:
        raise ClusterError(f"not everything of {name} is gone: {'; '.join(left)}")


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
