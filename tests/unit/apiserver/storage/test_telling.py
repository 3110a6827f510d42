"""Telling: at once, together after a long telling, and nothing after the end."""

from pinnace.apiserver.storage.telling import REST_LIMIT_SECONDS, Telling, Told
from pinnace.component.clock import VirtualClock


class Working(VirtualClock):
    """A clock on which work takes time."""

    def __init__(self) -> None:
        super().__init__()
        self._worked = 0.0

    def work(self, seconds: float) -> None:
        self._worked += seconds

    def monotonic(self) -> float:
        return super().monotonic() + self._worked


class Crowd(Told):
    """Watchers that take so long to tell."""

    def __init__(self, clock: Working, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self.told = 0

    def tell(self) -> None:
        self.told += 1
        self._clock.work(self._seconds)


def happen(telling: Telling, *crowds: Crowd) -> None:
    for crowd in crowds:
        telling.add(crowd)
    telling.tell()


async def test_change_is_told_at_once():
    """What takes no time to tell never waits."""
    clock = Working()
    crowd, telling = Crowd(clock, 0.0), Telling(clock)
    for times in range(1, 4):
        happen(telling, crowd)
        assert crowd.told == times


async def test_changes_wait_as_long_as_the_last_telling_took():
    """Whoever else lives in the loop gets as much of it as the watchers do; what happens meanwhile is told once."""
    clock = Working()
    crowd, telling = Crowd(clock, 0.008), Telling(clock)
    happen(telling, crowd)
    for _ in range(3):
        happen(telling, crowd)
    await clock.advance(0.007)
    assert crowd.told == 1
    await clock.advance(0.002)
    assert crowd.told == 2
    await clock.advance(1.0)
    assert crowd.told == 2
    happen(telling, crowd)
    assert crowd.told == 3


async def test_changes_of_all_resources_wait_together():
    """The loop is one: a crowd of one resource lets the changes of another wait, too."""
    clock = Working()
    large, small, telling = Crowd(clock, 0.008), Crowd(clock, 0.0), Telling(clock)
    happen(telling, large, small)
    happen(telling, small)
    assert (large.told, small.told) == (1, 1)
    await clock.advance(0.01)
    assert (large.told, small.told) == (1, 2)


async def test_wait_has_a_limit():
    """A telling that took long because the machine was busy does not delay the next one by as much."""
    clock = Working()
    crowd, telling = Crowd(clock, 5.0), Telling(clock)
    happen(telling, crowd)
    happen(telling, crowd)
    await clock.advance(REST_LIMIT_SECONDS + 0.001)
    assert crowd.told == 2


async def test_nothing_is_told_after_the_end():
    """What waits when the server goes down is forgotten: its watches have ended."""
    clock = Working()
    crowd, telling = Crowd(clock, 0.008), Telling(clock)
    happen(telling, crowd)
    happen(telling, crowd)
    telling.close()
    await clock.advance(1.0)
    assert crowd.told == 1
