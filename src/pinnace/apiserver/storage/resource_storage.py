"""One resource's objects: written to the store, read from the cache.

A write's answer waits until the cache has it, so whoever has been answered finds it in every later read, list and watch of this
process. Lists at an old revision are answered from the cache while nothing of the resource has changed since, else from the
store's history. Upstream: apiserver `pkg/storage` and `pkg/storage/cacher`; facts on versions: KEP-3157, KEP-2340.
"""

from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from pinnace.api.resources import Resource
from pinnace.apiserver.storage import continue_token
from pinnace.apiserver.storage.cache import Cache
from pinnace.apiserver.storage.continue_token import ContinueToken
from pinnace.apiserver.storage.entry import Encoded, Entry, FieldsOf, Kind
from pinnace.apiserver.storage.watchers import Change, EventType, Selection, Watcher, Watchers, WatchEvent
from pinnace.component.clock import Clock
from pinnace.machinery import errors
from pinnace.machinery.selectors import EVERYTHING, FieldSelector, LabelSelector
from pinnace.store.interface import Compacted, Event, Revision, Store

T = TypeVar("T", bound=Struct)

EVERY_FIELD = FieldSelector()


class Page(Struct, Generic[T], frozen=True, gc=False):
    """A part of a list; `remaining` is None when it was not counted."""

    entries: tuple[Entry[T], ...]
    revision: int
    continue_: str = ""
    remaining: int | None = None


class Progress(Protocol):
    """How far the caches have followed the store; shared by all resources."""

    def newest(self) -> int:
        """Return the newest revision of the store."""

    async def wait_applied(self, revision: int) -> None:
        """Wait until a revision that the store has shown is in the caches."""

    async def wait_written(self, revision: int) -> None:
        """Wait a few seconds for a revision that a client has seen elsewhere.

        Raises:
            Timeout: it did not come.
        """


