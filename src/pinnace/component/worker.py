"""A thread beside the event loop, for computations that would hold it up.

Python runs one thread at a time but lets the others in every few milliseconds, so that a computation of seconds costs everybody else some
speed instead of all of it. There is one thread: what is heavy waits for what is heavy, and takes the memory of one at a time.
Invariant: what is given to it shares nothing with the event loop that changes. A cancelled caller leaves; the computation runs to its end.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")

# Bytes that a computation is about from which on it leaves the event loop: where reading them takes a few milliseconds.
HEAVY_BYTES = 64 * 1024


class Worker:
    """Runs functions, the heavy ones in a thread of its own that is started with the first; close it in the end."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, function: Callable[[], R], *, cost_bytes: int) -> R:
        """Return what a function returns, or raise what it raises."""
        if cost_bytes < HEAVY_BYTES:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def close(self) -> None:
        """Take no more; nobody waits for what is still running."""
        self._thread.shutdown(wait=False, cancel_futures=True)
