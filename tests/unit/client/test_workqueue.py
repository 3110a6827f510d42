"""The work queue: each key once, failed ones later and not all together."""

import asyncio

from pinnace.client.workqueue import RateLimitingQueue, TokenBucket
from pinnace.component.clock import VirtualClock
from pinnace.component.metrics import Metrics


def test_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    """The first hundred wait for nothing, each later one a tenth of a second longer."""
    bucket = TokenBucket(10.0, 100)
    assert [bucket.reserve(5.0) for _ in range(100)] == [0.0] * 100
    assert [round(bucket.reserve(5.0), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert bucket.reserve(60.0) == 0.0


async def test_key_that_is_added_while_worked_on_comes_again() -> None:
    """Nobody works on a key that somebody works on, and no news is lost."""
    queue: RateLimitingQueue[str] = RateLimitingQueue("test", VirtualClock())
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_many_failures_come_back_one_after_the_other() -> None:
    """Of 120 keys that fail at once the last comes back two seconds later, not five milliseconds."""
    clock = VirtualClock()
    came: list[float] = []
    async with asyncio.TaskGroup() as group:
        queue: RateLimitingQueue[str] = RateLimitingQueue("test", clock)

        async def work() -> None:
            while True:
                key = await queue.get()
                came.append(clock.monotonic())
                queue.done(key)

        worker = group.create_task(work(), name="worker")
        for number in range(120):
            queue.add_rate_limited(str(number))
        await clock.advance(seconds=10)
        worker.cancel()
    assert sum(moment < 0.01 for moment in came) == 100
    assert len(came) == 120
    assert round(came[-1], 3) == 2.0


async def test_outstanding_names_every_key() -> None:
    """Queued, worked on and delayed keys are all still to be looked at."""
    queue: RateLimitingQueue[str] = RateLimitingQueue("test", VirtualClock())
    queue.add("worked on")
    await queue.get()
    queue.add("queued")
    queue.add_after("delayed", 5.0)
    assert sorted(queue.outstanding()) == ["delayed", "queued", "worked on"]


async def test_delayed_keys_come_each_at_its_time() -> None:
    """Later appointments do not hold up earlier ones, the earlier of two for one key stands, and a closed queue gets nothing more."""
    clock = VirtualClock()
    queue: RateLimitingQueue[str] = RateLimitingQueue("test", clock)
    queue.add_after("late", 5.0)
    queue.add_after("early", 1.0)
    queue.add_after("moved up", 9.0)
    queue.add_after("moved up", 3.0)
    queue.add_after("early", 8.0)
    came: dict[str, float] = {}

    async def work() -> None:
        while True:
            key = await queue.get()
            came[key] = clock.monotonic()
            queue.done(key)

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(work(), name="worker")
        await clock.advance(seconds=20)
        worker.cancel()
    assert came == {"early": 1.0, "moved up": 3.0, "late": 5.0}
    queue.add_after("never", 5.0)
    queue.close()
    await clock.advance(seconds=20)
    assert len(queue) == 0


async def test_queue_is_measured() -> None:
    """Depth, adds and retries stand under upstream's names."""
    metrics = Metrics()
    clock = VirtualClock()
    queue: RateLimitingQueue[str] = RateLimitingQueue("test", clock, metrics=metrics)
    queue.add("a")
    queue.add("b")
    await queue.get()
    text = metrics.response().body
    assert isinstance(text, bytes)
    assert b'workqueue_depth{name="test"} 1.0' in text
    assert b'workqueue_adds_total{name="test"} 2.0' in text
    queue.close()
