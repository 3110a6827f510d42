"""Follows the store once for all resources, and knows how far the caches have come.

One watch of everything, instead of one a resource, gives each list and each bookmark a revision that holds for the whole store
without asking it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Never

from pinnace.api.resources import Resource
from pinnace.apiserver.storage.entry import FieldsOf
from pinnace.apiserver.storage.resource_storage import Progress, ResourceStorage
from pinnace.component.clock import Clock
from pinnace.component.lifecycle import running
from pinnace.machinery import errors
from pinnace.store.interface import Event, Revision, Store

ROOT = "/registry/"
# How long a read waits for a revision that its client has seen elsewhere; upstream's limit.
FRESHNESS_SECONDS = 3.0


class Storage(Progress):
    """All resources of a server over one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._resources: dict[str, ResourceStorage[Any]] = {}
        self._applied = 0
        self._moved = asyncio.Event()

    def add(
        self, resource: Resource, *, fields_of: FieldsOf, indexed: frozenset[str] = frozenset()
    ) -> ResourceStorage[Any]:
        """Return the storage of a resource; all are to be added before `running`."""
        storage: ResourceStorage[Any] = ResourceStorage(
            resource, self._store, self._clock, self, fields_of=fields_of, indexed=indexed
        )
        self._resources[storage.prefix.removeprefix(ROOT).partition("/")[0]] = storage
        return storage

    @property
    def resources(self) -> Mapping[str, ResourceStorage[Any]]:
        return self._resources

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fill the caches, and follow the store while the body runs."""
        start: int = self._store.status().revision
        for storage in self._resources.values():
            start = min(start, await storage.fill())
        self._applied = start
        async with self._store.watch(ROOT, after=Revision(start)) as batches:

            async def follow() -> Never:
                async for batch in batches:
                    self._apply(batch)
                raise AssertionError("a store's watch ends by an error only")

            async with running("storage dispatcher", follow):
                try:
                    yield
                finally:
                    self.end_watches()

    def _apply(self, batch: Sequence[Event]) -> None:
        """Follow writes that were committed together, and tell the watchers of each resource of all of them at once.

        Watchers come before writers: a controller of this process that goes on after its write then finds it in its cache, too.
        """
        changed: dict[ResourceStorage[Any], None] = {}
        for event in batch:
            storage = self._resources.get(event.key[len(ROOT) :].partition("/")[0])
            if storage is not None:
                storage.apply(event)
                changed[storage] = None
        for storage in changed:
            storage.tell()
        self._applied = batch[-1].revision
        self._wake()

    def end_watches(self) -> None:
        """End every watch of every resource."""
        for storage in self._resources.values():
            storage.end_watches()

    def newest(self) -> int:
        return self._store.status().revision

    async def wait_applied(self, revision: int) -> None:
        while self._applied < revision:
            await self._moved.wait()

    async def wait_written(self, revision: int) -> None:
        if self.newest() >= revision:
            await self.wait_applied(revision)
            return
        try:
            async with self._clock.timeout(FRESHNESS_SECONDS):
                with self._clock.waiting():
                    while self.newest() < revision:
                        await self._moved.wait()
        except TimeoutError as error:
            message = f"Too large resource version: {revision}, current: {self.newest()}"
            cause = errors.Cause("ResourceVersionTooLarge", "Too large resource version")
            raise errors.timeout(message, retry_after_seconds=1, causes=(cause,)) from error
        await self.wait_applied(revision)

    def _wake(self) -> None:
        """Wake all who wait now; who comes later waits for the next move."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
