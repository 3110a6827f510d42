"""What an agent does with a Node of its name that is there already."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client import PatchType
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.simulated.host import SimulatedMachine

if TYPE_CHECKING:
    from tests.integration.kubelet.conftest import World


async def register_again(world: World) -> core_v1.Node:
    """Run another agent of the same name for a moment; return the node afterwards."""
    client = world.cluster.client_as(UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated")))
    config = KubeletConfig(node_name="n1", node_ip="192.0.2.1", relist_seconds=0, sync_seconds=0)
    identity = Identity(random.Random(2))
    host = world.runtime.host(client, "n1")
    agent = Kubelet(config, client, world.cluster.clock, identity, world.runtime, host=host)
    task = asyncio.get_running_loop().create_task(agent.run())
    try:
        await world.cluster.clock.advance(seconds=5)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return await world.cluster.client.get(core_v1.Node, "n1")


async def test_node_that_is_there_keeps_what_others_wrote(world: World) -> None:
    """Labels of the agent are put right; taints, other labels and resources that others added stay."""
    client = world.cluster.client
    taint = {"key": "example.com/busy", "effect": "NoSchedule"}
    labels = {"kubernetes.io/arch": "wrong", "example.com/own": "yes"}
    await client.patch(core_v1.Node, "n1", {"metadata": {"labels": labels}, "spec": {"taints": [taint]}})
    capacity = {"status": {"capacity": {"example.com/widgets": "3"}}}
    await client.patch(core_v1.Node, "n1", capacity, type=PatchType.STRATEGIC, subresource="status")
    node = await register_again(world)
    assert node.metadata.labels["kubernetes.io/arch"] == node.status.node_info.architecture
    assert node.metadata.labels["example.com/own"] == "yes"
    assert [item.key for item in node.spec.taints] == ["example.com/busy"]
    assert node.status.capacity["example.com/widgets"] == "3"


@pytest.mark.parametrize(
    ("boot_id", "told"),
    [
        pytest.param("another", ["Node n1 has been rebooted, boot id: another"], id="rebooted"),
        pytest.param("", [], id="same-boot"),
    ],
)
async def test_reboot_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch, boot_id: str, told: list[str]
) -> None:
    """An agent that finds another boot of its machine in the Node says so, and one that was only restarted does not."""
    before = (await world.cluster.client.get(core_v1.Node, "n1")).status.node_info
    info = replace(before, boot_id=boot_id or before.boot_id)
    monkeypatch.setattr(SimulatedMachine, "info", lambda _: info)
    node = await register_again(world)
    assert node.status.node_info.boot_id == info.boot_id
    assert [message for reason, message in await world.told("n1") if reason == "Rebooted"] == told
