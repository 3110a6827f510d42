import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest

from pinnace.component.clock import VirtualClock
from pinnace.component.lifecycle import Health, restarting, running
from pinnace.component.signals import handle_termination


async def test_component_lives_as_long_as_its_block():
    """It runs beside the body and has cleaned up when the block is left."""
    seen = []

    async def run():
        try:
            seen.append("started")
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    async with running("x", run):
        await asyncio.sleep(0)
        assert seen == ["started"]
    assert seen == ["started", "ended"]


async def test_failing_component_ends_the_body():
    """A body never goes on without its component."""

    async def run():
        raise OSError("broken")

    with pytest.raises(ExceptionGroup) as failed:
        async with running("x", run):
            await asyncio.Event().wait()
    assert failed.group_contains(OSError, match="broken")


class Part:
    """Something that a test can make fail, as a component within does."""

    def __init__(self):
        self.lives, self.ends = 0, 0
        self.broken = asyncio.Event()
        self.fails_to_start = False

    @asynccontextmanager
    async def live(self):
        self.lives += 1
        if self.fails_to_start:
            raise OSError("no start")
        self.broken.clear()

        async def run():
            await self.broken.wait()
            raise OSError("broken")

        try:
            async with running("inner", run):
                yield
        finally:
            self.ends += 1


async def test_failed_part_is_started_anew_later_and_later():
    """The body goes on; the pause doubles with each failure, and is short again after a long life."""
    clock, part = VirtualClock(), Part()
    async with restarting("x", part.live, clock):
        assert part.lives == 1
        for lives, pause in ((2, 1.0), (3, 2.0), (4, 4.0)):
            part.broken.set()
            await clock.advance(pause - 0.1)
            assert part.lives == lives - 1
            await clock.advance(0.2)
            assert (part.lives, part.ends) == (lives, lives - 1)
        await clock.advance(60)
        part.broken.set()
        await clock.advance(1.1)
        assert part.lives == 5
    assert part.ends == 5


async def test_part_tells_its_health():
    """Whoever asks hears whether the part is alive, and what kind of failure it has; not the failure's text."""
    clock, part, health = VirtualClock(), Part(), Health()
    assert await health.failure() == "not started"
    async with restarting("x", part.live, clock, health):
        assert await health.failure() == ""
        part.broken.set()
        await clock.advance(0.5)
        assert await health.failure() == "failed and is about to start anew: OSError"
        await clock.advance(1)
        assert await health.failure() == ""
    assert await health.failure() == "stopped"


async def test_part_that_fails_to_restart_is_tried_again():
    """Only the first start may end the process: later ones are repeated until one succeeds."""
    clock, part = VirtualClock(), Part()
    async with restarting("x", part.live, clock):
        part.fails_to_start = True
        part.broken.set()
        await clock.advance(3.5)
        assert part.lives == 3
        part.fails_to_start = False
        await clock.advance(4)
        assert (part.lives, part.ends) == (4, 1)


async def test_first_start_that_fails_is_the_callers():
    """Nothing ran yet that could be kept, so whoever asked hears why."""
    part = Part()
    part.fails_to_start = True
    with pytest.raises(ExceptionGroup) as failed:
        async with restarting("x", part.live, VirtualClock()):
            raise AssertionError("the body must not run")
    assert failed.group_contains(OSError, match="no start")


async def test_first_signal_asks_for_the_end():
    """SIGTERM ends the wait and says which signal it was."""
    with handle_termination() as termination:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await termination.wait_terminated() is signal.SIGTERM


async def test_hangup_is_ignored_or_handed_on():
    """A closed terminal ends no server; whoever wants SIGHUP gets it."""
    heard = asyncio.Event()
    with handle_termination(heard.set) as termination:
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(5):
            await heard.wait()
        assert termination.signal is None
