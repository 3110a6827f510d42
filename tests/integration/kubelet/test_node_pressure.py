"""What the agent does when its machine runs short: one pod a look, and a condition that lingers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pinnace.api import core_v1
from pinnace.kubelet.machine import Memory
from pinnace.kubelet.simulated.host import SimulatedMachine

if TYPE_CHECKING:
    from tests.integration.kubelet.conftest import World

GIB, MIB = 1 << 30, 1 << 20


async def pressure(world: World) -> core_v1.NodeCondition:
    node = await world.cluster.client.get(core_v1.Node, "n1")
    return next(item for item in node.status.conditions if item.type == "MemoryPressure")


async def test_one_pod_ends_a_look_and_the_condition_lingers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod that uses the most above its request goes first, told which container it was; the node is well again after five minutes."""
    for name, used in (("modest", "10Mi"), ("greedy", "2Gi")):
        await world.pod(name, restart="Always", annotations={"memory-usage": used})
    await world.after("greedy", 1)
    monkeypatch.setattr(SimulatedMachine, "memory", lambda _: Memory(8 * GIB, 90 * MIB))
    await world.kubelet._evictions.look()
    greedy = await world.after("greedy", 11)
    assert (greedy.status.phase, greedy.status.reason) == ("Failed", "Evicted")
    assert greedy.status.message == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
        "Container main was using 2Gi, request is 0, has larger consumption of memory. "
    )
    assert (await world.get("modest")).status.phase == "Running"
    found = await pressure(world)
    assert (found.status, found.reason) == ("True", "KubeletHasInsufficientMemory")
    assert ("EvictionThresholdMet", "Attempting to reclaim memory") in await world.told("n1")

    monkeypatch.setattr(SimulatedMachine, "memory", lambda _: Memory(8 * GIB, GIB))
    await world.kubelet._evictions.look()
    await world.cluster.clock.advance(seconds=280)
    assert (await pressure(world)).status == "True"
    await world.cluster.clock.advance(seconds=30)
    found = await pressure(world)
    assert (found.status, found.reason) == ("False", "KubeletHasSufficientMemory")


async def test_pod_over_its_own_limits_is_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When pods end for what they may not fill, nobody else ends in the same look."""
    await world.pod("greedy", restart="Always", annotations={"memory-usage": "2Gi"})
    await world.pod("full", restart="Always")
    await world.after("full", 1)
    monkeypatch.setattr(SimulatedMachine, "memory", lambda _: Memory(8 * GIB, 90 * MIB))

    async def exceeded(pod: core_v1.Pod, _: object) -> str:
        return "too full" if pod.metadata.name == "full" else ""

    monkeypatch.setattr(world.kubelet._evictions._limits, "exceeded", exceeded)
    await world.kubelet._evictions.look()
    full = await world.after("full", 3)
    assert (full.status.reason, full.status.message) == ("Evicted", "too full")
    assert (await world.get("greedy")).status.phase == "Running"
