"""What the SQLite store promises beyond the contract: durability, and honest failure."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from pinnace.component.clock import RealClock
from pinnace.store.interface import CannotOpen, Unavailable
from pinnace.store.sqlite import open_sqlite


class _File(apsw.VFSFile):
    def __init__(self, vfs: "_Vfs", name: object, flags: list[int]) -> None:
        super().__init__("", name, flags)  # type: ignore[arg-type]
        self._vfs = vfs

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._vfs.broken:
            raise apsw.IOError("injected")
        super().xSync(flags)
        self._vfs.syncs += 1


class _Vfs(apsw.VFS):
    """SQLite's file layer, which counts syncs and can fail them."""

    def __init__(self) -> None:
        self.syncs = 0
        self.broken = False
        super().__init__("counting", "")

    def xOpen(self, name: object, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        return _File(self, name, flags)


@pytest.fixture
def vfs() -> Iterator[_Vfs]:
    layer = _Vfs()
    yield layer
    layer.unregister()


async def test_content_and_revisions_outlive_the_process(tmp_path: Path) -> None:
    """After reopening, content, history and the newest revision are what they were, even when the newest write was compacted."""
    path = tmp_path / "state.db"
    async with open_sqlite(path, RealClock()) as store:
        await store.create("/a", b"one")
        await store.create("/b", b"two")
        gone = await store.delete("/b")
        await store.compact(gone.mod_revision)
    async with open_sqlite(path, RealClock()) as store:
        assert store.status().revision == gone.mod_revision
        assert [item.value for item in (await store.list("/")).items] == [b"one"]
        assert await store.create("/c", b"three") == gone.mod_revision + 1


async def test_no_answer_comes_before_its_sync(tmp_path: Path, vfs: _Vfs) -> None:
    """Between each commit group and its answers lies a sync, also when many writers share a group."""
    async with open_sqlite(tmp_path / "state.db", RealClock(), vfs="counting") as store:
        for number in range(20):
            before = vfs.syncs
            await store.create(f"/one/{number}", b"x")
            assert vfs.syncs > before
        before = vfs.syncs
        async with asyncio.TaskGroup() as group:
            for number in range(64):
                group.create_task(store.create(f"/many/{number}", b"x"), name=f"writer {number}")
        assert before < vfs.syncs < before + 64


async def test_a_failed_sync_fails_its_writes_and_writes_come_back(tmp_path: Path, vfs: _Vfs) -> None:
    """While the disk refuses, writes fail, the status says so and reads go on; afterwards the store writes again by itself."""
    clock = RealClock()
    async with open_sqlite(tmp_path / "state.db", clock, vfs="counting") as store:
        await store.create("/a", b"one")
        vfs.broken = True
        with pytest.raises(Unavailable):
            await store.create("/b", b"two")
        with pytest.raises(Unavailable):
            await store.create("/c", b"three")
        assert not store.status().healthy
        kept = await store.get("/a")
        assert kept is not None
        vfs.broken = False
        async with clock.timeout(5):
            while not store.status().healthy:
                await clock.sleep(0.05)
        await store.create("/d", b"four")


async def test_a_file_in_use_or_not_ours_is_refused(tmp_path: Path) -> None:
    """A second server, a text file and another program's database each get a refusal that names the file."""
    path = tmp_path / "state.db"
    async with open_sqlite(path, RealClock()):
        with pytest.raises(CannotOpen, match="in use by another server"):
            async with open_sqlite(path, RealClock()):
                pass
    text = tmp_path / "text.db"
    text.write_text("nothing of the kind " * 100)
    with pytest.raises(CannotOpen, match="not a SQLite database"):
        async with open_sqlite(text, RealClock()):
            pass
    foreign = tmp_path / "foreign.db"
    apsw.Connection(str(foreign)).execute("CREATE TABLE t (x)")
    with pytest.raises(CannotOpen, match="another program's"):
        async with open_sqlite(foreign, RealClock()):
            pass
