import asyncio
import itertools

import pytest

from pinnace.component.clock import RealClock, VirtualClock


async def test_virtual_clock_advance_fires_timers_in_order_at_their_own_time():
    """Sleepers wake at exactly their deadlines, in order, however far time is moved at once."""
    clock = VirtualClock(start=1000.0)
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        seen.append((name, clock.time()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 30))
        group.create_task(sleeper("early", 10))
        await clock.advance(minutes=1)
    assert seen == [("early", 1010.0), ("late", 1030.0)]
    assert clock.time() == 1060.0
    assert clock.monotonic() == 60.0


async def test_virtual_clock_stands_still_while_a_hold_is_open():
    """No timer fires while work is held, and the timer fires once it is released."""
    clock = VirtualClock()
    woken: list[float] = []

    async def sleeper() -> None:
        await clock.sleep(1)
        woken.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper())
        with clock.hold("a write"):
            advancing = group.create_task(clock.advance(5))
            for _ in range(20):
                await asyncio.sleep(0)
            assert woken == []
            assert clock.held() == {"a write": 1}
        await advancing
    assert woken == [1.0]


async def test_virtual_clock_settles_chains_of_tasks_before_the_next_timer():
    """Everything that a timer sets off, through many tasks, is done before time moves on."""
    clock = VirtualClock()
    queue: asyncio.Queue[int] = asyncio.Queue()
    times: list[float] = []

    async def relay() -> None:
        while (left := await queue.get()) > 0:
            times.append(clock.monotonic())
            queue.put_nowait(left - 1)

    async with asyncio.TaskGroup() as group:
        relays = [group.create_task(relay()) for _ in range(3)]

        async def start() -> None:
            await clock.sleep(1)
            queue.put_nowait(100)

        group.create_task(start())
        group.create_task(clock.sleep(2))
        await clock.advance(3)
        assert times == [1.0] * 100
        for task in relays:
            task.cancel()


async def test_virtual_clock_timeout_raises_at_its_virtual_deadline():
    """A timeout ends its body by virtual time, and leaves no timer behind."""
    clock = VirtualClock()

    async def body() -> float:
        with pytest.raises(TimeoutError):
            async with clock.timeout(7):
                await clock.sleep(100)
        return clock.monotonic()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(body())
        await clock.advance(50)
    assert task.result() == 7.0
    assert clock.next_timer() is None


async def test_virtual_clock_timeout_of_none_never_fires():
    """None means no limit."""
    clock = VirtualClock()
    async with asyncio.TaskGroup() as group:

        async def body() -> None:
            async with clock.timeout(None):
                await clock.sleep(1000)

        group.create_task(body())
        await clock.advance(1000)


async def test_ticker_ticks_each_period_and_skips_what_a_slow_consumer_missed():
    """The first tick comes after one period; late ones are dropped instead of queued."""
    clock = VirtualClock()
    ticks: list[float] = []

    async def consume() -> None:
        async for _ in clock.ticker(10):
            ticks.append(clock.monotonic())
            if len(ticks) == 2:
                await clock.sleep(35)
            if len(ticks) == 4:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        await clock.advance(100)
    assert ticks == [10.0, 20.0, 55.0, 65.0]


async def test_ticker_jitter_lengthens_the_period_by_at_most_its_factor():
    """With jitter 0.5 a period lies between one and one and a half."""
    clock = VirtualClock()
    ticks = [0.0]

    async def consume() -> None:
        async for _ in clock.ticker(10, jitter=0.5):
            ticks.append(clock.monotonic())
            if len(ticks) == 30:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        await clock.advance(1000)
    periods = [after - before for before, after in itertools.pairwise(ticks)]
    assert all(10 <= period <= 15 for period in periods)
    assert len(set(periods)) > 1


async def test_virtual_clock_settle_names_what_is_held(monkeypatch):
    """A cluster that never settles is reported with the work that is left."""
    monkeypatch.setattr("pinnace.component.clock.SETTLE_LIMIT_SECONDS", 0.01)
    clock = VirtualClock()
    with clock.hold("a stuck queue"), pytest.raises(TimeoutError, match="a stuck queue"):
        await clock.settle()


async def test_hold_released_twice_counts_once():
    """Releasing a hold again does not release another one's."""
    clock = VirtualClock()
    first, second = clock.hold("work"), clock.hold("work")
    first.release()
    first.release()
    assert clock.held() == {"work": 1}
    second.release()
    assert clock.held() == {}


async def test_two_virtual_clocks_in_one_loop_both_settle():
    """Clocks that settle at the same time do not take each other for work."""
    one, two = VirtualClock(), VirtualClock()
    async with asyncio.TaskGroup() as group:
        for clock in (one, two):
            group.create_task(clock.sleep(5))
            group.create_task(clock.advance(10))
    assert (one.monotonic(), two.monotonic()) == (10.0, 10.0)


async def test_real_clock_timeout_and_sleep_use_the_loop():
    """The real clock's timeout ends a body that would wait for ever."""
    clock = RealClock()
    with pytest.raises(TimeoutError):
        async with clock.timeout(0.001):
            await asyncio.Event().wait()
    await clock.sleep(-1)
    assert clock.monotonic() >= 0


async def test_sleep_inside_a_hold_suspends_it():
    """A holder that sleeps on the clock does not stop it, and holds again when it wakes."""
    clock = VirtualClock()
    seen: list[dict[str, int]] = []

    async def holder() -> None:
        with clock.hold("a request"):
            await clock.sleep(3)
            seen.append(clock.held())

    async with asyncio.TaskGroup() as group:
        group.create_task(holder())
        await clock.advance(5)
    assert seen[0]["a request"] == 1
    assert clock.held() == {}
    assert clock.monotonic() == 5.0


async def test_hold_left_in_another_task_is_released():
    """A hold entered by one task can end in another, as fixtures and generators do."""
    clock = VirtualClock()
    hold = clock.hold("a fixture")

    async def enter() -> None:
        hold.__enter__()

    async with asyncio.TaskGroup() as group:
        group.create_task(enter())
    assert clock.held() == {"a fixture": 1}
    hold.__exit__()
    assert clock.held() == {}
