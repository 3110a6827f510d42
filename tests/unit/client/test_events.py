"""Who writes events: how many of them wait, and how much of the time goes into them."""

import asyncio
from typing import Any

import pytest

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import EventRecorder, EventWriter
from pinnace.component.clock import VirtualClock

NODE = core_v1.Node(metadata=ObjectMeta(name="n1", uid="n1"))


class BusyClock(VirtualClock):
    """A virtual clock on which work takes time, too."""

    spent = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.spent


class SlowClient:
    """Works for a second on each event, and remembers when it had done so."""

    def __init__(self, clock: BusyClock) -> None:
        self._clock = clock
        self.done: list[float] = []

    async def create(self, event: core_v1.Event) -> core_v1.Event:
        self._clock.spent += 1.0
        self.done.append(self._clock.monotonic())
        return event


async def written(clock: BusyClock, writer: EventWriter, count: int) -> list[float]:
    """Tell when each of some events is written that come at once."""
    client = SlowClient(clock)
    anything: Any = client
    recorder = EventRecorder(anything, clock, component="test", writer=writer)
    for number in range(count):
        recorder.event(NODE, "Normal", f"Reason{number}", "text")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(writer.run(), name="writer")
        await clock.advance(seconds=60)
        task.cancel()
    return client.done


@pytest.mark.parametrize(
    ("share", "times"),
    [
        pytest.param(1.0, [1.0, 2.0, 3.0], id="all of it"),
        pytest.param(0.25, [1.0, 5.0, 9.0], id="a quarter"),
    ],
)
async def test_writer_spends_its_share_of_the_time(share: float, times: list[float]) -> None:
    """After a write that took long it rests so much the longer, so that what goes before events gets its turns."""
    clock = BusyClock()
    assert await written(clock, EventWriter(clock, share=share), 3) == times


async def test_writer_drops_what_is_over_its_limit() -> None:
    """Nobody waits for room, and memory has an end."""
    clock = BusyClock()
    assert len(await written(clock, EventWriter(clock, waiting_limit=5), 8)) == 5
