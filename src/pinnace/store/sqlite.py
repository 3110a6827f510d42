"""The durable store of one server: an append-only log in SQLite beside the newest content in memory.

Writes that arrive while a commit runs form the next group, which costs one sync whatever its size. Invariant: nothing of a group is
visible to readers, watchers or writers before the group is on disk; a write to a key with a write in flight waits for that one's
end. A failed group fails every write in it and behind it; then the file is read anew, because a commit that failed may have
happened, and writes are refused until the disk takes them again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Never, TypeVar

import apsw

from pinnace.component.clock import Clock, Hold
from pinnace.component.lifecycle import running
from pinnace.store.disk import Disk, Row
from pinnace.store.head import Head
from pinnace.store.interface import (
    CannotOpen,
    Conflict,
    Event,
    EventKind,
    KeyExists,
    KeyNotFound,
    KeyValue,
    Revision,
    Status,
    Unavailable,
)
from pinnace.store.memory import MemoryStore

T = TypeVar("T")
RETRY_SECONDS = 1.0


class _Write:
    """A write that has been checked and waits for its group."""

    __slots__ = ("create_revision", "done", "key", "value")

    def __init__(self, key: str, value: bytes | None, create_revision: int) -> None:
        self.key = key
        self.value = value
        self.create_revision = create_revision
        self.done: asyncio.Future[Revision] = asyncio.get_running_loop().create_future()
        # A writer that was cancelled leaves nobody to collect the failure.
        self.done.add_done_callback(lambda done: done.cancelled() or done.exception())


class SqliteStore(MemoryStore):
    """Reads as the memory store does; writes wait for the disk."""

    def __init__(self, disk: Disk, thread: ThreadPoolExecutor, clock: Clock) -> None:
        super().__init__(clock)
        self._disk = disk
        self._thread = thread
        self._queue: list[_Write] = []
        self._in_flight: dict[str, _Write] = {}
        self._wanted = asyncio.Event()
        self._hold: Hold | None = None
        self._refusal = ""
        # Bytes of the file when it was last written: reads ask for the status, and should not have to ask the disk.
        self._size = 0
        self._closing = False

    async def create(self, key: str, value: bytes) -> Revision:
        await self._settled(key)
        if self._head.get(key) is not None:
            raise KeyExists(key)
        return await self._submit(_Write(key, value, 0))

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        await self._settled(key)
        current = self._head.get(key)
        if current is None or current.mod_revision != expected:
            raise Conflict(current)
        return await self._submit(_Write(key, value, current.create_revision))

    async def delete(self, key: str, *, expected: Revision | None = None) -> KeyValue:
        await self._settled(key)
        current = self._head.get(key)
        if current is None:
            raise KeyNotFound(key)
        if expected is not None and current.mod_revision != expected:
            raise Conflict(current)
        revision = await self._submit(_Write(key, None, current.create_revision))
        return KeyValue(key, current.value, current.create_revision, revision)

    async def compact(self, revision: Revision) -> None:
        revision = min(revision, self._revision)
        if revision <= self._compacted:
            return
        try:
            self._size = await self.on_thread(lambda: self._disk.compact(revision))
        except apsw.Error as error:
            raise Unavailable(f"the history could not be compacted: {error}") from error
        await super().compact(revision)

    def status(self) -> Status:
        return Status(self._revision, self._compacted, not self._refusal, self._refusal, self._size)

    async def load(self) -> None:
        """Read the whole file."""
        compacted, rows = await self.on_thread(self._disk.read)
        self._size = await self.on_thread(self._disk.size)
        self._compacted = Revision(compacted)
        newest: dict[str, KeyValue] = {}
        for row in rows:
            event = _event(row, newest.get(row.key))
            if event.key_value is None:
                newest.pop(row.key, None)
            else:
                newest[row.key] = event.key_value
            if row.revision > compacted:
                self._log.append(event)
        self._head = Head(newest[key] for key in sorted(newest))
        self._revision = Revision(max(self._revision, compacted, rows[-1].revision if rows else 0))

    async def run(self) -> Never:
        """Commit group after group."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._refusal:
                await self._recover()
                continue
            group, self._queue = self._queue, []
            if group:
                await self._commit(group)

    async def drain(self) -> None:
        """Refuse new writes, and wait for the end of those that are under way."""
        self._closing = True
        while self._in_flight:
            await asyncio.wait([write.done for write in self._in_flight.values()])

    async def _settled(self, key: str) -> None:
        """Wait until no write to a key is under way: what it will be is not to be known before it is durable."""
        while (write := self._in_flight.get(key)) is not None:
            await asyncio.wait([write.done])

    async def _submit(self, write: _Write) -> Revision:
        if self._refusal or self._closing:
            raise Unavailable(self._refusal or "the store is closing")
        if self._hold is None:
            self._hold = self._clock.hold("store write")
        self._in_flight[write.key] = write
        self._queue.append(write)
        self._wanted.set()
        return await asyncio.shield(write.done)

    async def _commit(self, group: list[_Write]) -> None:
        rows = [
            Row(revision, write.key, write.value, write.create_revision or revision)
            for revision, write in enumerate(group, self._revision + 1)
        ]
        try:
            self._size = await self.on_thread(lambda: self._disk.append(rows))
        except apsw.Error as error:
            self._fail(group, f"the disk refuses writes: {error}")
            return
        self._show(rows)
        for row, write in zip(rows, group, strict=True):
            del self._in_flight[write.key]
            write.done.set_result(Revision(row.revision))
        self._release()
        if self._queue:
            self._wanted.set()

    def _fail(self, group: list[_Write], reason: str) -> None:
        self._refusal = reason
        behind, self._queue = self._queue, []
        for write in (*group, *behind):
            del self._in_flight[write.key]
            write.done.set_exception(Unavailable(reason))
        self._release()
        self._wanted.set()

    async def _recover(self) -> None:
        """Read the file until it can be written, and show what a failed group may have left in it."""
        while True:
            try:
                await self.on_thread(self._disk.reopen)
                _, rows = await self.on_thread(lambda: self._disk.read(self._revision))
                break
            except (apsw.Error, CannotOpen):
                await self._clock.sleep(RETRY_SECONDS)
        self._show(rows)
        self._refusal = ""

    def _show(self, rows: list[Row]) -> None:
        """Let everyone see what is on disk."""
        events = []
        for row in rows:
            event = _event(row, self._head.get(row.key))
            self._head.apply(event)
            events.append(event)
        if events:
            self._log += events
            self._revision = events[-1].revision
            self._hub.publish(events)

    def _release(self) -> None:
        if self._hold is not None and not self._in_flight:
            self._hold.release()
            self._hold = None

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Run something that blocks where all access to the file happens."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _event(row: Row, previous: KeyValue | None) -> Event:
    kind = EventKind.DELETE if row.value is None else EventKind.PUT
    return Event(kind, row.key, row.value or b"", Revision(row.revision), Revision(row.create_revision), previous)


@asynccontextmanager
async def open_sqlite(path: Path | str, clock: Clock, *, vfs: str | None = None) -> AsyncIterator[SqliteStore]:
    """Open a file for one server, making it when it is not there; `vfs` names another file layer of SQLite.

    Raises:
        CannotOpen: it is in use, damaged, or not ours.
    """
    disk = Disk(Path(path), vfs)
    with ThreadPoolExecutor(1, thread_name_prefix="store") as thread:
        store = SqliteStore(disk, thread, clock)
        await store.on_thread(disk.open)
        try:
            try:
                await store.load()
            except apsw.Error as error:
                raise CannotOpen(f"{path} is damaged: {error}") from error
            async with running("store writer", store.run):
                try:
                    yield store
                finally:
                    await store.drain()
        finally:
            await store.on_thread(disk.close)
