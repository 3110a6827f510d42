"""Processes that outlive the server, and are started anew while it is there."""

import asyncio
import errno
import os
import signal
import sys

from pinnace.cluster.detached import Detached
from pinnace.component.clock import RealClock
from pinnace.component.lifecycle import running

SLEEPER = "import time; print('awake', flush=True); time.sleep(600)"


async def test_process_that_ends_is_started_anew(tmp_path):
    """Whoever is killed is there again soon, is a child that leaves nothing behind, and is left alone when it is no longer kept."""
    clock, mark = RealClock(), str(tmp_path / "mark")
    process = Detached(mark, tmp_path / "log", clock)

    async def start():
        process.spawn(sys.executable, ["-c", SLEEPER, mark], os.defpath)

    async def another_than(pid):
        async with clock.timeout(30):
            while process.pid() in {None, pid}:
                await clock.sleep(0.01)
        return process.pid()

    async def keep():
        await process.keep("sleeper", start)

    await start()
    try:
        async with running("keeper", keep):
            first = await another_than(None)
            os.kill(first, signal.SIGKILL)
            second = await another_than(first)
            os.kill(second, signal.SIGTERM)
            third = await another_than(second)
        os.kill(third, signal.SIGKILL)
        await process.ended()
        assert process.pid() is None
    finally:
        await process.stop()


async def test_start_that_the_system_refuses_is_tried_again(tmp_path):
    """A disk that is full for a moment costs no more than that moment."""
    clock, tries = RealClock(), asyncio.Queue()
    process = Detached(str(tmp_path / "mark"), tmp_path / "log", clock)

    async def start():
        tries.put_nowait(None)
        raise OSError(errno.ENOSPC, "No space left on device")

    async def keep():
        await process.keep("sleeper", start)

    async with clock.timeout(30), running("keeper", keep):
        await tries.get()
        await tries.get()


async def test_end_of_a_process_that_never_ran_is_not_waited_for(tmp_path):
    """What does not run has ended."""
    await Detached(str(tmp_path / "mark"), tmp_path / "log", RealClock()).ended()
