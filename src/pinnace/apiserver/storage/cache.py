"""The newest state of one resource in memory, with its indexes and its recent past.

Invariant: the entries are the store's content as of the revision up to which changes have been applied; `labels` and `fields` index
exactly these. Changes of the last 75 seconds, and at least a hundred of them, are kept for watches that resume. Upstream:
apiserver `pkg/storage/cacher/watch_cache.go`.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pinnace.apiserver.storage.entry import Entry
from pinnace.apiserver.storage.watchers import Change, Selection
from pinnace.machinery.selectors import Operator
from pinnace.store.head import prefix_end

HISTORY_SECONDS = 75.0
HISTORY_LEAST, HISTORY_MOST = 100, 100_000

_Index = dict[tuple[str, str], set[str]]


class Cache:
    """Entries by key."""

    def __init__(self, indexed: frozenset[str]) -> None:
        self._indexed = tuple(sorted(indexed))
        self._entries: dict[str, Entry[Any]] = {}
        self._keys: list[str] = []
        self._labels: _Index = {}
        self._fields: _Index = {}
        self._recent: deque[Change] = deque()
        # The newest revision that is no longer among the recent changes.
        self.forgotten = 0
        self.changed = 0

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> Entry[Any] | None:
        return self._entries.get(key)

    def fill(self, entries: Iterable[Entry[Any]], revision: int) -> None:
        """Start from a listing, in the order of keys, read at a revision."""
        for entry in entries:
            self._entries[entry.key] = entry
            self._keys.append(entry.key)
            self._index(entry, add=True)
            self.changed = max(self.changed, entry.revision)
        self.forgotten = revision

    def apply(self, key: str, entry: Entry[Any] | None, revision: int, now: float) -> Change | None:
        """Follow a write; None when there is nothing to tell."""
        previous = self._entries.get(key)
        if entry is None and previous is None:
            return None
        if previous is not None:
            self._index(previous, add=False)
        if entry is None:
            del self._entries[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            if previous is None:
                insort(self._keys, key)
            self._entries[key] = entry
            self._index(entry, add=True)
        self.changed = revision
        change = Change(revision, entry, previous, now)
        self._recent.append(change)
        self._trim(now)
        return change

    def since(self, revision: int) -> Iterator[Change]:
        """Yield the recent changes after a revision, which must not be before `forgotten`."""
        position = bisect_left(self._recent, revision + 1, key=lambda change: change.revision)
        return islice(self._recent, position, None)

    def select(self, prefix: str, start: str, selection: Selection) -> Iterator[Entry[Any]]:
        """Yield what a selection picks under a prefix, from a key on, in the order of keys."""
        narrowed = self._narrowed(selection)
        if narrowed is None:
            first, last = bisect_left(self._keys, max(prefix, start)), bisect_left(self._keys, prefix_end(prefix))
            # A slice: skipping to the first key one by one would cost a small namespace a walk over all before it.
            keys: Iterable[str] = self._keys[first:last]
            if selection.labels.is_everything and selection.fields.is_everything:
                return (self._entries[key] for key in keys)
        else:
            keys = sorted(key for key in narrowed if key >= start and key.startswith(prefix))
        return (entry for key in keys if selection.matches(entry := self._entries[key]))

    def count(self, prefix: str) -> int:
        """Return how many keys begin with a prefix."""
        return bisect_left(self._keys, prefix_end(prefix)) - bisect_left(self._keys, prefix)

    def remaining(self, prefix: str, after: str) -> int:
        """Return how many keys under a prefix come after a key."""
        return bisect_left(self._keys, prefix_end(prefix)) - bisect_left(self._keys, after + "\0")

    def _narrowed(self, selection: Selection) -> set[str] | None:
        """Return the smallest set of keys that an index gives, None when none applies."""
        found = [
            self._labels.get((item.key, item.values[0]), set())
            for item in selection.labels.requirements
            if item.operator in {Operator.EQUALS, Operator.IN} and len(item.values) == 1
        ]
        for field in self._indexed:
            value = selection.fields.exact(field)
            if value is not None:
                found.append(self._fields.get((field, value), set()))
        return min(found, key=len, default=None)

    def _index(self, entry: Entry[Any], *, add: bool) -> None:
        for pair in entry.labels.items():
            _put(self._labels, pair, entry.key, add=add)
        for field in self._indexed:
            _put(self._fields, (field, entry.fields.get(field, "")), entry.key, add=add)

    def _trim(self, now: float) -> None:
        while len(self._recent) > HISTORY_LEAST and (
            len(self._recent) > HISTORY_MOST or self._recent[0].time < now - HISTORY_SECONDS
        ):
            self.forgotten = self._recent.popleft().revision


def _put(index: _Index, pair: tuple[str, str], key: str, *, add: bool) -> None:
    if add:
        index.setdefault(pair, set()).add(key)
        return
    keys = index[pair]
    keys.discard(key)
    if not keys:
        del index[pair]
