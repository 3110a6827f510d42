"""Time: the one place where the process reads a clock or waits.

Everything else is given a `Clock`. `RealClock` is the machine's; `VirtualClock` moves only when a test says so, from timer to
timer, and never while anything is still going on. "Going on" is counted, not guessed: whoever has work that nobody awaits on
the event loop (a queued key, an undelivered event, a write on its way to disk in a thread, a request being handled) opens a
hold, and the event loop itself must have nothing left to run.

Invariant: between two readings of a `VirtualClock` inside one uninterrupted stretch of code, time stands still; timers fire in
order of deadline, then of creation. Sockets and the container runtime keep real time and use `asyncio.timeout`.
"""

import asyncio
import heapq
import itertools
import random
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from contextvars import ContextVar, Token
from typing import Protocol, Self

# Seconds of real time that `VirtualClock.settle` waits before it names what is still held: a settled cluster takes milliseconds.
SETTLE_LIMIT_SECONDS = 60.0


# The holds whose `with` blocks the running code is in; a sleep inside them says itself that nothing goes on until it ends.
_entered: ContextVar[tuple["Hold", ...]] = ContextVar("entered holds", default=())


class Hold:
    """Keeps virtual time still until released; a context manager, and safe to release twice."""

    __slots__ = ("_clock", "_suspended", "_token", "what")

    def __init__(self, what: str, clock: "VirtualClock | None") -> None:
        self.what = what
        self._clock = clock
        self._suspended = 0
        self._token: Token[tuple[Hold, ...]] | None = None

    def release(self) -> None:
        """Let time move again as far as this hold is concerned."""
        clock, self._clock = self._clock, None
        if clock is not None and not self._suspended:
            clock.count_hold(self.what, -1)

    def suspend(self) -> None:
        """Not count for as long as the holder sleeps on the clock itself; may nest."""
        self._suspended += 1
        if self._suspended == 1 and self._clock is not None:
            self._clock.count_hold(self.what, -1)

    def resume(self) -> None:
        """Count again."""
        self._suspended -= 1
        if self._suspended == 0 and self._clock is not None:
            self._clock.count_hold(self.what, 1)

    def __enter__(self) -> Self:
        if self._clock is not None:
            self._token = _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            # A generator may be entered in one task and left in another, whose context never knew of the hold.
            with suppress(ValueError):
                _entered.reset(token)
        self.release()


class Clock(Protocol):
    """What a component may know of time."""

    @abstractmethod
    def time(self) -> float:
        """Return wall time in seconds since the epoch: for timestamps that people and other machines read."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds since some fixed point: for deadlines and durations, untouched by changes of the wall clock."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less lets other tasks run once."""

    @abstractmethod
    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have a function called after this many seconds; returns what takes that back, harmless when it has been called."""

    @abstractmethod
    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Cancel the body after this many seconds and raise TimeoutError; None never does."""

    @abstractmethod
    def ticker(self, period_seconds: float, *, jitter: float = 0.0) -> AsyncIterator[None]:
        """Tick for ever, the first time after one period; ticks missed by a slow consumer are skipped, not queued.

        `jitter` lengthens each period by a random share of it, up to this factor.
        """

    @abstractmethod
    def jittered(self, seconds: float, share: float) -> float:
        """Return a delay lengthened by a random part, up to this share of it; so that many who wait do not come back at once."""

    @abstractmethod
    def hold(self, what: str) -> Hold:
        """Say that something is going on; virtual time stands still until the hold is released.

        Sleeping on the clock inside the hold's `with` block suspends it. `what` names the kind of work ("workqueue deployment"); it is printed when a cluster does not settle.
        """

    @abstractmethod
    def waiting(self) -> AbstractContextManager[object]:
        """Say within the block that the running code waits for others, under a `timeout`: the holds it is in do not count."""


class _Ticking(Clock, Protocol):
    """The ticker and the jitter, which both clocks build on their own `sleep` and source of chance."""

    _random: random.Random

    def jittered(self, seconds: float, share: float) -> float:
        return seconds + seconds * share * self._random.random()

    async def ticker(self, period_seconds: float, *, jitter: float = 0.0) -> AsyncIterator[None]:
        due = self.monotonic()
        while True:
            period = period_seconds
            if jitter > 0.0:
                period += period * jitter * self._random.random()
            # A consumer slower than the period continues from now: a burst of late ticks helps nobody.
            due = max(due + period, self.monotonic())
            await self.sleep(due - self.monotonic())
            yield


_NOTHING_HELD = Hold("", None)


class RealClock(_Ticking):
    """The machine's clock; holds cost nothing and mean nothing."""

    def __init__(self, source: random.Random | None = None) -> None:
        self._random = source if source is not None else random.Random()  # noqa: S311 - jitter is no secret

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(max(seconds, 0.0), callback).cancel

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)

    def hold(self, what: str) -> Hold:  # noqa: ARG002
        return _NOTHING_HELD

    def waiting(self) -> AbstractContextManager[object]:
        return nullcontext()


