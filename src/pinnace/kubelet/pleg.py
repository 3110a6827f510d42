"""What the runtime has: told by its events, looked at by a relist that repairs what events missed; says whose pods changed.

Invariant: a record never gives way to an older one. Looks may overlap, so each has a number, drawn before it begins, and what it found
counts only where no later look has been. Upstream: kubelet `pleg/generic.go`, `pleg/evented.go`.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Never

from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet.runtime import PodRecord, PodRecords, RuntimeFailure

# Seconds until the runtime is asked again for events that it stopped sending.
_RETRY_SECONDS = 1.0
_log = get_logger("pleg")


class Pleg:
    """The latest records of all pods of the runtime."""

    def __init__(self, runtime: PodRecords, clock: Clock, period_seconds: float) -> None:
        """Relist every `period_seconds`; zero leaves it to the runtime's events."""
        self._runtime, self._clock, self._period = runtime, clock, period_seconds
        self._records: dict[str, PodRecord] = {}
        self._looks = itertools.count(1)
        self._seen: dict[str, int] = {}
        self.on_change: Callable[[str], None] | None = None

    def record(self, uid: str) -> PodRecord:
        """Return what the runtime has of a pod; an empty record when nothing."""
        return self._records.get(uid) or PodRecord(uid=uid)

    def uids(self) -> Iterable[str]:
        """Return all pods that the runtime has something of."""
        return tuple(self._records)

    async def relist(self) -> None:
        """Look at all pods now.

        Raises:
            RuntimeFailure: the runtime does not answer.
        """
        look = next(self._looks)
        found = await self._runtime.pods()
        for uid in dict.fromkeys((*self._records, *found)):
            self._take(look, uid, found.get(uid) or PodRecord(uid=uid))

    async def refresh(self, uid: str) -> None:
        """Look at one pod now; errors as for `relist`."""
        look = next(self._looks)
        self._take(look, uid, await self._runtime.pod(uid))

    async def run(self) -> Never:
        """Follow the runtime for ever."""
        if not self._period:
            await self._follow()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relist_regularly(), name="pleg relist")
            group.create_task(self._follow(), name="pleg events")
        raise AssertionError("following does not end")

    async def _relist_regularly(self) -> None:
        async for _ in self._clock.ticker(self._period):
            try:
                await self.relist()
            except RuntimeFailure as error:
                _log.warning("container runtime does not answer", error=str(error))

    async def _follow(self) -> Never:
        while True:
            try:
                async for uid in self._runtime.changes():
                    await (self.refresh(uid) if uid else self.relist())
            except RuntimeFailure as error:
                _log.debug("no events from the container runtime", error=str(error))
            await self._clock.sleep(_RETRY_SECONDS)

    def _take(self, look: int, uid: str, record: PodRecord) -> None:
        if self._seen.get(uid, 0) > look:
            return
        old = self._records.get(uid)
        if record.sandboxes or record.instances:
            self._records[uid], self._seen[uid] = record, look
        else:
            self._records.pop(uid, None)
            self._seen.pop(uid, None)
        if self.on_change is not None and record != (old or PodRecord(uid=uid)):
            self.on_change(uid)
