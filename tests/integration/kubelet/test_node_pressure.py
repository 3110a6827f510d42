"""What the agent does when its machine runs short: one pod a look, and a condition that lingers."""

from __future__ import annotations

import pytest

from integration.kubelet.conftest import World, running_world
from pinnace.api import core_v1
from pinnace.kubelet.cgroups import PodCgroups
from pinnace.kubelet.machine import Memory, Pids
from pinnace.kubelet.simulated.host import NoCgroups, SimulatedMachine

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


async def test_soft_threshold_counts_after_its_grace_and_gives_pods_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The condition comes at once; a pod ends when the threshold has been met for its grace period, with at most the set grace."""
    soft = {"memory.available": "1Gi"}
    async with running_world(
        eviction_soft=soft, eviction_soft_seconds={"memory.available": 60}, eviction_max_grace_seconds=5
    ) as world:
        usage = {"memory-usage": "2Gi", "stop-seconds": "never"}
        await world.pod("greedy", restart="Always", annotations=usage, termination_grace_period_seconds=600)
        await world.after("greedy", 1)
        monkeypatch.setattr(SimulatedMachine, "memory", lambda _: Memory(8 * GIB, 900 * MIB))
        await world.kubelet._evictions.look()
        await world.cluster.clock.advance(seconds=59)
        assert (await pressure(world)).status == "True"
        await world.kubelet._evictions.look()
        assert (await world.get("greedy")).status.phase == "Running"
        await world.cluster.clock.advance(seconds=2)
        await world.kubelet._evictions.look()
        assert (await world.after("greedy", 4)).status.phase == "Running"
        assert (await world.after("greedy", 2)).status.reason == "Evicted"


async def test_pod_with_the_most_processes_ends_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node says so, and its pods are told from each other by the processes that they have."""

    def processes(_: PodCgroups, pod: core_v1.Pod) -> int:
        return 9000 if pod.metadata.name == "bomb" else 3

    monkeypatch.setattr(NoCgroups, "processes", processes)
    monkeypatch.setattr(SimulatedMachine, "pids", lambda _: Pids(10_000, 9990))
    async with running_world(eviction_hard={"pid.available": "1%"}) as world:
        for name in ("quiet", "bomb"):
            await world.pod(name, restart="Always")
        await world.after("bomb", 1)
        await world.kubelet._evictions.look()
        bomb = await world.after("bomb", 11)
        assert bomb.status.message == ("The node was low on resource: pids. Threshold quantity: 100, available: 10. ")
        assert (await world.get("quiet")).status.phase == "Running"
        node = await world.cluster.client.get(core_v1.Node, "n1")
        told = {item.type: (item.status, item.reason) for item in node.status.conditions}
        assert told["PIDPressure"] == ("True", "KubeletHasInsufficientPID")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({}, "Evicted", id="best-effort"),
        pytest.param({"priority_class_name": "system-node-critical"}, "", id="critical"),
        pytest.param(
            {"tolerations": (core_v1.Toleration(key="node.kubernetes.io/memory-pressure", operator="Exists"),)},
            "",
            id="tolerates-the-pressure",
        ),
    ],
)
async def test_node_under_pressure_refuses_pods_that_ask_for_nothing(
    world: World, spec: dict[str, object], reason: str
) -> None:
    """A pod that is bound to it all the same fails, unless it is critical or said that it can bear that."""
    world.kubelet._evictions._last["MemoryPressure"] = world.cluster.clock.monotonic()
    await world.pod("late", restart="Always", node_name="n1", **spec)
    status = (await world.after("late", 5)).status
    assert status.reason == reason
    assert status.message == ("Pod was rejected: The node had condition: [MemoryPressure]. " if reason else "")
