"""Lifetimes: a component lives exactly as long as an `async with` block.

Invariant: when `running` has exited, no task it started is alive. Nest the blocks in start order and
shutdown is the reverse. Not here: restarts (the node's supervisor) and signals (`signals.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never


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
