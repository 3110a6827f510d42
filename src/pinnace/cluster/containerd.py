"""The cluster's own containerd: started in a session of its own, found again after a restart of ours, stopped when told.

    absent ──start()──▶ running ──the server ends or is killed──▶ running ──start() finds it──▶ running ──stop()──▶ absent

It outlives the server, and containers outlive it, each held by its shim. It is recognised by its command line, which names our
configuration file: there is no file of process numbers that could lie. Assumes that one server at a time works on a folder, which the
server's lock sees to.
"""

import os
import shutil
import signal
import socket
from pathlib import Path

from pinnace.cluster.containerd_config import ContainerdError, ContainerdPaths, Machine, render, search_path
from pinnace.cluster.mounts import unmount_below
from pinnace.component.clock import Clock

# Seconds for containerd to answer, and to end before it is killed.
START_LIMIT_SECONDS, STOP_LIMIT_SECONDS = 30.0, 10.0
# Bytes of its log above which a start begins a new one.
LOG_LIMIT_BYTES = 10 * 1024 * 1024
_LOOK_SECONDS = 0.01


class Containerd:
    """One containerd in one folder."""

    def __init__(self, paths: ContainerdPaths, machine: Machine, clock: Clock) -> None:
        self.paths = paths
        self._machine = machine
        self._clock = clock
        self._child: int | None = None

    async def start(self) -> bool:
        """Start it, or find the one that runs; return once it answers. Tells whether it was started.

        Raises:
            ContainerdError: it cannot be started, or does not answer.
        """
        self.paths.check()
        if self.pid() is not None and self._answers():
            return False
        self._prepare()
        if self.pid() is None:
            self._spawn()
        try:
            async with self._clock.timeout(START_LIMIT_SECONDS):
                while not self._answers():
                    if self._has_ended():
                        raise ContainerdError(
                            f"containerd ended at once: {self._last_words()}; its log is {self.paths.log}"
                        )
                    await self._clock.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise ContainerdError(
                f"containerd did not answer within {START_LIMIT_SECONDS:.0f} s; its log is {self.paths.log}"
            ) from error
        return True

    async def stop(self) -> None:
        """End containerd; containers stay, held by their shims. Harmless when none runs."""
        for number, limit_seconds in ((signal.SIGTERM, STOP_LIMIT_SECONDS), (signal.SIGKILL, STOP_LIMIT_SECONDS)):
            pid = self.pid()
            if pid is None:
                return
            os.kill(pid, number)
            try:
                async with self._clock.timeout(limit_seconds):
                    while self.pid() is not None:
                        await self._clock.sleep(_LOOK_SECONDS)
            except TimeoutError:
                continue

    def pid(self) -> int | None:
        """Return the process that runs with our configuration, None when there is none."""
        self._is_reaped()
        return next((pid for pid, words in command_lines() if str(self.paths.config) in words), None)

    def _prepare(self) -> None:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        if self.paths.boot_id.exists() and self.paths.boot_id.read_text(encoding="ascii") != boot_id:
            if left := unmount_below(self.paths.state):
                raise ContainerdError(f"left over from before the reboot, and cannot be unmounted: {'; '.join(left)}")
            shutil.rmtree(self.paths.state, ignore_errors=True)
        for folder in (self.paths.root, self.paths.cni_conf, self.paths.cni_data, self.paths.registries):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.paths.config.write_text(render(self.paths, self._machine))
        self.paths.boot_id.write_text(boot_id, encoding="ascii")
        if self.paths.log.exists() and self.paths.log.stat().st_size > LOG_LIMIT_BYTES:
            self.paths.log.replace(self.paths.log.with_suffix(".log.1"))

    def _spawn(self) -> None:
        path = search_path()
        program = shutil.which("containerd", path=path)
        if program is None:
            raise ContainerdError("containerd is not installed: see `pinnace doctor`")
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        # Not a Popen: that one warns when it is forgotten while its process lives, and living on is the purpose here.
        self._child = os.posix_spawn(
            program,
            ["containerd", "--config", str(self.paths.config), "--log-level", "warn"],
            {**os.environ, "PATH": path},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.paths.log), appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def _has_ended(self) -> bool:
        # A child that has just been started may have no command line yet; only its parent knows better.
        return self.pid() is None if self._child is None else self._is_reaped()

    def _is_reaped(self) -> bool:
        if self._child is not None:
            try:
                pid, _ = os.waitpid(self._child, os.WNOHANG)
            except ChildProcessError:
                pid = self._child
            if pid:
                self._child = None
        return self._child is None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.paths.socket))
            except OSError:
                return False
            return True

    def _last_words(self) -> str:
        lines = self.paths.log.read_text(errors="replace").strip().splitlines() if self.paths.log.exists() else []
        return lines[-1] if lines else "it said nothing"


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
