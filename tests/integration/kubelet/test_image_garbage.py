"""When images leave a node."""

from __future__ import annotations

import pytest

from integration.kubelet.conftest import World, running_world
from pinnace.api import core_v1
from pinnace.kubelet.machine import Disk
from pinnace.kubelet.simulated.host import SimulatedMachine


async def unused(world: World) -> None:
    """Leave an image on the node that a pod has had, and none has any more."""
    await world.pod("once")
    await world.after("once", 5)
    await world.cluster.client.delete(core_v1.Pod, "once", "default")
    await world.cluster.clock.advance(seconds=40)
    assert [image.tags for image in await world.runtime.images()] == [("registry.example/app:1",)]
    await world.kubelet._garbage.collect_images()


@pytest.mark.parametrize(
    ("seconds", "left"), [pytest.param(3500, 1, id="still-young"), pytest.param(3700, 0, id="unused-for-longer")]
)
async def test_image_that_was_unused_for_too_long_goes(seconds: float, left: int) -> None:
    """Where an age is set, an image of that age goes although the disk has room."""
    async with running_world(image_max_age_seconds=3600) as world:
        await unused(world)
        await world.cluster.clock.advance(seconds=seconds)
        await world.kubelet._garbage.collect_images()
        assert len(await world.runtime.images()) == left


@pytest.mark.parametrize(
    ("available", "left"), [pytest.param(51, 1, id="below-the-share"), pytest.param(49, 0, id="above-the-share")]
)
async def test_images_go_when_the_disk_is_as_full_as_is_set(
    monkeypatch: pytest.MonkeyPatch, available: int, left: int
) -> None:
    """The share of the disk at which they go can be set."""
    monkeypatch.setattr(SimulatedMachine, "disk", lambda _: Disk(100, available, 100, 100))
    async with running_world(image_gc_high_percent=50, image_gc_low_percent=40) as world:
        await unused(world)
        await world.cluster.clock.advance(seconds=130)
        await world.kubelet._garbage.collect_images()
        assert len(await world.runtime.images()) == left
