"""The server process of a cluster and the agents of its further nodes, as the other commands find them, wait for them and stop them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pinnace.cli.server_log import ServerLog
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import (
    ServerState,
    answers,
    has_living_holder,
    is_locked,
    locked,
    running_state,
    server_process,
)

T = TypeVar("T")

# Seconds for a server to answer, and to end before it is killed.
START_LIMIT_SECONDS, STOP_LIMIT_SECONDS = 60.0, 30.0
# Seconds between two looks at a process; one costs a ten thousandth of that.
_LOOK_SECONDS = 0.01
# Bytes of a disk below which a server that said nothing is taken to have had no room to.
LEAST_FREE_BYTES = 128 * 1024


class ServerFailed(Exception):
    """The server ended instead of answering; the text is its last word."""


def answering_state(paths: ClusterPaths) -> ServerState | None:
    """Return what the running server says of itself once it answers; None when none runs.

    A server that is on its way up is waited for, and so is the end of one that was killed this moment.

    Raises:
        ServerFailed: one runs and does not answer.
    """

    def look() -> bool:
        state = running_state(paths)
        return answers(state) if state is not None else not is_locked(paths)

    if not _wait(look, START_LIMIT_SECONDS):
        raise ServerFailed(
            f"a server runs on {paths.root} and does not answer: see {paths.log}, and stop it with `pinnace down`"
        )
    return running_state(paths)


def start(
    paths: ClusterPaths,
    arguments: list[str],
    *,
    within: Sequence[str] = (),
    handed_on: int | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> ServerState:
    """Start a server or an agent in its own session, and return once it answers; interrupted, it takes it back.

    `within` are the words of a command that runs it in another network; `handed_on` is a descriptor that is its from now on; `on_step` is
    told the server's steps as they are done.

    Raises:
        ServerFailed: it did not.
        ClusterError: another command starts one.
    """
    paths.make()
    with locked(paths) as descriptor, paths.log.open("ab") as log:
        said = ServerLog(paths.log, log.tell())
        paths.state.unlink(missing_ok=True)
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "pinnace.cli.main", *arguments, "--lock-descriptor", str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(descriptor,) if handed_on is None else (descriptor, handed_on),
            cwd="/",
        )
        if handed_on is not None:
            os.close(handed_on)

        def look() -> ServerState | None:
            if process.poll() is not None:
                raise ServerFailed(said.last_word() or _silence(paths))
            state = running_state(paths)
            for step in said.new_steps():
                on_step(step)
            return state

        try:
            state = _wait(look, START_LIMIT_SECONDS)
        except KeyboardInterrupt:
            _end(process.pid)
            raise
        if state is None:
            _end(process.pid)
            raise ServerFailed(f"the server did not answer within {START_LIMIT_SECONDS:.0f} s; its log is {paths.log}")
        return state


def runs(paths: ClusterPaths) -> bool:
    """Tell whether a server or an agent runs; the end of one that was killed this moment is waited for.

    Raises:
        ServerFailed: somebody holds the folder and is neither.
    """
    if _wait(lambda: not is_locked(paths) or has_living_holder(paths), STOP_LIMIT_SECONDS):
        return is_locked(paths)
    raise ServerFailed(_held_by_another(paths))


def stop(paths: ClusterPaths) -> bool:
    """Stop the server of a cluster and wait until it has ended; tell whether one ran.

    Raises:
        ServerFailed: somebody holds the folder and is no server.
    """
    if not is_locked(paths):
        return False
    if _wait(lambda: server_process(paths) or not is_locked(paths), STOP_LIMIT_SECONDS):
        if pid := server_process(paths):
            _end(pid)
        if _wait(lambda: not is_locked(paths), STOP_LIMIT_SECONDS):
            return True
    raise ServerFailed(_held_by_another(paths))


def _held_by_another(paths: ClusterPaths) -> str:
    return f"{paths.lock} is held by a process that is no server: find it with `fuser {paths.lock}`"


def _end(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait(lambda: _has_ended(pid), STOP_LIMIT_SECONDS):
            return


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
        time.sleep(_LOOK_SECONDS)  # noqa: TID251


def _silence(paths: ClusterPaths) -> str:
    """Return why a server ended that said nothing: what kept it from writing any word."""
    if shutil.disk_usage(paths.root).free < LEAST_FREE_BYTES:
        return f"the disk that holds {paths.root} is full: make room, or choose another --data-dir"
    return f"the server ended at once; its log is {paths.log}"
