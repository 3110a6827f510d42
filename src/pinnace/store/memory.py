"""The store in memory: for tests, for forks, and for clusters that may be forgotten.

Writes happen at once, in the step that asks for them. The log since the last compaction is kept, so that old revisions can be
read by undoing what came after. `fork` copies the references, not the contents.
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pinnace.component.clock import Clock
from pinnace.store.head import Head
from pinnace.store.interface import (
    Compacted,
    Conflict,
    Event,
    EventKind,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    KeyValue,
    Page,
    Revision,
    Status,
    Store,
    Watch,
)
from pinnace.store.watch_hub import WatchHub


class MemoryStore(Store):
    """Keys and their history in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._head = Head()
        self._log: list[Event] = []
        self._revision = Revision(1)
        self._compacted = Revision(0)
        self._hub = WatchHub(clock)

    def fork(self) -> "MemoryStore":
        """Return a store with the same content, revision and history, which goes its own way from here."""
        forked = MemoryStore(self._clock)
        forked._head = self._head.copy()
        forked._log = list(self._log)
        forked._revision = self._revision
        forked._compacted = self._compacted
        return forked

    async def get(self, key: str, *, revision: Revision | None = None) -> KeyValue | None:
        return self._at(revision).get(key)

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: Revision | None = None) -> Page:
        return self._at(revision).page(prefix, start, limit, self._revision if revision is None else revision)

    async def create(self, key: str, value: bytes) -> Revision:
        if self._head.get(key) is not None:
            raise KeyExists(key)
        revision = self._next()
        self._write(Event(EventKind.PUT, key, value, revision, revision, None))
        return revision

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        current = self._head.get(key)
        if current is None or current.mod_revision != expected:
            raise Conflict(current)
        revision = self._next()
        self._write(Event(EventKind.PUT, key, value, revision, current.create_revision, current))
        return revision

    async def delete(self, key: str, *, expected: Revision | None = None) -> KeyValue:
        current = self._head.get(key)
        if current is None:
            raise KeyNotFound(key)
        if expected is not None and current.mod_revision != expected:
            raise Conflict(current)
        revision = self._next()
        self._write(Event(EventKind.DELETE, key, b"", revision, current.create_revision, current))
        return KeyValue(key, current.value, current.create_revision, revision)

    def watch(self, prefix: str, *, after: Revision) -> AbstractAsyncContextManager[Watch]:
        if after < self._compacted:
            raise Compacted(Revision(self._compacted + 1))
        return self._hub.subscribe(prefix, lambda: self._since(after))

    async def compact(self, revision: Revision) -> None:
        revision = min(revision, self._revision)
        if revision > self._compacted:
            self._compacted = revision
            del self._log[: bisect_right(self._log, revision, key=_revision_of)]

    def status(self) -> Status:
        return Status(self._revision, self._compacted)

    def _next(self) -> Revision:
        return Revision(self._revision + 1)

    def _write(self, event: Event) -> None:
        self._revision = event.revision
        self._head.apply(event)
        self._log.append(event)
        self._hub.publish((event,))

    def _since(self, revision: Revision) -> Sequence[Event]:
        return self._log[bisect_right(self._log, revision, key=_revision_of) :]

    def _at(self, revision: Revision | None) -> Head:
        if revision is None or revision == self._revision:
            return self._head
        if revision > self._revision:
            raise FutureRevision(self._revision)
        if revision < self._compacted:
            raise Compacted(Revision(self._compacted + 1))
        past = self._head.copy()
        for event in reversed(self._since(revision)):
            past.undo(event)
        return past


def _revision_of(event: Event) -> Revision:
    return event.revision


@asynccontextmanager
async def open_memory(clock: Clock) -> AsyncIterator[MemoryStore]:
    """Open an empty store, gone with the block."""
    yield MemoryStore(clock)
