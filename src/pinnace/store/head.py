"""The newest content of every key, ordered, in memory: what both drivers answer reads from.

Invariant: `keys` holds exactly the keys of the map, sorted. An insert costs a move of the tail of one list, which for a hundred
thousand keys is some microseconds and saves a tree.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from pinnace.store.interface import Event, KeyValue, Page, Revision


class Head:
    """An ordered map of key → content."""

    __slots__ = ("_entries", "_keys")

    def __init__(self, entries: Iterable[KeyValue] = ()) -> None:
        """Start from contents in the order of their keys."""
        self._entries = {entry.key: entry for entry in entries}
        self._keys = list(self._entries)

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> KeyValue | None:
        return self._entries.get(key)

    def put(self, entry: KeyValue) -> None:
        """Set a key's content."""
        if entry.key not in self._entries:
            insort(self._keys, entry.key)
        self._entries[entry.key] = entry

    def remove(self, key: str) -> None:
        """Take a key out, if it is there."""
        if self._entries.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def apply(self, event: Event) -> None:
        """Follow a write."""
        entry = event.key_value
        if entry is None:
            self.remove(event.key)
        else:
            self.put(entry)

    def undo(self, event: Event) -> None:
        """Go back to before a write, which must be the newest to its key."""
        if event.previous is None:
            self.remove(event.key)
        else:
            self.put(event.previous)

    def page(self, prefix: str, start: str, limit: int, revision: Revision) -> Page:
        """Return the part of a prefix that begins at `start`."""
        first = bisect_left(self._keys, max(prefix, start))
        last = bisect_left(self._keys, prefix_end(prefix))
        stop = min(first + limit, last) if limit > 0 else last
        items = tuple(self._entries[key] for key in self._keys[first:stop])
        return Page(items, revision, max(last - stop, 0))

    def copy(self) -> "Head":
        """Return a head of its own with the same content; the contents themselves are shared."""
        copied = Head()
        copied._entries = dict(self._entries)
        copied._keys = list(self._keys)
        return copied

    def __iter__(self) -> Iterator[KeyValue]:
        for key in self._keys:
            yield self._entries[key]


def prefix_end(prefix: str) -> str:
    """Return the first key after all keys that begin with a prefix; keys are ASCII."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else "\U0010ffff"
