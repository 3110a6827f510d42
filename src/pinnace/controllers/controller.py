"""The loop that every controller runs: take a key, reconcile, and come back later when that failed.

A controller says what to watch and what to do about one key; this says when. Keys of one controller are worked on by a few workers,
never the same key by two. A failure is logged, counted as back-off of that key, and touches nothing else. Upstream:
pkg/controller, client-go `util/workqueue`.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Never

from pinnace.client import Client, EventRecorder, InformerFactory, RateLimitingQueue
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.machinery.errors import ApiError, Conflict
from pinnace.machinery.meta import key as key_of

WORKERS = 5


class Controller(ABC):
    """One controller; made, given its queue by `run`, and then woken by its informers."""

    # Upstream's name: its identity is `system:serviceaccount:kube-system:<name>`.
    name: str
    # What its events say they come from.
    component: str

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        self.client = client
        self.informers = informers
        self.clock = clock
        self.recorder = EventRecorder(client, clock, component=self.component)
        self.log = get_logger(self.name)
        self._queue: RateLimitingQueue[str] | None = None
        self._early: set[str] = set()

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
            self._early.add(key)
        else:
            self._queue.add(key)

    def enqueue_after(self, key: str, seconds: float) -> None:
        """Have a key looked at later."""
        if self._queue is not None:
            self._queue.add_after(key, seconds)

    async def run(self) -> Never:
        """Work for ever, beginning when the caches are filled."""
        await self.informers.wait_synced()
        async with asyncio.TaskGroup() as group:
            self._queue = RateLimitingQueue(self.name, self.clock, group)
            group.create_task(self.recorder.run(), name=f"{self.name} events")
            for number in range(WORKERS):
                group.create_task(self._work(self._queue), name=f"{self.name} worker {number}")
            for key in sorted(self._early):
                self._queue.add(key)
            self._early.clear()
            await self.run_beside()
            await asyncio.Event().wait()
        raise AssertionError("workers run until they are cancelled")

    async def run_beside(self) -> None:  # noqa: B027 - most have nothing
        """Do what goes by the clock rather than by keys; nothing by default."""

    async def _work(self, queue: RateLimitingQueue[str]) -> Never:
        while True:
            key = await queue.get()
            try:
                again = await self.reconcile(key)
            except Conflict:
                # Somebody else wrote first; the informer brings the news, this makes sure that it is looked at.
                queue.add_rate_limited(key)
            except (ApiError, HttpError, OSError, TimeoutError) as error:
                self.log.warning("reconcile failed", key=key, error=str(error))
                queue.add_rate_limited(key)
            except Exception:  # a bug about one object must not stop the others
                self.log.exception("reconcile failed", key=key)
                queue.add_rate_limited(key)
            else:
                queue.forget(key)
                if again is not None:
                    queue.add_after(key, again)
            finally:
                queue.done(key)
