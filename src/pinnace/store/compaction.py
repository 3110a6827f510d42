"""Forgets old history: every five minutes, up to the revision that was the newest five minutes before.

So between five and ten minutes can be read back, as with upstream's API server over etcd
(apiserver `pkg/storage/etcd3/compact.go`). A server that keeps its history does not run this.
"""

from typing import Never

from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.store.interface import Store, Unavailable

PERIOD_SECONDS = 300.0

_log = get_logger(__name__)


async def compact_regularly(store: Store, clock: Clock) -> Never:
    """Compact for ever; a store that refuses is asked again a period later."""
    newest_before = store.status().revision
    async for _ in clock.ticker(PERIOD_SECONDS):
        newest = store.status().revision
        try:
            await store.compact(newest_before)
        except Unavailable as error:
            _log.warning("compaction failed", reason=str(error))
        newest_before = newest
    raise AssertionError("a ticker does not end")
