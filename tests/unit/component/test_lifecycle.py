import asyncio
import os
import signal

import pytest

from pinnace.component.lifecycle import running
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
