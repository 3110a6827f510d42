"""Whether a server or an agent runs, as commands tell it from the lock."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pinnace.cli import process
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import locked, sign


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    made = ClusterPaths(tmp_path / "data")
    made.make()
    return made


@pytest.fixture
def killed() -> Iterator[int]:
    """The number of a process that was killed, and whose end nobody has taken note of."""
    child = subprocess.Popen(["sleep", "60"])
    child.kill()
    process._wait(lambda: process._has_ended(child.pid), 5.0)
    yield child.pid
    child.wait()


def test_holder_of_the_lock_runs(paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lives and holds the lock is found at the first look."""
    monkeypatch.setattr(process.time, "sleep", lambda _: pytest.fail("looked twice"))
    with locked(paths) as lock:
        sign(lock)
        assert process.runs(paths)
    assert not process.runs(paths)


def test_end_of_a_killed_holder_is_waited_for(
    paths: ClusterPaths, killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that was killed holds its lock for a moment more: `node start` right after that is not told that it runs."""
    with ExitStack() as ending:
        ending.enter_context(locked(paths))
        paths.lock.write_text(str(killed))
        monkeypatch.setattr(process.time, "sleep", lambda _: ending.close())
        assert not process.runs(paths)


def test_starter_is_waited_for(paths: ClusterPaths, killed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held and not signed yet is on its way to somebody who will run."""
    with locked(paths) as lock:
        paths.lock.write_text(str(killed))
        monkeypatch.setattr(process.time, "sleep", lambda _: sign(lock))
        assert process.runs(paths)
