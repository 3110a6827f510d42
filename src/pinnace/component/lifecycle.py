"""Lifetimes: a component lives exactly as long as an `async with` block.

Invariant: when `running` or `restarting` has exited, no task it started is alive. Nest the blocks in start order and
shutdown is the reverse. A part that is held by `restarting` tells its health, so that others can be told. Not here: signals (`signals.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Never

from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger

# Seconds before a component that failed is started anew: doubled each time, forgotten once it has lived for the longest of them.
RESTART_SECONDS, MAX_RESTART_SECONDS = 1.0, 60.0
_log = get_logger("lifecycle")


@asynccontextmanager
async def running(name: str, run: Callable[[], Coroutine[Any, Any, Never]]) -> AsyncIterator[None]:
    """Run a component beside the body; cancel it when the body ends, and wait for its clean-up.

    `run` ends only by cancellation or error, and bounds its own clean-up.

    Raises:
        ExceptionGroup: the component or the body failed; whichever was left has been cancelled.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(), name=name)
        try:
            yield
        finally:
            task.cancel(f"{name}: the block it lived in ended")


class Health:
    """Whether a part of the process is alive now; written by whoever holds it."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        self.reason = "not started"

    async def failure(self) -> str:
        """Return why it is not alive, an empty text when it is: a `healthz.Check` asks so."""
        return self.reason


@asynccontextmanager
async def restarting(
    name: str, start: Callable[[], AbstractAsyncContextManager[None]], clock: Clock, health: Health | None = None
) -> AsyncIterator[None]:
    """Hold a part of the process beside the body, and start it anew when it fails: one part's bug must not end the others.

    What `start` gives is entered once for each life, so it builds all its state inside. `health` is kept up to date.

    Raises:
        ExceptionGroup: the first start failed, as nothing ran yet that could be kept; or the body did.
    """
    started = asyncio.Event()
    health = health if health is not None else Health()

    async def keep() -> Never:
        pause = RESTART_SECONDS
        while True:
            begin = clock.monotonic()
            try:
                async with start():
                    health.reason = ""
                    started.set()
                    await asyncio.Event().wait()
            except Exception as error:
                health.reason = f"failed and is about to start anew: {_cause(error)}"
                if not started.is_set():
                    raise
                if clock.monotonic() - begin >= MAX_RESTART_SECONDS:
                    pause = RESTART_SECONDS
                _log.exception("a part of the process failed; starting it anew", part=name, seconds=pause)
            await clock.sleep(pause)
            pause = min(2 * pause, MAX_RESTART_SECONDS)

    try:
        async with running(name, keep):
            await started.wait()
            yield
    finally:
        health.reason = "stopped"


def _cause(error: BaseException) -> str:
    """Name the type of what failed; its text may hold what not everybody is to read."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
