"""Hands each write to the watchers of its prefix.

There is one watcher a resource, not one a client (the API server's watch cache serves those), so a list of watchers is index
enough. Each has a bounded queue; when that is full, the watcher is told so instead of missing a write.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from pinnace.component.clock import Clock, Hold
from pinnace.store.interface import Event, Watch, WatchTooSlow

# Writes that may wait for one watcher. A watch cache that is this far behind is better off listing anew.
QUEUE_LIMIT_EVENTS = 100_000


class _Queue:
    """The writes that wait for one watcher."""

    def __init__(self, prefix: str, clock: Clock, limit: int) -> None:
        self.prefix = prefix
        self._clock = clock
        self._limit = limit
        self._waiting: list[Event] = []
        self._hold: Hold | None = None
        self._arrived = asyncio.Event()
        self._overflowed = False

    def put(self, events: Iterable[Event]) -> None:
        """Queue the writes to this prefix; past the limit drop them all and remember that."""
        self._waiting += [event for event in events if event.key.startswith(self.prefix)]
        if len(self._waiting) > self._limit:
            self._waiting.clear()
            self._overflowed = True
        elif self._waiting and self._hold is None:
            self._hold = self._clock.hold("store watch")
        if self._waiting or self._overflowed:
            self._arrived.set()

    async def batches(self) -> AsyncIterator[tuple[Event, ...]]:
        """Yield what waits, again and again; a batch counts as delivered when the next one is asked for."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._overflowed:
                raise WatchTooSlow("the watcher fell behind and its queue was dropped")
            batch, self._waiting = tuple(self._waiting), []
            hold, self._hold = self._hold, None
            try:
                if batch:
                    yield batch
            finally:
                if hold is not None:
                    hold.release()

    def close(self) -> None:
        """Let time go on whatever was waiting."""
        self._waiting.clear()
        if self._hold is not None:
            self._hold.release()
            self._hold = None


class WatchHub:
    """The watchers of one store, told in the order in which they came."""

    def __init__(self, clock: Clock, *, limit: int = QUEUE_LIMIT_EVENTS) -> None:
        self._clock = clock
        self._limit = limit
        self._queues: dict[_Queue, None] = {}

    def publish(self, events: Sequence[Event]) -> None:
        """Hand out writes, in the order of their revisions."""
        for queue in self._queues:
            queue.put(events)

    @asynccontextmanager
    async def subscribe(self, prefix: str, history: Callable[[], Sequence[Event]]) -> AsyncIterator[Watch]:
        """Follow a prefix; `history` gives the writes that come first, and runs in the same step as the subscription."""
        queue = _Queue(prefix, self._clock, self._limit)
        queue.put(history())
        self._queues[queue] = None
        batches = queue.batches()
        try:
            yield batches
        finally:
            self._queues.pop(queue, None)
            queue.close()
