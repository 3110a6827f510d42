"""A queue of keys to work on: each at most once in the queue, none worked on by two at a time, failed ones later.

While anything is queued or being worked on, virtual time stands still. Upstream: client-go `util/workqueue`.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from pinnace.component.backoff import Backoff, KeyedBackoff
from pinnace.component.clock import Clock, Hold

K = TypeVar("K", bound=Hashable)

# Upstream's default limiter: 5 ms doubled up to 1000 s.
DEFAULT_BACKOFF = Backoff(0.005, 1000.0)


class RateLimitingQueue(Generic[K]):
    """Keys in order of arrival; a key that is added while it is worked on comes again afterwards.

    Life of a key: added → queued → (get) working → (done) gone, or queued again when it was added meanwhile.
    """

    def __init__(self, name: str, clock: Clock, group: asyncio.TaskGroup, backoff: Backoff = DEFAULT_BACKOFF) -> None:
        """Make a queue whose delayed keys wait in `group`."""
        self.name = name
        self._clock = clock
        self._group = group
        self._limiter = KeyedBackoff(backoff)
        self._queue: deque[K] = deque()
        self._dirty: set[K] = set()
        self._working: set[K] = set()
        self._due: dict[K, float] = {}
        self._arrived = asyncio.Event()
        self._hold: Hold | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, key: K) -> None:
        """Queue a key, unless it is queued already."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if self._hold is None:
            self._hold = self._clock.hold(f"workqueue {self.name}")
        if key not in self._working:
            self._queue.append(key)
            self._arrived.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key later; an earlier appointment of the same key stands."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._group.create_task(self._add_at(key, due), name=f"{self.name}: {key} in {seconds:.3g} s")

    async def _add_at(self, key: K, due: float) -> None:
        await self._clock.sleep(due - self._clock.monotonic())
        if self._due.get(key) == due:
            del self._due[key]
            self.add(key)

    def add_rate_limited(self, key: K) -> None:
        """Queue a failed key after its back-off."""
        self.add_after(key, self._limiter.failed(key, self._clock.monotonic()))

    def forget(self, key: K) -> None:
        """Take back the failures of a key."""
        self._limiter.forget(key)

    async def get(self) -> K:
        """Return the next key, waiting for one; `done` must follow."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        key = self._queue.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key has ended, well or not."""
        self._working.discard(key)
        if key in self._dirty:
            self._queue.append(key)
            self._arrived.set()
        if not self._working and not self._dirty and self._hold is not None:
            self._hold.release()
            self._hold = None
