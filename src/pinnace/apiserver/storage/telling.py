"""When the watchers are told what has happened: at once, unless telling takes up the process.

A change costs some 25 microseconds for each connection that it goes to, most of it TLS and kernel, and the event loop does nothing else
meanwhile. After a telling everyone else gets as much time as it took, up to a limit; what happens until then is told together, one send to each
connection. So a server that falls behind its writers sends less for each change and catches up, and a crowd of watchers leaves half of
the loop to others. On a virtual clock telling takes no time, and nothing ever waits.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from pinnace.component.clock import Clock

# Seconds that a change waits at most: telling may have taken long because the machine was busy with something else.
REST_LIMIT_SECONDS = 0.02


class Told(Protocol):
    """Somebody with watchers."""

    @abstractmethod
    def tell(self) -> None:
        """Tell them what they have not been told yet."""


class Telling:
    """Tells the watchers of all resources, one resource after the other in the order in which they first changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[Told, None] = {}
        self._rest_until = clock.monotonic()
        self._take_back: Callable[[], None] | None = None

    def add(self, told: Told) -> None:
        """Say that there is something to tell."""
        self._due[told] = None

    def tell(self) -> None:
        """Tell all there is to tell, now or when the rest is over."""
        if self._take_back is not None:
            return
        rest = self._rest_until - self._clock.monotonic()
        if rest > 0.0:
            self._take_back = self._clock.call_later(rest, self._tell)
        else:
            self._tell()

    def close(self) -> None:
        """Forget what has not been told; nothing is told from now on unless it is added."""
        self._due.clear()
        if self._take_back is not None:
            self._take_back()
            self._take_back = None

    def _tell(self) -> None:
        self._take_back = None
        begin = self._clock.monotonic()
        due, self._due = self._due, {}
        for told in due:
            told.tell()
        end = self._clock.monotonic()
        self._rest_until = end + min(end - begin, REST_LIMIT_SECONDS)
