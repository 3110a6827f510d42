"""Node IPAM: gives every node ranges of its own for its pods, one of each family that the cluster has (pkg/controller/nodeipam/ipam).

A range that was given by hand, or before a restart, is respected, and so are those of services. A node keeps its ranges as long as its object
lives, however long it is silent; they are free again when the object is gone. Kinds of nodes may draw from ranges of their own, as upstream's
ClusterCIDR had it.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.controllers.cidr_set import CidrSet
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import ApiError, NotFound

# Seconds until a node that got nothing asks again.
_RETRY_SECONDS = 30.0


def _every(_: core_v1.Node) -> bool:
    return True


class NodeRanges(Struct, frozen=True):
    """Where the nodes that `selects` picks draw from: one range, or one of each family, the primary one first."""

    cidrs: Sequence[str]
    selects: Callable[[core_v1.Node], bool] = _every


class NodeIpamController(Controller):
    """Reconciles Nodes without a range."""

    name = "node-controller"
    component = "cidrAllocator"

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        clock: Clock,
        *,
        ranges: Iterable[NodeRanges],
        service_cidrs: Iterable[str] = (),
    ) -> None:
        """Draw from the first of `ranges` that selects a node; what overlaps services is left out.

        Raises:
            ValueError: a range cannot be cut into nodes' parts.
        """
        super().__init__(client, informers, clock)
        self._pools = [(each.selects, [CidrSet(cidr) for cidr in each.cidrs]) for each in ranges]
        for cidr in service_cidrs:
            self._occupy(cidr)
        # Node → its ranges; those of an attempt whose answer was lost, too: the same node asks for the same again.
        self._given: dict[str, tuple[str, ...]] = {}
        self._nodes = informers.informer(core_v1.Node)
        self._nodes.add_handler(self._node_seen, lambda _, new: self._node_seen(new), self._node_gone)

    def _node_seen(self, node: core_v1.Node) -> None:
        name, known = node.metadata.name, node.spec.pod_cidrs
        if not known:
            self.enqueue(node)
        elif known != self._given.get(name):
            self._node_gone(node)
            self._given[name] = known
            for cidr in known:
                self._occupy(cidr)

    def _node_gone(self, node: core_v1.Node) -> None:
        for cidr in self._given.pop(node.metadata.name, ()):
            for _, sets in self._pools:
                for each in sets:
                    each.release(cidr)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.cache.get(key)
        if node is None or node.spec.pod_cidrs:
            return None
        chosen = self._given.get(key) or self._take(node)
        if not chosen:
            self._tell(node, "CIDRNotAvailable")
            return _RETRY_SECONDS
        self._given[key] = chosen
        patch = {"spec": {"podCIDR": chosen[0], "podCIDRs": list(chosen)}}
        try:
            await self.client.patch(core_v1.Node, key, patch, type=PatchType.STRATEGIC)
        except NotFound:
            return None
        except ApiError:
            self._tell(node, "CIDRAssignmentFailed")
            raise
        return None

    def _tell(self, node: core_v1.Node, reason: str) -> None:
        self.recorder.event(node, "Normal", reason, f"Node {node.metadata.name} status is now: {reason}")

    def _take(self, node: core_v1.Node) -> tuple[str, ...]:
        """Take a block of each family; nothing when one of them has none left."""
        sets = next((sets for selects, sets in self._pools if selects(node)), [])
        taken = [(each, each.take()) for each in sets]
        blocks = tuple(block for _, block in taken if block is not None)
        if len(blocks) == len(sets):
            return blocks
        for each, block in taken:
            if block is not None:
                each.release(block)
        return ()

    def _occupy(self, cidr: str) -> None:
        for _, sets in self._pools:
            for each in sets:
                each.occupy(cidr)
