"""Back-off: how long to wait before the next try.

A pure calculation over the number of failures; whoever waits does so on its clock. Upstream: client-go `util/workqueue` and
`util/flowcontrol/backoff.go`, apimachinery `wait.Backoff`.
"""

import random
from collections.abc import Hashable

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Delays that grow by `factor` from `initial_seconds` up to `limit_seconds`, each lengthened by up to `jitter` of itself."""

    initial_seconds: float
    limit_seconds: float
    factor: float = 2.0
    jitter: float = 0.0

    def delay(self, failures: int, source: random.Random | None = None) -> float:
        """Return the seconds to wait after this many failures in a row; none after zero."""
        if failures <= 0:
            return 0.0
        # The exponent is bounded, as a float overflows long after the limit is reached.
        seconds = min(self.initial_seconds * self.factor ** min(failures - 1, 64), self.limit_seconds)
        if self.jitter > 0.0 and source is not None:
            seconds += seconds * self.jitter * source.random()
        return seconds


class _Entry(Struct):
    failures: int
    last_seconds: float


class KeyedBackoff:
    """Back-off per key, forgotten when a key has been quiet for twice the longest delay (upstream's rule)."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._entries: dict[Hashable, _Entry] = {}

    def failed(self, key: Hashable, now_seconds: float) -> float:
        """Count a failure at this monotonic time and return the delay before the next try."""
        entry = self._entries.get(key)
        if entry is None or self._expired(entry, now_seconds):
            entry = self._entries[key] = _Entry(0, now_seconds)
        entry.failures += 1
        entry.last_seconds = now_seconds
        return self._backoff.delay(entry.failures)

    def failures(self, key: Hashable) -> int:
        """Return how often a key has failed since it was last forgotten."""
        entry = self._entries.get(key)
        return entry.failures if entry is not None else 0

    def remaining(self, key: Hashable, now_seconds: float) -> float:
        """Return how long the key still has to wait; zero when it may be tried."""
        entry = self._entries.get(key)
        if entry is None or self._expired(entry, now_seconds):
            return 0.0
        return max(0.0, entry.last_seconds + self._backoff.delay(entry.failures) - now_seconds)

    def forget(self, key: Hashable) -> None:
        """Start over with this key, after a success."""
        self._entries.pop(key, None)

    def collect(self, now_seconds: float) -> None:
        """Drop what has expired; call it now and then where keys come and go."""
        for key in [key for key, entry in self._entries.items() if self._expired(entry, now_seconds)]:
            del self._entries[key]

    def _expired(self, entry: _Entry, now_seconds: float) -> bool:
        return now_seconds - entry.last_seconds > 2 * self._backoff.limit_seconds
