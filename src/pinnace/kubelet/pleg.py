"""What the runtime has, looked at every second and after each act; tells whose pods changed. Upstream: kubelet `pleg/generic.go`."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Never

from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet.runtime import ContainerRuntime, PodRecord, RuntimeFailure

_log = get_logger("pleg")


class Pleg:
    """The latest records of all pods of the runtime."""

    def __init__(self, runtime: ContainerRuntime, clock: Clock, period_seconds: float) -> None:
        self._runtime, self._clock, self._period = runtime, clock, period_seconds
        self._records: Mapping[str, PodRecord] = {}
        self._lock = asyncio.Lock()
        self.on_change: Callable[[str], None] | None = None

    def record(self, uid: str) -> PodRecord:
        """Return what the runtime has of a pod; an empty record when nothing."""
        return self._records.get(uid) or PodRecord(uid=uid)

    def uids(self) -> Iterable[str]:
        """Return all pods that the runtime has something of."""
        return tuple(self._records)

    async def relist(self) -> None:
        """Look at the runtime now.

        Raises:
            RuntimeFailure: it does not answer.
        """
        async with self._lock:
            old, self._records = self._records, await self._runtime.pods()
        if self.on_change is not None:
            for uid in {*old, *self._records}:
                if old.get(uid) != self._records.get(uid):
                    self.on_change(uid)

    async def run(self) -> Never:
        """Look for ever."""
        async for _ in self._clock.ticker(self._period):
            try:
                await self.relist()
            except RuntimeFailure as error:
                _log.warning("container runtime does not answer", error=str(error))
        raise AssertionError("a ticker does not end")
