"""Who watches a resource, and how an event finds them.

Each watcher stands in one bucket, the narrowest that its selectors allow: one object, one value of an indexed field, one
namespace, or all. An event looks into the few buckets that can hold someone who cares, so that a pod's event does not walk the
watches of five thousand kubelets. Changes that were committed together are told together, so that they cost each watcher one send: a
server that its writers get ahead of sends less for each change. The queue to a watcher is bounded: who falls behind is ended, and
lists anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from pinnace.apiserver.storage.entry import Entry
from pinnace.component.clock import Clock, Hold
from pinnace.machinery.selectors import FieldSelector, LabelSelector

# Events that may wait for one watcher; their bytes are shared with everyone else.
QUEUE_LIMIT_EVENTS = 10_000
# Bytes of objects from which events are told apart: a client that does not read is noticed between two sends.
BURST_BYTES = 64 * 1024

T = TypeVar("T")


class EventType(StrEnum):
    """What happened, as a watcher sees it through its selectors."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Change:
    """One write to one object: what was there, what is there. Encodes itself once per type it is seen as."""

    __slots__ = ("_lines", "entry", "previous", "revision", "time")

    def __init__(self, revision: int, entry: Entry[Any] | None, previous: Entry[Any] | None, time: float) -> None:
        self.revision = revision
        self.entry = entry
        self.previous = previous
        self.time = time
        self._lines: dict[EventType, WatchEvent] = {}

    def seen_as(self, kind: EventType) -> "WatchEvent":
        """Return the event as one type; what leaves a selection is shown as it was, at the revision of its leaving."""
        event = self._lines.get(kind)
        if event is None:
            if kind is EventType.DELETED:
                assert self.previous is not None, "what is deleted was there"
                shown = self.previous.at(self.revision)
            else:
                assert self.entry is not None, "what is added or modified is there"
                shown = self.entry
            event = self._lines[kind] = WatchEvent(kind, shown)
        return event


class WatchEvent:
    """An event as it is sent; what goes out is written when first asked for, then shared."""

    __slots__ = ("_sent", "entry", "type")

    def __init__(self, kind: EventType, entry: Entry[Any]) -> None:
        self.type = kind
        self.entry = entry
        self._sent: bytes | None = None

    def sent_as(self, write: Callable[[bytes], bytes]) -> bytes:
        """Return the event as JSON and a newline, as it goes out; `write`, the same for all who ask, is done once."""
        if self._sent is None:
            self._sent = write(self.line_of(self.entry.body))
        return self._sent

    def line_of(self, body: bytes) -> bytes:
        """Return the event with its object in another form."""
        return b'{"type":"%b","object":%b}\n' % (self.type.encode(), body)


class Burst:
    """Events that the watchers of one selection are told of together, in order; what goes out is made when first asked for, then shared."""

    __slots__ = ("_made", "events", "first", "last")

    def __init__(self, events: tuple[WatchEvent, ...]) -> None:
        self.events = events
        # The revisions of the first and the last of them.
        self.first = events[0].entry.revision
        self.last = events[-1].entry.revision
        self._made: Any = None

    def after(self, revision: int) -> "Burst | None":
        """Return what of it came after a revision, None when nothing did."""
        if self.first > revision:
            return self
        events = tuple(event for event in self.events if event.entry.revision > revision)
        return Burst(events) if events else None

    def sent_as(self, make: Callable[[tuple[WatchEvent, ...]], T]) -> T:
        """Return the events as they go out; `make`, the same for all who ask, is done once."""
        if self._made is None:
            self._made = make(self.events)
        made: T = self._made
        return made


class Selection(Struct, frozen=True, gc=False):
    """What a list or watch picks; empty strings and selectors pick everything."""

    namespace: str
    labels: LabelSelector
    fields: FieldSelector

    def matches(self, entry: Entry[Any]) -> bool:
        if self.namespace and entry.namespace != self.namespace:
            return False
        return self.labels.matches(entry.labels) and self.fields.matches(entry.fields)

    def see(self, change: Change) -> "WatchEvent | None":
        """Return a change as it looks through the selection, None when it does not show."""
        is_in = change.entry is not None and self.matches(change.entry)
        was_in = change.previous is not None and self.matches(change.previous)
        if is_in:
            return change.seen_as(EventType.MODIFIED if was_in else EventType.ADDED)
        return change.seen_as(EventType.DELETED) if was_in else None

    def bursts(self, changes: Iterable[Change]) -> "Iterator[Burst]":
        """Yield what shows of changes, in their order, together as far as they are small."""
        events: list[WatchEvent] = []
        size = 0
        for change in changes:
            event = self.see(change)
            if event is not None:
                events.append(event)
                size += len(event.entry.item)
                if size >= BURST_BYTES:
                    yield Burst(tuple(events))
                    events, size = [], 0
        if events:
            yield Burst(tuple(events))


