"""A container runtime that does not answer: a moment of it is nothing, half a minute is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pinnace.api import core_v1
from pinnace.kubelet.runtime import RuntimeFailure
from pinnace.kubelet.simulated import SimulatedRuntime

if TYPE_CHECKING:
    from .conftest import World


async def ready(world: World) -> core_v1.NodeCondition:
    node = await world.cluster.client.get(core_v1.Node, "n1")
    return next(item for item in node.status.conditions if item.type == "Ready")


async def fail(*_: object) -> None:
    raise RuntimeFailure("rpc error: code = Unavailable")


async def test_runtime_that_is_away_for_a_moment_leaves_the_node_ready(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is started anew is there again soon; the node is Ready all the time, and its images stay known."""
    before = await ready(world)
    assert before.status == "True"
    with monkeypatch.context() as broken:
        broken.setattr(SimulatedRuntime, "health", fail)
        await world.cluster.clock.advance(seconds=15)
        assert await ready(world) == before
    await world.cluster.clock.advance(seconds=30)
    assert (await ready(world)).last_transition_time == before.last_transition_time


async def test_runtime_that_stays_away_makes_the_node_not_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a minute the node says what is the matter, and is Ready as soon as the runtime answers."""
    with monkeypatch.context() as broken:
        broken.setattr(SimulatedRuntime, "health", fail)
        await world.cluster.clock.advance(seconds=45)
        told = await ready(world)
        assert (told.status, told.reason, told.message) == ("False", "KubeletNotReady", "container runtime is down")
    await world.cluster.clock.advance(seconds=15)
    assert (await ready(world)).status == "True"
