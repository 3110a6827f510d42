"""Pods of all nodes reach each other, and nodes, by their own addresses: routes to the other nodes' pod ranges, and who is masqueraded.

    node on a segment of ours      route <its pods> via <its address>
    node behind a router           route <its pods> by a VXLAN device to <its address>

Written when Nodes come, change and go; what is there from before is found in the kernel and corrected. A pod's packets to anywhere else
leave under the node's address. Routes stay when the process ends: what runs goes on running. Upstream: the route controller of cloud
providers, flannel's `host-gw` and `vxlan`.
"""

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Never

from pinnace.api.core_v1 import Node
from pinnace.client import InformerFactory
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.network.netlink import Netlink, NetlinkFailed, Place
from pinnace.network.nftables import Nftables, NftablesError

# Kernels lose routes with their links; what is there is looked at so often, and again after a failure.
CHECK_SECONDS, RETRY_SECONDS = 15.0, 1.0
# Changes that come together are written together.
GATHER_SECONDS = 0.02
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_SIMULATED = "simulated://"
_log = get_logger("network")


class PodRoutes:
    """The way from one node's pods to those of all others; a component."""

    def __init__(
        self,
        informers: InformerFactory,
        clock: Clock,
        netlink: Netlink,
        nftables: Nftables | None,
        *,
        node: str,
        table: str,
        on_ready: Callable[[], None],
    ) -> None:
        """Work for one node; `on_ready` is called once, when its pods have a network. Without `nftables` nobody is masqueraded here."""
        self._informers, self._clock = informers, clock
        self._netlink, self._nftables = netlink, nftables
        self._node, self._table = node, table
        self._on_ready: Callable[[], None] | None = on_ready
        self._written = ""
        self._woken = asyncio.Event()
        self._nodes = informers.informer(Node)
        self._nodes.add_handler(self._wake, self._changed, self._wake)

    async def run(self) -> Never:
        """Keep the kernel in step for ever."""
        await self._informers.wait_synced()
        while True:
            pause = CHECK_SECONDS
            self._woken.clear()
            try:
                await self._write(peers(self._nodes.cache.list()))
            except (NetlinkFailed, NftablesError, OSError) as error:
                _log.warning("pod network not set up", reason=str(error))
                pause = RETRY_SECONDS
            try:
                async with self._clock.timeout(pause):
                    await self._woken.wait()
                await self._clock.sleep(GATHER_SECONDS)
            except TimeoutError:
                continue

    def _wake(self, _: Node) -> None:
        self._woken.set()

    def _changed(self, old: Node, new: Node) -> None:
        # Not for each heartbeat.
        if peers([old]) != peers([new]):
            self._woken.set()

    async def _write(self, found: Mapping[str, Place]) -> None:
        own = found.get(self._node)
        if own is None:
            return
        others = [place for place in found.values() if place is not own and not place.node.is_loopback]
        # The rules before the routes: what found its way before its exception would be hidden behind the node.
        script = masquerade(self._table, own, others)
        if self._nftables is not None and script != self._written:
            await asyncio.to_thread(_FORWARDING.write_text, "1", encoding="ascii")
            await self._nftables.apply(script)
            self._written = script
        await asyncio.to_thread(self._netlink.route, own, others)
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None


def peers(nodes: list[Node]) -> dict[str, Place]:
    """Return the nodes that pods can be reached on, by name: those with a range, an address, and a kernel."""
    found = {}
    for node in nodes:
        address = next((one.address for one in node.status.addresses if one.type == "InternalIP"), "")
        if node.status.node_info.container_runtime_version.startswith(_SIMULATED):
            continue
        try:
            found[node.metadata.name] = Place(IPv4Network(node.spec.pod_cidr), IPv4Address(address))
        except ValueError:
            continue  # not yet, or of the other family
    return found


def masquerade(table: str, own: Place, others: list[Place]) -> str:
    """Return the script of the table that hides pods behind their node from all but the cluster."""
    pods = ", ".join(sorted(str(place.pods) for place in (own, *others)))
    nodes = ", ".join(sorted(str(place.node) for place in (own, *others)))
    return f"""add table ip {table}
delete table ip {table}
table ip {table} {{
	set pods {{
		type ipv4_addr
		flags interval
		auto-merge
		elements = {{ {pods} }}
	}}
	set nodes {{
		type ipv4_addr
		elements = {{ {nodes} }}
	}}
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {own.pods} ip daddr != @pods ip daddr != @nodes ip daddr != 224.0.0.0/4 masquerade
	}}
}}
"""
