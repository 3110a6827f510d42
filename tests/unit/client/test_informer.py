"""The cache of informers, and what becomes of listeners that raise."""

from collections.abc import AsyncIterator
from typing import Any

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Cache, InformerFactory
from pinnace.client.rest import Listing
from pinnace.component.clock import VirtualClock
from pinnace.component.lifecycle import running
from pinnace.component.metrics import Metrics
from pinnace.machinery.errors import ServiceUnavailable


def pod(name: str, namespace: str = "default", node: str = "", version: str = "1") -> core_v1.Pod:
    return core_v1.Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=name, resource_version=version),
        spec=core_v1.PodSpec(node_name=node),
    )


class FakeClient:
    """A server with a list, down for its first answers, whose watch never has news."""

    def __init__(self, clock: VirtualClock, *items: core_v1.Pod, failures: int = 0) -> None:
        self.asked: list[float] = []
        self._clock, self._items, self._failures = clock, items, failures

    async def list(self, *_: Any, **__: Any) -> Listing[core_v1.Pod]:
        self.asked.append(self._clock.monotonic())
        if len(self.asked) <= self._failures:
            raise ServiceUnavailable("not yet")
        return Listing(self._items, "7")

    def watch(self, *_: Any, **__: Any) -> "FakeClient":
        return self

    async def __aenter__(self) -> AsyncIterator[Any]:
        return self._silence()

    async def __aexit__(self, *_: object) -> None:
        return None

    async def _silence(self) -> AsyncIterator[Any]:
        await self._clock.sleep(1e9)
        yield None


def test_cache_finds_by_namespace_and_index_in_order_of_arrival() -> None:
    """An update moves an object between values of an index and nowhere else."""
    cache: Cache[core_v1.Pod] = Cache()
    cache.add_index("node", lambda item: (item.spec.node_name,))
    cache.put("a/one", pod("one", "a"))
    cache.put("b/two", pod("two", "b"))
    cache.put("a/three", pod("three", "a", "n1"))
    cache.put("a/one", pod("one", "a", "n1"))
    assert [item.metadata.name for item in cache.list("a")] == ["one", "three"]
    assert [item.metadata.name for item in cache.by_index("node", "n1")] == ["three", "one"]
    cache.remove("a/three")
    assert [item.metadata.name for item in cache.by_index("node", "n1")] == ["one"]
    assert cache.list("c") == []


async def test_listener_that_raises_hurts_nobody_else() -> None:
    """The informer goes on, the next listener hears everything, and the failure is counted."""
    clock, metrics = VirtualClock(), Metrics()
    factory = InformerFactory(FakeClient(clock, pod("one"), pod("two")), clock, metrics=metrics)  # type: ignore[arg-type]
    informer = factory.informer(core_v1.Pod)

    def fail(_: core_v1.Pod) -> None:
        raise ValueError("a bug")

    heard: list[str] = []
    informer.add_handler(fail)
    informer.add_handler(lambda item: heard.append(item.metadata.name))
    async with running("informers", factory.run):
        await factory.wait_synced()
        assert heard == ["one", "two"]
        assert factory.handler_failures == 2
        body = metrics.response().body
        assert isinstance(body, bytes)
        assert b'pinnace_informer_handler_failures_total{type="Pod"} 2.0' in body


async def test_list_that_fails_is_tried_again_with_growing_jittered_delays() -> None:
    """Each pause is between once and twice the doubled delay of upstream's reflector."""
    clock = VirtualClock()
    client = FakeClient(clock, pod("one"), failures=4)
    factory = InformerFactory(client, clock)  # type: ignore[arg-type]
    factory.informer(core_v1.Pod)
    async with running("informers", factory.run):
        await clock.advance(seconds=60)
    pauses = [later - earlier for earlier, later in zip(client.asked, client.asked[1:], strict=False)]
    assert len(pauses) == 4
    for pause, least in zip(pauses, (0.8, 1.6, 3.2, 6.4), strict=True):
        assert least < pause <= 2 * least
