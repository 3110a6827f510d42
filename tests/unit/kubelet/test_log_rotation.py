"""Logs that grow too large are put aside, and followed across the change."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from pinnace.component.clock import VirtualClock
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams import CommandStreams
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.log_rotation import LogRotation
from pinnace.kubelet.logs import LogOptions, read
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import (
    Executed,
    Instance,
    PodRecord,
    PodRecords,
    RuntimeFailure,
    Sandbox,
    State,
    Streams,
    Usage,
)


class Runtime(PodRecords, Streams):
    """One running container that writes a line into each new log."""

    def __init__(self, log: Path) -> None:
        self.log, self.broken = log, False

    async def pods(self) -> Mapping[str, PodRecord]:
        sandbox = Sandbox(id="s", uid="u", name="p", namespace="n", attempt=0, ready=True, created_at=1)
        run = Instance(id="c", sandbox_id="s", uid="u", name="main", state=State.RUNNING, restart_count=0, created_at=1)
        return {"u": PodRecord(uid="u", sandboxes=(sandbox,), instances=(run,))}

    async def pod(self, uid: str) -> PodRecord:
        return (await self.pods())[uid]

    async def changes(self) -> AsyncIterator[str]:
        raise RuntimeFailure("none")
        yield ""

    async def usage(self) -> Sequence[Usage]:
        return ()

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> Executed:
        raise AssertionError

    async def exec(self, container_id: str, streams: CommandStreams) -> int:
        raise AssertionError

    async def attach(self, container_id: str, streams: CommandStreams) -> int:
        raise AssertionError

    async def forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        raise AssertionError

    async def reopen_log(self, container_id: str) -> None:
        if self.broken:
            raise RuntimeFailure("broken")
        self.log.write_text("")


class World:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "n_p_u/main/0.log"
        self.log.parent.mkdir(parents=True)
        self.clock, self.runtime = VirtualClock(), Runtime(self.log)
        config = KubeletConfig(
            node_name="n", node_ip="", log_dir=folder, container_log_max_bytes=10, container_log_max_files=4
        )
        self.pleg = Pleg(self.runtime, self.clock, 0)
        self.rotation = LogRotation(config, self.clock, self.pleg, self.runtime)

    async def grow(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(f"2026-01-01T00:00:00.000000000Z stdout F {text}\n")
        await self.clock.advance(seconds=1)
        await self.pleg.relist()
        await self.rotation.rotate()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.log.parent.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_large_log_is_put_aside_and_the_older_compressed(world: World) -> None:
    """The newest rotated file is plain, older ones are packed, the oldest are dropped: four files in all."""
    for number in range(5):
        await world.grow(f"line {number}")
    stamps = [f"0.log.20260101-00000{second}" for second in (3, 4, 5)]
    assert world.names() == ["0.log", f"{stamps[0]}.gz", f"{stamps[1]}.gz", stamps[2]]
    with gzip.open(world.log.with_name(f"{stamps[0]}.gz"), "rt") as packed:
        assert packed.read().endswith("line 2\n")


async def test_small_log_is_left_alone(world: World) -> None:
    """Up to the limit nothing is renamed."""
    world.log.write_text("tiny\n")
    await world.pleg.relist()
    await world.rotation.rotate()
    assert world.names() == ["0.log"]


async def test_failed_reopening_leaves_the_log_where_it_was(world: World) -> None:
    """When the runtime does not begin a new file, the old one keeps its name and its lines."""
    world.runtime.broken = True
    await world.grow("kept")
    assert world.names() == ["0.log"]
    assert "kept" in world.log.read_text()


async def test_follower_reads_across_a_rotation(world: World) -> None:
    """No line is lost or told twice when the log changes under a reader."""
    alive = True
    with world.log.open("a") as file:
        file.write("2026-01-01T00:00:00.000000000Z stdout F one, long enough\n")

    class Stepping(VirtualClock):
        """Lets the world go on whenever the reader waits."""

        steps = 0

        async def sleep(self, seconds: float) -> None:
            nonlocal alive
            self.steps += 1
            if self.steps == 1:
                await world.grow("two, before the rotation")
            elif self.steps == 2:
                with world.log.open("a") as file:
                    file.write("2026-01-01T00:00:00.000000000Z stdout F three\n")
                alive = False

    got: list[bytes] = [part async for part in read(world.log, LogOptions(follow=True), Stepping(), lambda: alive)]
    assert b"".join(got) == b"one, long enough\ntwo, before the rotation\nthree\n"
