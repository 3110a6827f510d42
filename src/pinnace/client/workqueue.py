"""A queue of keys to work on: each at most once in the queue, none worked on by two at a time, failed ones later.

A failed key waits for the longer of its own back-off and of a bucket that all failures of the queue share, so that a thousand keys
that fail together do not come back together. While anything is queued or being worked on, virtual time stands still. Upstream:
client-go `util/workqueue`.
"""

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from pinnace.component.backoff import Backoff, KeyedBackoff
from pinnace.component.clock import Clock, Hold
from pinnace.component.metrics import Metrics

K = TypeVar("K", bound=Hashable)

# Upstream's default limiter: 5 ms doubled up to 1000 s for a key, 10 a second after a burst of 100 for the queue.
DEFAULT_BACKOFF = Backoff(0.005, 1000.0)
BUCKET_RATE, BUCKET_BURST = 10.0, 100
# Seconds by which a timer may ring early, as an event loop counts whole milliseconds.
_EARLY_SECONDS = 0.001
# Seconds; upstream's bounds of the histograms of queues.
_SECONDS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)


class TokenBucket:
    """Lets through `burst` at once and `rate` a second after that; who comes too early is told how long to wait."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._tokens, self._filled = float(burst), 0.0

    def reserve(self, now: float) -> float:
        """Take a token, of the future if need be, and return the seconds until it is there."""
        self._fill(now)
        self._tokens -= 1.0
        return max(-self._tokens / self._rate, 0.0)

    def accepts(self, now: float) -> bool:
        """Take a token if there is one."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self, now: float) -> None:
        self._tokens = min(self._tokens + (now - self._filled) * self._rate, self._burst)
        self._filled = now


class _QueueMetrics:
    """Upstream's metrics of one queue."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        labels = ("name",)
        self.depth = metrics.gauge("workqueue_depth", "Current depth of workqueue.", labels).labels(name)
        self.adds = metrics.counter("workqueue_adds", "Number of adds handled by workqueue.", labels).labels(name)
        self.retries = metrics.counter("workqueue_retries", "Number of retries handled by workqueue.", labels).labels(
            name
        )
        self.waited = metrics.histogram(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested.",
            labels,
            _SECONDS,
        ).labels(name)
        self.worked = metrics.histogram(
            "workqueue_work_duration_seconds",
            "How long in seconds processing an item from workqueue takes.",
            labels,
            _SECONDS,
        ).labels(name)


class RateLimitingQueue(Generic[K]):
    """Keys in order of arrival; a key that is added while it is worked on comes again afterwards.

    Life of a key: added → queued → (get) working → (done) gone, or queued again when it was added meanwhile.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        backoff: Backoff = DEFAULT_BACKOFF,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self.name = name
        self._metrics = _QueueMetrics(metrics, name) if metrics is not None else None
        self._bucket = TokenBucket(BUCKET_RATE, BUCKET_BURST)
        self._since: dict[K, float] = {}
        self._clock = clock
        self._limiter = KeyedBackoff(backoff)
        self._queue: deque[K] = deque()
        self._dirty: dict[K, None] = {}
        self._working: dict[K, None] = {}
        # Keys that come later, and when; the heap has them in that order, and entries that no longer hold. One timer serves all.
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._timer_due = math.inf
        self._cancel_timer: Callable[[], None] = lambda: None
        self._arrived = asyncio.Event()
        self._hold: Hold | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, key: K) -> None:
        """Queue a key, unless it is queued already."""
        if key in self._dirty:
            return
        self._dirty[key] = None
        if self._metrics is not None:
            self._metrics.adds.inc()
            self._since[key] = self._clock.monotonic()
        if self._hold is None:
            self._hold = self._clock.hold(f"workqueue {self.name}")
        if key not in self._working:
            self._append(key)

    def outstanding(self) -> Iterable[K]:
        """Return every key that is queued, worked on, or to come later."""
        return list(dict.fromkeys((*self._dirty, *self._working, *self._due)))

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key later; an earlier appointment of the same key stands."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._order), key))
        self._set_timer()

    def add_rate_limited(self, key: K) -> None:
        """Queue a failed key after its back-off."""
        if self._metrics is not None:
            self._metrics.retries.inc()
        now = self._clock.monotonic()
        self.add_after(key, max(self._limiter.failed(key, now), self._bucket.reserve(now)))

    def failures(self, key: K) -> int:
        """Return how often a key has failed in a row."""
        return self._limiter.failures(key)

    def forget(self, key: K) -> None:
        """Take back the failures of a key."""
        self._limiter.forget(key)

    async def get(self) -> K:
        """Return the next key, waiting for one; `done` must follow."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        key = self._queue.popleft()
        self._dirty.pop(key, None)
        self._working[key] = None
        if self._metrics is not None:
            now = self._clock.monotonic()
            self._metrics.depth.set(len(self._queue))
            self._metrics.waited.observe(now - self._since.get(key, now))
            self._since[key] = now
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key has ended, well or not."""
        self._working.pop(key, None)
        if self._metrics is not None:
            now = self._clock.monotonic()
            self._metrics.worked.observe(now - self._since.pop(key, now))
        if key in self._dirty:
            self._append(key)
        if not self._working and not self._dirty and self._hold is not None:
            self._hold.release()
            self._hold = None

    def close(self) -> None:
        """Give up: nothing of this queue is going on any more."""
        self._queue.clear()
        self._dirty.clear()
        self._working.clear()
        self._later.clear()
        self._cancel_timer()
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _set_timer(self) -> None:
        """Have the timer ring when the next key is due."""
        if self._later and self._later[0][0] < self._timer_due:
            self._cancel_timer()
            self._timer_due = self._later[0][0]
            self._cancel_timer = self._clock.call_later(self._timer_due - self._clock.monotonic(), self._add_due)

    def _add_due(self) -> None:
        now = self._clock.monotonic()
        while self._later and self._later[0][0] <= now + _EARLY_SECONDS:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._timer_due = math.inf
        self._set_timer()

    def _append(self, key: K) -> None:
        self._queue.append(key)
        self._arrived.set()
        if self._metrics is not None:
            self._metrics.depth.set(len(self._queue))
