"""The requests at work, counted, so that a server can end in order.

```
  open ── close() ──▶ closed: what is at work is finished, what comes is refused ── all done, or too long ──▶ over
```
Upstream: apiserver `server/filters/waitgroup.go`, `server/genericapiserver.go` (the lifecycle of shutdown).
"""

import asyncio
from collections import Counter

from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.component.clock import Clock

_READING = frozenset({"get", "list", "watch"})
READ_ONLY, MUTATING = "readOnly", "mutating"


def kind_of(info: RequestInfo) -> str:
    """Return the kind of a request as the metrics name it."""
    return READ_ONLY if info.verb in _READING else MUTATING


class InFlight:
    """Counts requests by kind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._empty = asyncio.Event()
        self._empty.set()
        self._total = 0
        self.counts: Counter[str] = Counter()
        self.is_closed = False

    def enter(self, kind: str) -> None:
        """Count a request that begins."""
        self.counts[kind] += 1
        self._total += 1
        self._empty.clear()

    def leave(self, kind: str) -> None:
        """Count one that has its answer."""
        self.counts[kind] -= 1
        self._total -= 1
        if not self._total:
            self._empty.set()

    async def close(self, seconds: float) -> bool:
        """Refuse requests from now on, and wait for those at work; False when they take longer than that."""
        self.is_closed = True
        try:
            async with self._clock.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
