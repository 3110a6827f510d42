"""Turns for work that occupies the event loop: between two of them everything else gets its chance.

Seats bound how many requests are at work, but in one event loop two hundred lists that are ready at once would still run one
behind the other before a single lease is renewed. Whoever has much to render takes a turn: turns come in order, one in each round of the loop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pinnace.component.clock import Clock


class Turns:
    """A queue for the event loop itself; it has no bound of its own, since seats bound who comes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Run the body in a turn."""
        async with self._lock:
            yield
            # Held for a round longer: a waiter that took over at once would leave nobody else any time.
            await self._clock.sleep(0)