class _Timer:
    """One deadline of a virtual clock; cancelled timers stay in the heap and are skipped."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], None] | None) -> None:
        self.deadline = deadline
        self.callback = callback


class VirtualClock(_Ticking):
    """A clock that stands still until `advance`; for clusters that live in one event loop.

    Use it from that loop's thread only.
    """

    def __init__(self, start: float = 1_767_225_600.0, *, source: random.Random | None = None) -> None:
        """Start at `start`, seconds since the epoch (by default the beginning of 2026); `source` makes the jitter."""
        self._start = start
        self._elapsed = 0.0
        self._random = source if source is not None else random.Random(0)  # noqa: S311 - jitter is no secret
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()
        self._held: Counter[str] = Counter()
        self._held_total = 0
        self._settling: asyncio.Future[None] | None = None
        self._advancing: asyncio.Lock | None = None

    def time(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    def set_wall(self, time: float) -> None:
        """Set the time of day, forward or back, as an administrator does; no time passes, and no timer is due for it."""
        self._start = time - self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        waking: list[Hold] = []

        def wake() -> None:
            if not woken.done():
                # The sleeper runs only in a later turn of the loop; until then nobody else speaks for it.
                waking.append(self.hold("a task that a timer woke"))
                woken.set_result(None)

        timer = self._schedule(seconds, wake)
        try:
            with self.waiting():
                await woken
        finally:
            timer.callback = None
            for hold in waking:
                hold.release()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        timer = self._schedule(max(seconds, 0.0), callback)

        def cancel() -> None:
            timer.callback = None

        return cancel

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[object]:
        async with asyncio.timeout(None) as scope:
            if seconds is None:
                yield scope
                return
            loop = asyncio.get_running_loop()
            timer = self._schedule(max(seconds, 0.0), lambda: scope.reschedule(loop.time()))
            try:
                yield scope
            finally:
                timer.callback = None

    def hold(self, what: str) -> Hold:
        self.count_hold(what, 1)
        return Hold(what, self)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        # Someone who waits inside a hold waits for time itself: standing still for him would be for ever.
        holds = _entered.get()
        for hold in holds:
            hold.suspend()
        try:
            yield
        finally:
            for hold in holds:
                hold.resume()

    def held(self) -> dict[str, int]:
        """Return what is going on now: kind of work → count."""
        return {what: count for what, count in self._held.items() if count}

    async def settle(self) -> None:
        """Wait until nothing is held and the event loop has nothing left to run.

        Raises:
            TimeoutError: that did not happen within a minute of real time; the text names what is held.
        """
        try:
            async with asyncio.timeout(SETTLE_LIMIT_SECONDS):
                await self._wait_idle()
        except TimeoutError as error:
            raise TimeoutError(
                f"the cluster does not settle; still going on: {self.held() or 'the event loop is busy'}"
            ) from error

    async def advance(
        self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0
    ) -> None:
        """Move time forward, from timer to timer, settling before each step and at the end.

        Concurrent calls take turns; each moves time by its own amount.
        """
        if self._advancing is None:
            self._advancing = asyncio.Lock()
        async with self._advancing:
            await self.settle()
            until = self._elapsed + seconds + 60.0 * minutes + 3600.0 * hours + 86400.0 * days
            while (due := self.next_timer()) is not None and due <= until:
                self._elapsed = max(self._elapsed, due)
                self._fire_due()
                await self.settle()
            self._elapsed = until

    def next_timer(self) -> float | None:
        """Return the monotonic time of the next timer, None when nothing waits for time."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _schedule(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(self._elapsed + seconds, callback)
        heapq.heappush(self._timers, (timer.deadline, next(self._order), timer))
        return timer

    def _fire_due(self) -> None:
        while (due := self.next_timer()) is not None and due <= self._elapsed:
            timer = heapq.heappop(self._timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()

    def count_hold(self, what: str, change: int) -> None:
        """Count holds of a kind up or down; `Hold` is the way to call it."""
        self._held[what] += change
        self._held_total += change
        if self._held_total == 0 and self._settling is not None and not self._settling.done():
            self._settling.set_result(None)

    async def _wait_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._held_total:
                if self._settling is None or self._settling.done():
                    self._settling = loop.create_future()
                await asyncio.shield(self._settling)
            turn = loop.create_future()
            loop.call_soon(_watch_for_idle, loop, turn)
            await turn
            if not self._held_total:
                return


def _watch_for_idle(loop: asyncio.AbstractEventLoop, turn: "asyncio.Future[None]") -> None:
    """Complete `turn` when the loop has nothing ready to run but watchers like this one.

    asyncio's own loop tells exactly, though it has no public name for it; a loop that does not tell (uvloop) is taken to be
    idle after the turn, so that there the holds alone decide.
    """
    if turn.done():
        return
    if any(getattr(handle, "_callback", None) is not _watch_for_idle for handle in getattr(loop, "_ready", ())):
        # By way of the timers, which run a turn later, so that the loop looks at its sockets in between.
        loop.call_later(0, _watch_for_idle, loop, turn)
    else:
        turn.set_result(None)
