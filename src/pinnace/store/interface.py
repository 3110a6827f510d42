"""The store: bytes under keys, one revision a write, and a log that can be followed.

Keys look like etcd's (`/registry/pods/default/web`); values are opaque. Every write gets the next revision of the whole store, and
what a reader, a watcher or the answer to a writer shows is on stable storage, as far as the driver has one. The store knows no
kind and no user. Semantics follow etcd's: github.com/etcd-io/etcd, `api_guarantees`.

    StoreError
    ├── KeyExists        create of a key that is there
    ├── KeyNotFound      delete of a key that is not
    ├── Conflict         the key is not at the expected revision
    ├── Compacted        a read or watch from before the history that is kept
    ├── FutureRevision   a read at a revision that has not been written
    ├── WatchTooSlow     a watcher fell so far behind that its queue was dropped
    ├── Unavailable      nothing can be written now; the text says why
    └── CannotOpen       the store's file is in use, damaged or not ours
"""

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import NewType, Protocol, TypeAlias

from msgspec import Struct

Revision = NewType("Revision", int)


class StoreError(Exception):
    """A request that the store did not carry out."""


class KeyExists(StoreError):
    """The key is there already."""


class KeyNotFound(StoreError):
    """The key is not there."""


class Conflict(StoreError):
    """The key is not at the expected revision; `current` is what is there, None when nothing is."""

    def __init__(self, current: "KeyValue | None") -> None:
        super().__init__("the key is not at the expected revision")
        self.current = current


class Compacted(StoreError):
    """The history asked for is gone; `oldest` is the first revision that can still be read."""

    def __init__(self, oldest: Revision) -> None:
        super().__init__(f"the history before revision {oldest} has been compacted")
        self.oldest = oldest


class FutureRevision(StoreError):
    """The revision asked for has not been written; `current` is the newest."""

    def __init__(self, current: Revision) -> None:
        super().__init__(f"the newest revision is {current}")
        self.current = current


class WatchTooSlow(StoreError):
    """The watcher did not keep up; it has to list and start anew."""


class Unavailable(StoreError):
    """The store cannot write."""


class CannotOpen(StoreError):
    """The store could not be opened; the text says why."""


class DiskRefuses(CannotOpen):
    """The disk does not take what a store needs: it is full, or not this user's to write."""


class KeyValue(Struct, frozen=True, gc=False):
    """A key's content as of one revision."""

    key: str
    value: bytes
    create_revision: Revision
    mod_revision: Revision


class EventKind(Enum):
    """What happened to a key."""

    PUT = "PUT"
    DELETE = "DELETE"


class Event(Struct, frozen=True, gc=False):
    """One write. `value` is the new content, empty for a deletion; `previous` what was there before."""

    kind: EventKind
    key: str
    value: bytes
    revision: Revision
    create_revision: Revision
    previous: KeyValue | None

    @property
    def key_value(self) -> KeyValue | None:
        """The content after the event; None after a deletion."""
        if self.kind is EventKind.DELETE:
            return None
        return KeyValue(self.key, self.value, self.create_revision, self.revision)


class Page(Struct, frozen=True, gc=False):
    """A part of a listing, in the order of keys; `remaining` counts what follows it under the same prefix."""

    items: tuple[KeyValue, ...]
    revision: Revision
    remaining: int = 0


class Status(Struct, frozen=True):
    """How the store is; `reason` says what is wrong when it is not healthy."""

    revision: Revision
    compacted_revision: Revision
    healthy: bool = True
    reason: str = ""
    size_bytes: int = 0


# Events in the order of their revisions, several at a time when several wait.
Watch: TypeAlias = AsyncIterator[tuple[Event, ...]]


class Store(Protocol):
    """What the API server keeps its objects in. One process writes at a time."""

    @abstractmethod
    async def get(self, key: str, *, revision: Revision | None = None) -> KeyValue | None:
        """Return a key's content, now or as of a revision; None when it was not there.

        Raises:
            Compacted: that revision is too old.
            FutureRevision: it has not been written.
        """

    @abstractmethod
    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: Revision | None = None) -> Page:
        """Return the keys that begin with `prefix`, in order, from `start` (inclusive) on, at most `limit` when that is over 0.

        Raises:
            Compacted, FutureRevision: as `get`.
        """

    @abstractmethod
    async def create(self, key: str, value: bytes) -> Revision:
        """Put a new key, and return its revision once it is durable.

        Cancelling the wait does not take the write back.

        Raises:
            KeyExists: it is there.
            Unavailable: it could not be stored.
        """

    @abstractmethod
    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        """Replace a key's content if it is at this revision, and return the new one once it is durable.

        Raises:
            Conflict: it is not.
            Unavailable: it could not be stored.
        """

    @abstractmethod
    async def delete(self, key: str, *, expected: Revision | None = None) -> KeyValue:
        """Remove a key, if it is at this revision, and return its last content with the revision of the deletion.

        Raises:
            KeyNotFound: it is not there.
            Conflict: it is at another revision.
            Unavailable: it could not be stored.
        """

    @abstractmethod
    def watch(self, prefix: str, *, after: Revision) -> AbstractAsyncContextManager[Watch]:
        """Follow the writes to keys that begin with `prefix`, from the one after `after` on, each exactly once and in order.

        The queue to a watcher is bounded; one that falls behind gets WatchTooSlow when it next asks, never a gap.

        Raises:
            Compacted: those writes are no longer known; on entering.
        """

    @abstractmethod
    async def compact(self, revision: Revision) -> None:
        """Forget what was overwritten or deleted at or before a revision; older reads and watches then fail."""

    @abstractmethod
    def status(self) -> Status:
        """Return the state of the store without waiting."""
