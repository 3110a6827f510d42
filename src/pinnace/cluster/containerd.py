"""The cluster's own containerd: started when a node starts, found again after a restart of ours, stopped when told.

It outlives the server, and containers outlive it, each held by its shim (`detached`).
"""

import shutil
import socket
from pathlib import Path
from typing import Never

from pinnace.cluster.containerd_config import ContainerdError, ContainerdPaths, Machine, render, search_path
from pinnace.cluster.detached import Detached
from pinnace.cluster.mounts import unmount_below
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger

# Seconds for containerd to answer.
START_LIMIT_SECONDS = 30.0
_LOOK_SECONDS = 0.01
_log = get_logger("cluster")


class Containerd:
    """One containerd in one folder."""

    def __init__(self, paths: ContainerdPaths, machine: Machine, clock: Clock) -> None:
        self.paths = paths
        self._machine = machine
        self._clock = clock
        self._process = Detached(str(paths.config), paths.log, clock)

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
                    if self._process.has_ended():
                        raise ContainerdError(
                            f"containerd ended at once: {self._process.last_words()}; its log is {self.paths.log}"
                        )
                    await self._clock.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise ContainerdError(
                f"containerd did not answer within {START_LIMIT_SECONDS:.0f} s; its log is {self.paths.log}"
            ) from error
        return True

    async def keep(self) -> Never:
        """Start it anew whenever it has ended, for ever; containers do not notice."""
        await self._process.keep("containerd", self._started_anew)

    async def _started_anew(self) -> None:
        try:
            await self.start()
        except ContainerdError as error:
            _log.warning("containerd not started anew", error=str(error))

    async def stop(self) -> None:
        """End containerd; containers stay, held by their shims. Harmless when none runs."""
        await self._process.stop()

    def pid(self) -> int | None:
        """Return the process that runs with our configuration, None when there is none."""
        return self._process.pid()

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

    def _spawn(self) -> None:
        path = search_path()
        program = shutil.which("containerd", path=path)
        if program is None:
            raise ContainerdError("containerd is not installed: see `pinnace doctor`")
        self._process.spawn(program, ["--config", str(self.paths.config), "--log-level", "warn"], path)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.paths.socket))
            except OSError:
                return False
            return True
