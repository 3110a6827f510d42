"""Ends the pods of a machine that is about to go down: in order of priority, each with a time of its own.

    up ──begin──▶ going down: not ready, no new pods ──group by group──▶ all ended ──▶ off
    ▲                          │
    └────────call off──────────┘

A pod belongs to the group of the highest priority that it reaches, and to the first one if it reaches none. A group that takes longer than
its time is not waited for. Off unless groups are configured. Upstream: kubelet `nodeshutdown/nodeshutdown_manager_linux.go`, KEP-2000, KEP-2712.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from pinnace.client import EventRecorder
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet.admission import Refusal
from pinnace.kubelet.config import ShutdownGroup
from pinnace.kubelet.node_status import about
from pinnace.kubelet.pod_workers import PodWorker

NOT_READY = "node is shutting down"
REFUSAL = Refusal("NodeShutdown", "Pod was rejected as the node is shutting down.")
_REASON, _MESSAGE = "Terminated", "Pod was terminated in response to imminent node shutdown."
_log = get_logger("node-shutdown")


def grouped(
    groups: Sequence[ShutdownGroup], workers: Iterable[PodWorker]
) -> list[tuple[ShutdownGroup, list[PodWorker]]]:
    """Return the groups in the order in which they end, each with its pods."""
    ordered = sorted(groups, key=lambda group: group.priority)
    members: list[list[PodWorker]] = [[] for _ in ordered]
    for worker in workers:
        priority = worker.pod.spec.priority or 0
        place = sum(group.priority <= priority for group in ordered)
        members[max(place - 1, 0)].append(worker)
    return list(zip(ordered, members, strict=True))


class NodeShutdown:
    """The way down of one node. `tell` has the node's condition written, as far as that is possible."""

    def __init__(
        self,
        groups: Sequence[ShutdownGroup],
        node_name: str,
        clock: Clock,
        events: EventRecorder,
        *,
        workers: Callable[[], Iterable[PodWorker]],
        tell: Callable[[], Awaitable[None]],
    ) -> None:
        self._groups, self._node_name, self._clock, self._events = groups, node_name, clock, events
        self._workers, self._tell = workers, tell
        self.is_going_on = False

    async def begin(self) -> None:
        """End all pods; returns when they have ended or had their time. Harmless when it is going on."""
        if self.is_going_on:
            return
        self.is_going_on = True
        self._event("event")
        await self._tell()
        for group, workers in grouped(self._groups, self._workers()):
            await self._end(group, workers)

    async def call_off(self) -> None:
        """Take pods again; harmless when the node is not on its way down."""
        if self.is_going_on:
            self.is_going_on = False
            self._event("cancellation")
            await self._tell()

    async def _end(self, group: ShutdownGroup, workers: Sequence[PodWorker]) -> None:
        for worker in workers:
            asked = worker.pod.spec.termination_grace_period_seconds
            worker.end(_REASON, _MESSAGE, group.seconds if asked is None else min(asked, group.seconds))
        try:
            async with self._clock.timeout(group.seconds):
                for worker in workers:
                    await worker.wait_ended()
        except TimeoutError:
            _log.warning("pods did not end in time", priority=group.priority, seconds=group.seconds)

    def _event(self, what: str) -> None:
        text = f"Shutdown manager detected shutdown {what}"
        self._events.event(about(self._node_name), "Normal", "Shutdown", text)
