"""Where unscheduled pods wait: active, in back-off, unschedulable, or gated (pkg/scheduler/backend/queue).

    added ──▶ gated ──(gates gone)──▶ active ──pop──▶ in a cycle ──▶ bound: gone
                                        ▲               │ rejected
                       back-off ────────┘               ▼
                          ▲──(an event its plug-ins wait for)── unschedulable

Order of the active queue: priority, then time of arrival. Back-off doubles from 1 s to 10 s per rejection. A pod that no event
reaches is tried again after five minutes. While pods are active, virtual time stands still.
"""

import asyncio
import heapq
import itertools
from collections.abc import Sequence
from typing import Never

from msgspec import Struct, field

from pinnace.api import core_v1
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock, Hold
from pinnace.machinery.meta import key as key_of
from pinnace.scheduler.framework import ClusterEvent, PreEnqueuePlugin

POD_BACKOFF = Backoff(1.0, 10.0)
# Seconds between looks at the back-off, between looks at the unschedulable, and how long these wait at most.
FLUSH_SECONDS, SWEEP_SECONDS, UNSCHEDULABLE_LIMIT_SECONDS = 1.0, 30.0, 300.0


class QueuedPod(Struct, eq=False):
    """A pod on its way to a node."""

    pod: core_v1.Pod
    arrived: float
    attempts: int = 0
    rejected_at: float = 0.0
    # The events that the rejecting plug-ins wait for; None: any.
    waits_for: frozenset[ClusterEvent] | None = field(default=None)

    @property
    def key(self) -> str:
        return key_of(self.pod)

    @property
    def priority(self) -> int:
        return self.pod.spec.priority or 0


class SchedulingQueue:
    """The pods of one scheduler that have no node yet."""

    def __init__(self, clock: Clock, pre_enqueue: Sequence[PreEnqueuePlugin]) -> None:
        self._clock = clock
        self._pre_enqueue = pre_enqueue
        self._order = itertools.count()
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[int, float, int, QueuedPod]] = []
        self._is_active: set[str] = set()
        self._backing_off: dict[str, QueuedPod] = {}
        self._unschedulable: dict[str, QueuedPod] = {}
        self._gated: dict[str, QueuedPod] = {}
        self._arrived = asyncio.Event()
        self._hold: Hold | None = None

    def __len__(self) -> int:
        return len(self._pods)

    def add(self, pod: core_v1.Pod) -> None:
        """Take in a pod that has no node."""
        queued = QueuedPod(pod, self._clock.monotonic())
        self._pods[queued.key] = queued
        self._enqueue(queued)

    def update(self, pod: core_v1.Pod) -> None:
        """Take over a pod's new state; one that was rejected for what it is gets another try."""
        queued = self._pods.get(key_of(pod))
        if queued is None:
            self.add(pod)
            return
        changed = queued.pod.spec != pod.spec or queued.pod.metadata.labels != pod.metadata.labels
        queued.pod = pod
        if changed and (queued.key in self._unschedulable or queued.key in self._gated):
            self._leave(queued)
            self._enqueue(queued)

    def remove(self, key: str) -> None:
        """Forget a pod: it is bound, or gone."""
        queued = self._pods.pop(key, None)
        if queued is not None:
            self._leave(queued)
            self._release_if_idle()

    async def pop(self) -> QueuedPod:
        """Return the next pod to be scheduled, waiting for one."""
        while True:
            while self._active:
                queued = heapq.heappop(self._active)[3]
                if queued.key in self._is_active and self._pods.get(queued.key) is queued:
                    self._is_active.discard(queued.key)
                    queued.attempts += 1
                    return queued
            self._release_if_idle()
            self._arrived.clear()
            await self._arrived.wait()

    def finish_cycle(self) -> None:
        """Say that the popped pod has been placed or rejected."""
        self._release_if_idle()

    def reject(self, queued: QueuedPod, waits_for: frozenset[ClusterEvent] | None) -> None:
        """Put a pod aside until one of these events, or (None) until its back-off is over."""
        if self._pods.get(queued.key) is not queued:
            return
        queued.rejected_at = self._clock.monotonic()
        queued.waits_for = waits_for
        (self._backing_off if waits_for is None else self._unschedulable)[queued.key] = queued

    def move(self, events: frozenset[ClusterEvent]) -> None:
        """Give the pods another try whose rejecting plug-ins wait for one of these events."""
        for queued in list(self._unschedulable.values()):
            if queued.waits_for is None or queued.waits_for & events:
                del self._unschedulable[queued.key]
                self._retry(queued)

    async def run(self) -> Never:
        """Let pods out of back-off, and the long unschedulable back in."""
        last_sweep = self._clock.monotonic()
        async for _ in self._clock.ticker(FLUSH_SECONDS):
            now = self._clock.monotonic()
            for queued in [item for item in self._backing_off.values() if self._backoff_ends(item) <= now]:
                del self._backing_off[queued.key]
                self._activate(queued)
            if now - last_sweep >= SWEEP_SECONDS:
                last_sweep = now
                for queued in list(self._unschedulable.values()):
                    if now - queued.rejected_at > UNSCHEDULABLE_LIMIT_SECONDS:
                        del self._unschedulable[queued.key]
                        self._retry(queued)
        raise AssertionError("a ticker does not end")

    def _enqueue(self, queued: QueuedPod) -> None:
        if all(plugin.pre_enqueue(queued.pod).is_success for plugin in self._pre_enqueue):
            self._activate(queued)
        else:
            self._gated[queued.key] = queued

    def _retry(self, queued: QueuedPod) -> None:
        if self._backoff_ends(queued) > self._clock.monotonic():
            self._backing_off[queued.key] = queued
        else:
            self._activate(queued)

    def _backoff_ends(self, queued: QueuedPod) -> float:
        return queued.rejected_at + POD_BACKOFF.delay(queued.attempts)

    def _activate(self, queued: QueuedPod) -> None:
        heapq.heappush(self._active, (-queued.priority, queued.arrived, next(self._order), queued))
        self._is_active.add(queued.key)
        if self._hold is None:
            self._hold = self._clock.hold("scheduling queue")
        self._arrived.set()

    def _leave(self, queued: QueuedPod) -> None:
        self._is_active.discard(queued.key)
        for place in (self._backing_off, self._unschedulable, self._gated):
            place.pop(queued.key, None)

    def _release_if_idle(self) -> None:
        if not self._is_active and self._hold is not None:
            self._hold.release()
            self._hold = None
