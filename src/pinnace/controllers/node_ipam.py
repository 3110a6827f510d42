"""Node IPAM: gives every node a range of its own for its pods (pkg/controller/nodeipam/ipam).

Ranges are taken in turn from the cluster's, each after the last one given; a range that was given by hand, or before a restart, is
respected. A node's range is free again when the node is gone.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice
from typing import Any

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller

# Bits of a node's part: a /24 of IPv4, a /64 of IPv6; upstream's defaults.
NODE_BITS_V4, NODE_BITS_V6 = 24, 64


class NodeIpamController(Controller):
    """Reconciles Nodes without a range."""

    name = "node-controller"
    component = "cidrAllocator"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock, *, cluster_cidr: str) -> None:
        super().__init__(client, informers, clock)
        self._range: IPv4Network | IPv6Network = ip_network(cluster_cidr)
        self._bits = NODE_BITS_V4 if self._range.version == 4 else NODE_BITS_V6
        self._next = 0
        self._given: dict[str, str] = {}
        self._nodes = informers.informer(core_v1.Node)
        self._nodes.add_handler(self._node_seen, lambda _, new: self._node_seen(new), self._node_gone)

    def _node_seen(self, node: core_v1.Node) -> None:
        if node.spec.pod_cidr:
            self._given[node.metadata.name] = node.spec.pod_cidr
        else:
            self.enqueue(node)

    def _node_gone(self, node: core_v1.Node) -> None:
        self._given.pop(node.metadata.name, None)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.cache.get(key)
        if node is None or node.spec.pod_cidr:
            return None
        # Kept from an attempt whose answer was lost: the same node asks for the same range again.
        chosen = self._given.get(key) or self._free()
        if chosen is None:
            self.recorder.event(node, "Normal", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")
            return 30.0
        self._given[key] = chosen
        patch = {"spec": {"podCIDR": chosen, "podCIDRs": [chosen]}}
        await self.client.patch(core_v1.Node, key, patch, type=PatchType.STRATEGIC)
        return None

    def _free(self) -> str | None:
        """Return the next range that no node has, None when all are given."""
        taken: list[Any] = [ip_network(text) for text in self._given.values()]  # of both families
        count = 1 << max(self._bits - self._range.prefixlen, 0)
        for offset in range(count):
            index = (self._next + offset) % count
            candidate: Any = next(islice(self._range.subnets(new_prefix=self._bits), index, None))
            if not any(candidate.version == other.version and candidate.overlaps(other) for other in taken):
                self._next = (index + 1) % count
                return str(candidate)
        return None
