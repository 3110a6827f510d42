"""The server process of a cluster, as the other commands find it, wait for it and stop it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from pinnace.cluster.allinone import ServerState, is_locked
from pinnace.cluster.paths import ClusterPaths

T = TypeVar("T")

# Seconds for a server to answer, and to end before it is killed.
START_LIMIT_SECONDS, STOP_LIMIT_SECONDS = 60.0, 30.0


class ServerFailed(Exception):
    """The server ended instead of answering; the text is its last word."""


def running_state(paths: ClusterPaths) -> ServerState | None:
    """Return what the running server says of itself, None when none runs or it is still starting."""
    if not is_locked(paths):
        return None
    try:
        return msgspec.json.decode(paths.state.read_bytes(), type=ServerState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def start(paths: ClusterPaths, arguments: list[str]) -> ServerState:
    """Start a server in its own session, and return once it answers.

    Raises:
        ServerFailed: it did not.
    """
    paths.make()
    with paths.log.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "pinnace.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )

    def look() -> ServerState | None:
        if process.poll() is not None:
            raise ServerFailed(_last_word(paths.log, begin))
        return running_state(paths)

    state = _wait(look, START_LIMIT_SECONDS)
    if state is None:
        process.terminate()
        raise ServerFailed(f"the server did not answer within {START_LIMIT_SECONDS:.0f} s; its log is {paths.log}")
    return state


def stop(paths: ClusterPaths) -> bool:
    """Stop the server of a cluster and wait until it has ended; tell whether one ran."""
    state = running_state(paths)
    if state is None:
        return False
    os.kill(state.pid, signal.SIGTERM)
    if not _wait(lambda: _has_ended(state.pid), STOP_LIMIT_SECONDS):
        os.kill(state.pid, signal.SIGKILL)
        _wait(lambda: _has_ended(state.pid), STOP_LIMIT_SECONDS)
    return True


def _has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or only waits for its parent to notice."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].startswith("Z")
        )
    except (FileNotFoundError, ProcessLookupError):
        return True


def _wait(look: Callable[[], T], limit_seconds: float) -> T:
    """Look until something is there, or the time is over; commands have no event loop and no cluster's clock."""
    deadline = time.monotonic() + limit_seconds  # noqa: TID251
    while True:
        found = look()
        if found or time.monotonic() > deadline:  # noqa: TID251
            return found
        time.sleep(0.02)  # noqa: TID251


def _last_word(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").strip().splitlines()
    words = [line.removeprefix("pinnace: ") for line in lines if line.startswith("pinnace: ")]
    return words[-1] if words else f"the server ended at once; its log is {log}"
