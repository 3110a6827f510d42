"""Processes that outlive the server: started in a session of their own, found again by their command line, stopped when told.

    absent ──spawn()──▶ running ──the server ends or is killed──▶ running ──pid() finds it──▶ running ──stop()──▶ absent

While a server is there, it starts them anew when they end (`keep`); the kernel tells when, nobody looks.
A process is recognised by a word of its command line that only it has, such as its configuration file: there is no file of process
numbers that could lie. Assumes that one server at a time works on a folder, which the server's lock sees to.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Never

from pinnace.component.clock import Clock
from pinnace.component.lifecycle import MAX_RESTART_SECONDS, RESTART_SECONDS
from pinnace.component.logging import get_logger

# Seconds for a process to end before it is killed.
STOP_LIMIT_SECONDS = 10.0
# Bytes of a log above which a start begins a new one.
LOG_LIMIT_BYTES = 10 * 1024 * 1024
_LOOK_SECONDS = 0.01
_log = get_logger("cluster")


class Detached:
    """One process that is known by `mark`, a word of its command line."""

    def __init__(self, mark: str, log: Path, clock: Clock) -> None:
        self.log = log
        self._mark = mark
        self._clock = clock
        self._child: int | None = None

    def pid(self) -> int | None:
        """Return the process, None when none runs."""
        self._is_reaped()
        return next((pid for pid, words in command_lines() if self._mark in words), None)

    def words(self) -> list[str]:
        """Return its command line, empty when none runs."""
        return next((words for _, words in command_lines() if self._mark in words), [])

    def spawn(self, program: str, arguments: Sequence[str], path: str) -> None:
        """Start it; standard output and error go to its log. `path` is its PATH."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        # Not a Popen: that one warns when it is forgotten while its process lives, and living on is the purpose here.
        self._child = os.posix_spawn(
            program,
            [program, *arguments],  # Python finds its environment by the path in its first word
            {**os.environ, "PATH": path},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def has_ended(self) -> bool:
        """Tell whether it runs no more."""
        # A child that has just been started may have no command line yet; only its parent knows better.
        return self.pid() is None if self._child is None else self._is_reaped()

    async def ended(self) -> None:
        """Wait until it has ended; return at once when none runs."""
        # A child that has just been started may have no command line yet.
        pid = self.pid() if self._is_reaped() else self._child
        try:
            descriptor = os.pidfd_open(pid) if pid is not None else None
        except ProcessLookupError:
            descriptor = None
        if descriptor is None:
            return
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, told.set)
        try:
            await told.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def keep(self, name: str, start: Callable[[], Awaitable[object]]) -> Never:
        """Start it anew whenever it has ended, for ever; the pause before that grows as long as it does not stay.

        A start that fails is told of, here when the system refused it, else by `start` itself, and is tried again.
        """
        pause = RESTART_SECONDS
        while True:
            begin = self._clock.monotonic()
            await self.ended()
            if self._clock.monotonic() - begin >= MAX_RESTART_SECONDS:
                pause = RESTART_SECONDS
            _log.warning("a process ended; starting it anew", process=name, last_words=self.last_words(), seconds=pause)
            await self._clock.sleep(pause)
            pause = min(2 * pause, MAX_RESTART_SECONDS)
            try:
                await start()
            except OSError as error:
                _log.warning("a process was not started anew", process=name, error=str(error))

    async def stop(self) -> None:
        """End it, with force if need be. Harmless when none runs."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self.pid()
            if pid is None:
                return
            os.kill(pid, number)
            try:
                async with self._clock.timeout(STOP_LIMIT_SECONDS):
                    while self.pid() is not None:
                        await self._clock.sleep(_LOOK_SECONDS)
            except TimeoutError:
                continue

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "it said nothing"

    def _is_reaped(self) -> bool:
        if self._child is not None:
            try:
                pid, _ = os.waitpid(self._child, os.WNOHANG)
            except ChildProcessError:
                pid = self._child
            if pid:
                self._child = None
        return self._child is None


def command_lines() -> list[tuple[int, list[str]]]:
    """Return every living process with the words of its command line; dead ones that wait for their parent have none."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended while we looked
        if words[0]:
            found.append((int(entry.name), [os.fsdecode(word) for word in words]))
    return found
