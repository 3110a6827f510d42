"""How many requests may be at work at once.

Two counts, for reading and for writing, as upstream's max-in-flight filter has them: a request over the bound is answered 429 at
once and never waits, so nothing piles up. Long-running requests (watches, streams) are not counted, and neither is system:masters,
so that an administrator reaches a flooded server. Upstream: apiserver `server/filters/maxinflight.go`.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Self

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


class _Room:
    """The requests of one count; as a context manager one more, for as long as the block lasts."""

    __slots__ = ("_limit", "count")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0

    @property
    def is_full(self) -> bool:
        return 0 < self._limit <= self.count

    def __enter__(self) -> Self:
        self.count += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.count -= 1


_UNCOUNTED = nullcontext()


class InFlight:
    """Counts the requests at work; a limit of 0 is none."""

    def __init__(self, reading_limit: int, mutating_limit: int) -> None:
        self._reading = _Room(reading_limit)
        self._mutating = _Room(mutating_limit)

    def admit(self, info: RequestInfo, user: UserInfo) -> AbstractContextManager[object]:
        """Return what counts a request while its block lasts; the block is to be entered at once.

        Raises:
            TooManyInFlight: there is no room for it.
        """
        if is_long_running(info):
            return _UNCOUNTED
        room = self._reading if info.verb in _READING else self._mutating
        if room.is_full and "system:masters" not in user.groups:
            raise TooManyInFlight
        return room
