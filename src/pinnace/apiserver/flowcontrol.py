"""How many requests may be at work at once.

Two counts, for reading and for writing, as upstream's max-in-flight filter has them: a request over the bound is answered 429 at
once and never waits, so nothing piles up. Long-running requests (watches, streams) are not counted, and neither is system:masters,
so that an administrator reaches a flooded server. Upstream: apiserver `server/filters/maxinflight.go`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.component.http import UserInfo

# Seconds after which a refused client should try again.
RETRY_AFTER_SECONDS = 1
_READING = frozenset({"get", "list", "watch"})
_LONG_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})
_LONG_VERBS = frozenset({"watch", "proxy"})


class TooManyInFlight(Exception):
    """Raised when a request finds no room."""


def is_long_running(info: RequestInfo) -> bool:
    """Tell whether a request lasts as long as its client likes."""
    return info.verb in _LONG_VERBS or info.subresource in _LONG_SUBRESOURCES or info.path.startswith("/debug/pprof")


class InFlight:
    """Counts the requests at work."""

    def __init__(self, reading_limit: int, mutating_limit: int) -> None:
        self._limits = {True: reading_limit, False: mutating_limit}
        self.counts = {True: 0, False: 0}

    @contextmanager
    def admit(self, info: RequestInfo, user: UserInfo) -> Iterator[None]:
        """Count a request while the block lasts.

        Raises:
            TooManyInFlight: there is no room for it.
        """
        if is_long_running(info):
            yield
            return
        reading = info.verb in _READING
        limit = self._limits[reading]
        if limit and self.counts[reading] >= limit and "system:masters" not in user.groups:
            raise TooManyInFlight
        self.counts[reading] += 1
        try:
            yield
        finally:
            self.counts[reading] -= 1
