"""The loop that every controller runs: take a key, reconcile, and come back later when that failed.

A controller says what to watch and what to do about one key; this says when. Keys of one controller are worked on by a few workers,
never the same key by two. A failure is logged, counted as back-off of that key, and touches nothing else; when the whole loop fails,
whoever runs it again finds every key that was still to be looked at. Upstream: pkg/controller, client-go `util/workqueue`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Never, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.client import Client, EventRecorder, EventWriter, InformerFactory, RateLimitingQueue
from pinnace.client.events import WAITING_LIMIT
from pinnace.client.workqueue import DEFAULT_BACKOFF
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.controllers.pod_control import is_terminating
from pinnace.machinery.errors import ApiError, Conflict
from pinnace.machinery.meta import key as key_of

T = TypeVar("T", bound=Struct)


class Controller(ABC):
    """One controller; made, given its queue by `run`, and then woken by its informers."""

    # Upstream's name: its identity is `system:serviceaccount:kube-system:<name>`.
    name: str
    # What its events say they come from.
    component: str
    # Keys worked on at a time.
    workers: ClassVar[int] = 5
    # How long a key that fails waits.
    backoff: ClassVar[Backoff] = DEFAULT_BACKOFF
    # Its events that may wait to be written; those that come then are dropped.
    events_limit: ClassVar[int] = WAITING_LIMIT
    # Failures in a row after which a key waits for its next change instead; None never gives up.
    retry_limit: ClassVar[int | None] = None

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        self.client = client
        self.informers = informers
        self.clock = clock
        writer = EventWriter(clock, waiting_limit=self.events_limit)
        self.recorder = EventRecorder(client, clock, component=self.component, writer=writer)
        self.log = get_logger(self.name)
        self._queue: RateLimitingQueue[str] | None = None
        self._early: dict[str, None] = {}
        metrics = informers.metrics
        self._failures = (
            metrics.counter("pinnace_controller_reconcile_failures", "Reconciles that failed.", ("controller",)).labels(
                self.label
            )
            if metrics is not None
            else None
        )

    @property
    def label(self) -> str:
        """What queue, metrics and tasks are called; controllers of one account differ in it."""
        return type(self).__name__

    @abstractmethod
    async def reconcile(self, key: str) -> float | None:
        """Bring one object's world into order; return seconds after which to look again, None for when it changes.

        Level-triggered: looks at what is, not at what happened, and may be called at any time and again.
        """

    def enqueue(self, obj: Any) -> None:
        """Have an object looked at."""
        self.enqueue_key(key_of(obj))

    def enqueue_key(self, key: str) -> None:
        """Have a key looked at."""
        if self._queue is None:
            self._early[key] = None
        else:
            self._queue.add(key)

    def enqueue_after(self, key: str, seconds: float) -> None:
        """Have a key looked at later."""
        if self._queue is None:
            self._early[key] = None
        else:
            self._queue.add_after(key, seconds)

    async def write_status(self, obj: T, status: Struct) -> T:
        """Store an object's status; the object's resourceVersion is a precondition.

        Raises:
            ApiError: Conflict when somebody else wrote first, and others.
        """
        return await self.client.update(replace(obj, status=status), subresource="status")

    async def run(self) -> Never:
        """Work for ever, beginning when the caches are filled."""
        await self.informers.wait_synced()
        queue: RateLimitingQueue[str] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                queue = self._queue = RateLimitingQueue(
                    self.label, self.clock, self.backoff, metrics=self.informers.metrics
                )
                group.create_task(self.recorder.run(), name=f"{self.label} events")
                for number in range(self.workers):
                    group.create_task(self._work(queue), name=f"{self.label} worker {number}")
                early, self._early = self._early, {}
                for key in early:
                    queue.add(key)
                group.create_task(self.run_beside(), name=f"{self.label} by the clock")
                await asyncio.Event().wait()
        finally:
            if queue is not None:
                self._early |= dict.fromkeys(queue.outstanding())
                queue.close()
                self._queue = None
        raise AssertionError("workers run until they are cancelled")

    async def run_beside(self) -> None:  # noqa: B027 - most have nothing
        """Do what goes by the clock rather than by keys; nothing by default."""

    async def every(self, seconds: float, look: Callable[[], Awaitable[None]]) -> Never:
        """Look at something again and again, the first time after one period; a failed look is logged and counted."""
        async for _ in self.clock.ticker(seconds):
            try:
                await look()
            except (ApiError, HttpError, OSError, TimeoutError) as error:
                self._count_failure()
                self.log.warning("periodic look failed", error=str(error))
            except Exception:  # the next look may do better
                self._count_failure()
                self.log.exception("periodic look failed")
        raise AssertionError("tickers never end")

    async def _work(self, queue: RateLimitingQueue[str]) -> Never:
        while True:
            key = await queue.get()
            try:
                again = await self.reconcile(key)
            except Conflict:
                # Somebody else wrote first; the informer brings the news, this makes sure that it is looked at.
                queue.add_rate_limited(key)
            except (ApiError, HttpError, OSError, TimeoutError) as error:
                if isinstance(error, ApiError) and is_terminating(error):
                    # Nothing can be made there any more, however often it is tried.
                    self.log.debug("left alone: its namespace is on its way out", key=key)
                    queue.forget(key)
                else:
                    self.log.warning("reconcile failed", key=key, error=str(error))
                    self._retry(queue, key)
            except Exception:  # a bug about one object must not stop the others
                self.log.exception("reconcile failed", key=key)
                self._retry(queue, key)
            else:
                queue.forget(key)
                if again is not None:
                    queue.add_after(key, again)
            finally:
                queue.done(key)

    def _retry(self, queue: RateLimitingQueue[str], key: str) -> None:
        self._count_failure()
        if self.retry_limit is not None and queue.failures(key) >= self.retry_limit:
            self.log.warning("given up until the next change", key=key, failures=queue.failures(key))
            queue.forget(key)
        else:
            queue.add_rate_limited(key)

    def _count_failure(self) -> None:
        if self._failures is not None:
            self._failures.inc()
