"""What becomes of pods when their machine is about to go down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from integration.kubelet.conftest import World, running_world
from pinnace.api import core_v1
from pinnace.kubelet.config import ShutdownGroup

CRITICAL = 2_000_000_000


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world(shutdown_groups=(ShutdownGroup(CRITICAL, 10), ShutdownGroup(0, 20))) as world:
        yield world


async def ready(world: World) -> tuple[str, str]:
    node = await world.cluster.client.get(core_v1.Node, "n1")
    return next((item.status, item.message) for item in node.status.conditions if item.type == "Ready")


async def test_pods_end_in_order_of_priority(world: World) -> None:
    """Critical pods run until the others had their time; each says why it ended."""
    stubborn = {"stop-seconds": "never"}
    await world.pod("web", restart="Always", annotations=stubborn, termination_grace_period_seconds=600)
    await world.pod("dns", restart="Always", priority_class_name="system-node-critical")
    await world.cluster.clock.advance(seconds=5)
    down = asyncio.get_running_loop().create_task(world.kubelet.shut_down())
    await world.cluster.clock.advance(seconds=15)
    assert [(await world.get(name)).status.phase for name in ("web", "dns")] == ["Running", "Running"]
    assert await ready(world) == ("False", "node is shutting down")
    await world.cluster.clock.advance(seconds=20)
    assert down.done()
    for name in ("web", "dns"):
        status = (await world.get(name)).status
        text = "Pod was terminated in response to imminent node shutdown."
        assert (status.phase, status.reason, status.message) == ("Failed", "Terminated", text)
        told = next(item for item in status.conditions if item.type == "DisruptionTarget")
        assert (told.status, told.reason, told.message) == ("True", "TerminationByKubelet", text)
    assert ("Shutdown", "Shutdown manager detected shutdown event") in await world.told("n1")


async def test_node_takes_no_pods_until_the_shutdown_is_called_off(world: World) -> None:
    """A pod that comes during the shutdown is refused; one that comes after its end is not."""
    await world.kubelet.shut_down()
    await world.pod("early", node_name="n1")
    status = (await world.after("early", 5)).status
    text = "Pod was rejected: Pod was rejected as the node is shutting down."
    assert (status.phase, status.reason, status.message) == ("Failed", "NodeShutdown", text)
    await world.kubelet.call_off_shutdown()
    assert (await ready(world))[0] == "True"
    await world.pod("late", restart="Always", node_name="n1")
    assert (await world.after("late", 5)).status.phase == "Running"
    assert ("Shutdown", "Shutdown manager detected shutdown cancellation") in await world.told("n1")
