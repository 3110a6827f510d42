"""TTL: tells the agents, by an annotation of their Node, for how long they may believe what they read of secrets and config maps.

The more nodes, the longer, so that what they ask stays bearable; up and down at different counts, so that a node more or less does not
have all of them written. Nothing waits for it, so that it is written no faster than upstream's controllers may write: thousands of nodes that
come at once are Ready before they are told, and told once instead of at every band. Upstream: pkg/controller/ttl.
"""

from contextlib import suppress
from typing import ClassVar

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.client.workqueue import TokenBucket
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import NotFound

ANNOTATION = "node.alpha.kubernetes.io/ttl"
# Nodes told a second, and at once before that: kube-controller-manager's `--kube-api-qps` and `--kube-api-burst`.
_TOLD_RATE, _TOLD_BURST = 20.0, 30


class _Band(Struct, frozen=True):
    """A size of cluster: below `least` nodes the band before it holds, above `most` the next; and what it means in seconds."""

    least: int
    most: float
    ttl_seconds: int


_BANDS = (
    _Band(0, 100, 0),
    _Band(90, 500, 15),
    _Band(450, 1000, 30),
    _Band(900, 2000, 60),
    _Band(1800, float("inf"), 300),
)


class TTLController(Controller):
    """Reconciles Nodes."""

    name = "ttl-controller"
    component = "ttl-controller"
    workers: ClassVar[int] = 1

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._band = 0
        self._bucket = TokenBucket(_TOLD_RATE, _TOLD_BURST)
        # When the turn comes of each node that is still to be told.
        self._turns: dict[str, float] = {}
        self._nodes = informers.informer(core_v1.Node)
        self._nodes.add_handler(self._counted, lambda _, new: self.enqueue(new), lambda _: self._recount())

    def _counted(self, node: core_v1.Node) -> None:
        self._recount()
        self.enqueue(node)

    def _recount(self) -> None:
        """Follow the number of nodes, one band at a time as it goes; into another band, every node is told."""
        count, before = len(self._nodes.cache), self._band
        while count > _BANDS[self._band].most:
            self._band += 1
        while count < _BANDS[self._band].least:
            self._band -= 1
        if self._band != before:
            for node in self._nodes.cache.list():
                self.enqueue(node)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.cache.get(key)
        wanted = str(_BANDS[self._band].ttl_seconds)
        if node is None or node.metadata.annotations.get(ANNOTATION) == wanted:
            self._turns.pop(key, None)
            return None
        now = self.clock.monotonic()
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = now + self._bucket.reserve(now)
        if turn > now:
            return turn - now
        del self._turns[key]
        patch = {"metadata": {"annotations": {ANNOTATION: wanted}}}
        with suppress(NotFound):
            await self.client.patch(core_v1.Node, key, patch, type=PatchType.STRATEGIC)
        return None
