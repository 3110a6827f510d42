"""Keeps container logs from growing without end: renames them, has the runtime begin anew, compresses and drops the old ones.

    0.log  ──over the limit──▶  0.log.20260102-150405  ──at the next rotation──▶  0.log.20260102-150405.gz

Invariant: no line is lost or written twice; at most `container_log_max_files` files are kept, the live one among them. Upstream: kubelet
`logs/container_log_manager.go`.
"""

import asyncio
import gzip
import shutil
from pathlib import Path
from typing import Never

from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import Instance, PodRecord, RuntimeFailure, State, Streams
from pinnace.machinery import timestamps

_PERIOD_SECONDS = 10.0
_log = get_logger("log-rotation")


class LogRotation:
    """The logs of all containers of one node."""

    def __init__(self, config: KubeletConfig, clock: Clock, pleg: Pleg, streams: Streams) -> None:
        self._config, self._clock, self._pleg, self._streams = config, clock, pleg, streams

    async def run(self) -> Never:
        """Look for ever."""
        async for _ in self._clock.ticker(_PERIOD_SECONDS):
            await self.rotate()
        raise AssertionError("a ticker does not end")

    async def rotate(self) -> None:
        """Rotate every log that is too large now."""
        for uid in self._pleg.uids():
            record = self._pleg.record(uid)
            for run in record.instances:
                path = self._path(record, run)
                if run.state is not State.RUNNING or not _is_over(path, self._config.container_log_max_bytes):
                    continue
                try:
                    await self._rotate(run, path)
                except (OSError, RuntimeFailure) as error:
                    _log.warning("log not rotated", log=str(path), error=str(error))

    async def _rotate(self, run: Instance, path: Path) -> None:
        await asyncio.to_thread(_tidy, path, self._config.container_log_max_files)
        stamp = timestamps.format(self._clock.time()).translate(str.maketrans("T", "-", "-:Z"))
        renamed = path.with_name(f"{path.name}.{stamp}")
        path.rename(renamed)  # noqa: ASYNC240 - within one folder
        try:
            await self._streams.reopen_log(run.id)
        except RuntimeFailure:
            # Nobody has begun a new file, so that the old one is still written to.
            renamed.rename(path)
            raise

    def _path(self, record: PodRecord, run: Instance) -> Path:
        pod = record.sandbox
        folder = f"{pod.namespace}_{pod.name}_{pod.uid}" if pod is not None else ""
        return self._config.log_dir / folder / run.name / f"{run.restart_count}.log"


def _is_over(path: Path, limit_bytes: int) -> bool:
    try:
        return path.stat().st_size > limit_bytes
    except OSError:
        return False


def _tidy(path: Path, most_files: int) -> None:
    """Compress what was rotated before, and drop the oldest; room is left for the live file and the one to come."""
    old = sorted(each for each in path.parent.glob(f"{path.name}.*") if each.suffix != ".tmp")
    for leftover in path.parent.glob(f"{path.name}.*.tmp"):
        leftover.unlink()
    keep = max(most_files - 2, 0)
    for each in old[: max(len(old) - keep, 0)]:
        each.unlink()
    for each in old[max(len(old) - keep, 0) :]:
        if each.suffix == ".gz":
            continue
        scratch = each.with_name(f"{each.name}.gz.tmp")
        with each.open("rb") as plain, gzip.open(scratch, "wb") as packed:
            shutil.copyfileobj(plain, packed)
        scratch.rename(each.with_name(f"{each.name}.gz"))
        each.unlink()