class ResourceStorage(Generic[T]):
    """The objects of one resource."""

    def __init__(
        self,
        resource: Resource,
        store: Store,
        clock: Clock,
        progress: Progress,
        *,
        fields_of: FieldsOf,
        indexed: frozenset[str] = frozenset(),
    ) -> None:
        self.resource = resource
        self.prefix = f"/registry/{resource.plural}/"
        self._store = store
        self._clock = clock
        self._progress = progress
        self._kind: Kind[T] = Kind(resource, fields_of)
        self._cache = Cache(indexed)
        self._watchers = Watchers(indexed)
        # By key, what is on its way to the store and back.
        self._sent: dict[str, Encoded[T]] = {}

    def key(self, name: str, namespace: str = "") -> str:
        """Return the object's place in the store."""
        return f"{self.prefix}{namespace}/{name}" if self.resource.namespaced else f"{self.prefix}{name}"

    def get(self, name: str, namespace: str = "") -> Entry[T] | None:
        """Return an object, None when there is none."""
        return self._cache.get(self.key(name, namespace))

    def current(self, namespace: str = "", fields: FieldSelector = EVERY_FIELD) -> Iterator[Entry[T]]:
        """Return the objects as the cache has them: with every write that has been answered, in the order of keys."""
        return self._cache.select(self._prefix(namespace), "", Selection(namespace, EVERYTHING, fields))

    @property
    def changed(self) -> int:
        """Return the revision of the newest change that the cache has, so that what is derived from it can tell its age."""
        return self._cache.changed

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def watching(self) -> int:
        """Return how many watch the objects now."""
        return len(self._watchers)

    async def wait_fresh(self, revision: int) -> None:
        """Wait until reads show at least a revision.

        Raises:
            Timeout: the store has not come so far in time.
        """
        await self._progress.wait_written(revision)

    async def catch_up(self) -> int:
        """Wait until reads show everything that has been written, and return the revision up to which they do."""
        newest = self._progress.newest()
        await self._progress.wait_applied(newest)
        return newest

    async def create(self, obj: T) -> Entry[T]:
        """Store a new object.

        Raises:
            store.KeyExists, store.Unavailable.
        """
        key = self._key_of(obj)
        sent = self._kind.encode(obj)
        return await self._written(key, sent, self._store.create(key, sent.data))

    async def update(self, obj: T, *, expected: int) -> Entry[T]:
        """Replace an object that is at a revision.

        Raises:
            store.Conflict, store.Unavailable.
        """
        key = self._key_of(obj)
        sent = self._kind.encode(obj)
        return await self._written(key, sent, self._store.update(key, sent.data, expected=Revision(expected)))

    async def delete(self, name: str, namespace: str = "", *, expected: int) -> Entry[T]:
        """Remove an object that is at a revision, and return its last state at the revision of its deletion.

        Raises:
            store.Conflict, store.KeyNotFound, store.Unavailable.
        """
        key = self.key(name, namespace)
        last = await self._store.delete(key, expected=Revision(expected))
        await self._progress.wait_applied(last.mod_revision)
        return self._kind.entry(key, last.value, last.mod_revision)

    async def _written(self, key: str, sent: Encoded[T], write: Awaitable[int]) -> Entry[T]:
        """Wait until a write is in the cache, which need not read what is known here."""
        self._sent[key] = sent
        try:
            revision = await write
            await self._progress.wait_applied(revision)
        finally:
            self._sent.pop(key, None)
        entry: Entry[T] | None = self._cache.get(key)
        if entry is not None and entry.revision == revision:
            return entry
        return self._kind.entry(key, sent.data, revision)

    def _key_of(self, obj: T) -> str:
        return self.key(obj.metadata.name, obj.metadata.namespace)  # type: ignore[attr-defined]

    # ── what the dispatcher calls ──

    async def fill(self) -> int:
        """Read all objects, and return the revision of that reading."""
        page = await self._store.list(self.prefix)
        self._cache.fill(
            (self._kind.entry(item.key, item.value, item.mod_revision) for item in page.items), page.revision
        )
        return page.revision

    def apply(self, event: Event) -> None:
        """Follow a write of the store; `tell` is to be called in the same step."""
        content = event.key_value
        entry = None if content is None else self._entry(event.key, content.value, event.revision)
        change = self._cache.apply(event.key, entry, event.revision, self._clock.monotonic())
        if change is not None:
            self._watchers.note(change)

    def tell(self) -> None:
        """Tell the watchers of the writes that were followed since."""
        self._watchers.tell()

    def _entry(self, key: str, data: bytes, revision: int) -> Entry[T]:
        sent = self._sent.get(key)
        if sent is not None and sent.data is data:
            return self._kind.entry_of(key, sent, revision)
        return self._kind.entry(key, data, revision)

    def end_watches(self) -> None:
        """End every watch; the server goes down."""
        for watcher in self._watchers:
            watcher.close()

    # ── lists ──

    async def list(
        self,
        namespace: str = "",
        *,
        labels: LabelSelector = EVERYTHING,
        fields: FieldSelector = EVERY_FIELD,
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        match: str = "",
    ) -> Page[T]:
        """Return what a selection picks, to the rules of resourceVersion, resourceVersionMatch, limit and continue.

        Raises:
            BadRequest: the token is not ours, or there is a version beside it.
            Expired: the revision asked for is gone.
            Timeout: the revision asked for has not come.
        """
        selection = Selection(namespace, labels, fields)
        if continue_:
            token = _token(continue_)
            if resource_version not in {"", "0"}:
                raise errors.BadRequest("specifying resource version is not allowed when using continue")
            return await self._continued(selection, token, limit)
        wanted = int(resource_version or 0)
        if wanted and (match == "Exact" or (not match and limit)):
            await self._progress.wait_written(wanted)
            return await self._at(selection, wanted, "", limit)
        if resource_version == "0" and match in {"", "NotOlderThan"}:
            limit = 0
        if wanted:
            await self._progress.wait_written(wanted)
        newest = self._progress.newest()
        await self._progress.wait_applied(newest)
        return self._now(selection, newest, "", limit)

    async def _continued(self, selection: Selection, token: ContinueToken, limit: int) -> Page[T]:
        start = self._prefix(selection.namespace) + token.start
        if token.revision == continue_token.NEWEST:
            newest = self._progress.newest()
            await self._progress.wait_applied(newest)
            return self._now(selection, newest, start, limit)
        if token.revision > self._progress.newest():
            await self._progress.wait_written(token.revision)
        try:
            return await self._at(selection, token.revision, start, limit)
        except errors.Expired as error:
            raise _expired_token(ContinueToken(continue_token.NEWEST, token.start)) from error

    def _prefix(self, namespace: str) -> str:
        return f"{self.prefix}{namespace}/" if namespace and self.resource.namespaced else self.prefix

    def _now(self, selection: Selection, revision: int, start: str, limit: int) -> Page[T]:
        prefix = self._prefix(selection.namespace)
        picked = self._cache.select(prefix, start, selection)
        return self._page(picked, prefix, selection, revision, limit)

    async def _at(self, selection: Selection, revision: int, start: str, limit: int) -> Page[T]:
        """List as of a revision that the store has reached."""
        await self._progress.wait_applied(self._progress.newest())
        if self._cache.changed <= revision:
            return self._now(selection, revision, start, limit)
        prefix = self._prefix(selection.namespace)
        try:
            past = await self._store.list(prefix, start=start, revision=Revision(revision))
        except Compacted as error:
            raise errors.Expired("The resourceVersion for the provided list is too old.") from error
        entries = (self._kind.entry(item.key, item.value, item.mod_revision) for item in past.items)
        picked = (entry for entry in entries if selection.matches(entry))
        return self._page(picked, prefix, selection, revision, limit, following=tuple(item.key for item in past.items))

    def _page(
        self,
        picked: Iterator[Entry[T]],
        prefix: str,
        selection: Selection,
        revision: int,
        limit: int,
        following: tuple[str, ...] | None = None,
    ) -> Page[T]:
        if not limit:
            return Page(tuple(picked), revision)
        entries = tuple(islice(picked, limit))
        if len(entries) < limit or next(picked, None) is None:
            return Page(entries, revision)
        last = entries[-1].key
        token = ContinueToken(revision, last.removeprefix(prefix) + "\0").encode()
        remaining = None
        if selection.labels.is_everything and selection.fields.is_everything:
            remaining = (
                self._cache.remaining(prefix, last) if following is None else sum(key > last for key in following)
            )
        return Page(entries, revision, token, remaining)

    # ── watches ──

    @asynccontextmanager
    async def watch(
        self,
        namespace: str = "",
        *,
        labels: LabelSelector = EVERYTHING,
        fields: FieldSelector = EVERY_FIELD,
        after: int | None = None,
    ) -> AsyncIterator[Watcher]:
        """Follow a selection: from a revision on, or (None) beginning with everything it picks now, as ADDED in order of keys.

        Raises:
            Expired: the changes after that revision are no longer known.
        """
        newest = self._progress.newest()
        await self._progress.wait_applied(newest)
        selection = Selection(namespace, labels, fields)
        watcher = self._watcher(selection, after)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
            watcher.close()

    def _watcher(self, selection: Selection, after: int | None) -> Watcher:
        if after is None:
            entries = self._cache.select(self._prefix(selection.namespace), "", selection)
            # Nothing up to now may come again; there is no wait between this reading and the subscription.
            return Watcher(selection, self._progress.newest(), _added(entries), self._clock)
        if after < self._cache.forgotten:
            raise errors.Expired(f"too old resource version: {after} ({self._cache.forgotten})")
        return Watcher(selection, after, _seen(selection, self._cache.since(after)), self._clock)

    def newest(self) -> int:
        """Return the revision that an idle watcher has seen everything up to."""
        return self._progress.newest()


def _added(entries: Iterable[Entry[Any]]) -> Iterator[WatchEvent]:
    return (WatchEvent(EventType.ADDED, entry) for entry in entries)


def _seen(selection: Selection, changes: Iterable[Change]) -> Iterator[WatchEvent]:
    return (event for change in changes if (event := selection.see(change)) is not None)


def _token(text: str) -> ContinueToken:
    try:
        return continue_token.decode(text)
    except errors.BadRequest as error:
        raise errors.BadRequest(f"invalid continue token: {error.message}") from error


class ExpiredContinue(errors.Expired):
    """A continued list whose revision is gone; `continue_` goes on with the rest as it is now."""

    def __init__(self, message: str, continue_: str) -> None:
        super().__init__(message)
        self.continue_ = continue_

    def status(self) -> dict[str, Any]:
        return {**super().status(), "metadata": {"continue": self.continue_}}


def _expired_token(rest: ContinueToken) -> ExpiredContinue:
    return ExpiredContinue(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
        "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
        "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
        "deleted between the time the first chunk was returned and now may show up in the list.",
        rest.encode(),
    )