class Watcher:
    """One client's watch: an iterator of batches of events, ended by `close`, or by itself when it falls behind.

    `after` is the revision that the client knows; nothing at or before it is delivered. A batch is empty when `remind` ended the wait.
    """

    def __init__(self, selection: Selection, after: int, initial: Iterable[WatchEvent], clock: Clock) -> None:
        self.selection = selection
        self.is_too_slow = False
        self._after = after
        self._clock = clock
        self._waiting = list(initial)
        self._hold: Hold | None = clock.hold("watch event") if self._waiting else None
        self._arrived = asyncio.Event()
        self._closed = False
        self._reminded = False
        self._take: Callable[[Burst], bool] | None = None
        if self._waiting:
            self._arrived.set()

    @property
    def is_idle(self) -> bool:
        """Whether everything that happened has been handed over."""
        return not self._waiting

    def is_at(self, revision: int) -> bool:
        """Tell whether everything up to a revision has been handed over, and nothing that came after it."""
        return self.is_idle and self._after <= revision

    def divert(self, take: Callable[[Burst], bool]) -> None:
        """Offer events that nothing waits before to `take`, in the step in which they are told; only what it refuses is iterated."""
        self._take = take

    def remind(self) -> None:
        """End the wait for events, if need be without any: something else is due."""
        self._reminded = True
        if self._hold is None:
            self._hold = self._clock.hold("watch event")
        self._arrived.set()

    def offer(self, burst: Burst) -> None:
        """Queue events that show through the selection."""
        if self._closed:
            return
        if burst.first <= self._after:
            new = burst.after(self._after)
            if new is None:
                return
            burst = new
        self._after = burst.last
        if self._take is not None and not self._waiting and self._take(burst):
            return
        if len(self._waiting) + len(burst.events) > QUEUE_LIMIT_EVENTS:
            self.is_too_slow = True
            self.close()
            return
        self._waiting.extend(burst.events)
        if self._hold is None:
            self._hold = self._clock.hold("watch event")
        self._arrived.set()

    def close(self) -> None:
        """End the iteration; what waits is dropped."""
        self._closed = True
        self._waiting.clear()
        if self._hold is not None:
            self._hold.release()
            self._hold = None
        self._arrived.set()

    def __aiter__(self) -> AsyncIterator[tuple[WatchEvent, ...]]:
        return self

    async def __anext__(self) -> tuple[WatchEvent, ...]:
        while not self._waiting and not self._reminded:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        batch, self._waiting = tuple(self._waiting), []
        if not batch:
            self._reminded = False
        if self._hold is not None and not self._reminded:
            self._hold.release()
            self._hold = None
        return batch


_Bucket = tuple[str, ...]
_ALL: _Bucket = ()


class Watchers:
    """The watchers of one resource by bucket, told in the order in which they came: the same in every run of one seed.

    What is noted is told in the same step, so that whoever is added finds nothing that it has begun with.
    """

    def __init__(self, indexed: frozenset[str]) -> None:
        self._indexed = tuple(sorted(indexed))
        # Those who select alike stand together, in the order in which the first of them came: a change is matched once for all.
        self._buckets: dict[_Bucket, dict[Selection, dict[Watcher, None]]] = defaultdict(dict)
        self._untold: list[Change] = []

    def __len__(self) -> int:
        return sum(len(group) for bucket in self._buckets.values() for group in bucket.values())

    def __iter__(self) -> Iterator[Watcher]:
        return iter([watcher for bucket in self._buckets.values() for group in bucket.values() for watcher in group])

    def add(self, watcher: Watcher) -> None:
        self._buckets[self._bucket(watcher.selection)].setdefault(watcher.selection, {})[watcher] = None

    def remove(self, watcher: Watcher) -> None:
        name, selection = self._bucket(watcher.selection), watcher.selection
        groups = self._buckets[name]
        group = groups.get(selection, {})
        group.pop(watcher, None)
        if not group:
            groups.pop(selection, None)
        if not groups:
            del self._buckets[name]

    def note(self, change: Change) -> None:
        """Keep a change until everyone whom it may concern is told."""
        self._untold.append(change)

    def tell(self) -> None:
        """Hand what has been noted to everyone whom it may concern, in order."""
        if not self._untold:
            return
        changes, self._untold = self._untold, []
        concerned: dict[_Bucket, list[Change]] = {}
        for change in changes:
            for bucket in self._concerned(change):
                if bucket in self._buckets:
                    concerned.setdefault(bucket, []).append(change)
        for bucket, some in concerned.items():
            for selection, group in tuple(self._buckets[bucket].items()):
                for burst in selection.bursts(some):
                    for watcher in tuple(group):
                        watcher.offer(burst)

    def _bucket(self, selection: Selection) -> _Bucket:
        name = selection.fields.exact("metadata.name")
        if name is not None:
            return ("name", name)
        for field in self._indexed:
            value = selection.fields.exact(field)
            if value is not None:
                return ("field", field, value)
        return ("namespace", selection.namespace) if selection.namespace else _ALL

    def _concerned(self, change: Change) -> Iterable[_Bucket]:
        shown = change.entry or change.previous
        assert shown is not None, "a change has a before or an after"
        buckets = {_ALL: None, ("name", shown.name): None, ("namespace", shown.namespace): None}
        for entry in (change.entry, change.previous):
            if entry is not None:
                for field in self._indexed:
                    buckets["field", field, entry.fields.get(field, "")] = None
        return buckets
