"""What every driver of the store promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.component.clock import RealClock
from pinnace.store.interface import (
    Compacted,
    Conflict,
    EventKind,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    Revision,
    Store,
)
from pinnace.store.memory import open_memory
from pinnace.store.sqlite import open_sqlite


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    clock = RealClock()
    opened = open_memory(clock) if request.param == "memory" else open_sqlite(tmp_path / "state.db", clock)
    async with opened as store:
        yield store


async def test_writes_get_increasing_revisions_and_are_read_back(store: Store) -> None:
    """A create, an update and a deletion each get the next revision and are visible at once."""
    first = await store.create("/a/1", b"one")
    second = await store.update("/a/1", b"two", expected=first)
    entry = await store.get("/a/1")
    assert entry is not None
    assert (entry.value, entry.create_revision, entry.mod_revision) == (b"two", first, second)
    gone = await store.delete("/a/1", expected=second)
    assert (gone.value, gone.mod_revision) == (b"two", second + 1)
    assert await store.get("/a/1") is None
    assert second == first + 1


async def test_conditions_are_checked(store: Store) -> None:
    """A create of what is there, and writes at another revision, are refused and change nothing."""
    first = await store.create("/a", b"one")
    with pytest.raises(KeyExists):
        await store.create("/a", b"x")
    with pytest.raises(Conflict) as conflict:
        await store.update("/a", b"x", expected=Revision(first + 7))
    assert conflict.value.current is not None
    assert conflict.value.current.mod_revision == first
    with pytest.raises(Conflict):
        await store.delete("/a", expected=Revision(first + 7))
    with pytest.raises(KeyNotFound):
        await store.delete("/b")
    assert store.status().revision == first


async def test_old_revisions_can_be_read_until_compacted(store: Store) -> None:
    """A list as of an old revision shows what was there then; after compaction it fails, as does one from the future."""
    first = await store.create("/a/1", b"one")
    second = await store.update("/a/1", b"two", expected=first)
    third = await store.create("/a/2", b"new")
    page = await store.list("/a/", revision=first)
    assert [(item.key, item.value) for item in page.items] == [("/a/1", b"one")]
    newest = await store.list("/a/", limit=1)
    assert (newest.remaining, newest.revision) == (1, third)
    await store.compact(second)
    with pytest.raises(Compacted):
        await store.get("/a/1", revision=first)
    with pytest.raises(FutureRevision):
        await store.get("/a/1", revision=Revision(third + 1))


async def test_a_watch_shows_each_write_once_in_order(store: Store) -> None:
    """A watch from the past gets history, then what follows, and nothing of other prefixes."""
    first = await store.create("/a/1", b"one")
    await store.create("/b/1", b"other")
    second = await store.update("/a/1", b"two", expected=first)
    seen = []
    async with store.watch("/a/", after=Revision(first - 1)) as batches:
        await store.delete("/a/1", expected=second)
        async for batch in batches:
            seen += batch
            if len(seen) >= 3:
                break
    assert [(event.kind, event.value) for event in seen] == [
        (EventKind.PUT, b"one"),
        (EventKind.PUT, b"two"),
        (EventKind.DELETE, b""),
    ]
    assert seen[2].previous is not None
    assert seen[2].previous.value == b"two"
