"""Ranges for the pods of nodes: distinct, kept, given back, respected when somebody else gave them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from integration.controllers.workloads import add_node, events
from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory, InProcessTransport
from pinnace.cluster import simulated_fleet as fleet
from pinnace.cluster.node_template import template
from pinnace.component.http import UserInfo
from pinnace.controllers.node_ipam import NodeIpamController, NodeRanges
from pinnace.testing import Cluster
from support.in_process import ADMIN, running_server


async def ranges(cluster: Cluster, name: str) -> tuple[str, ...]:
    await cluster.settle()
    return tuple((await cluster.client.get(core_v1.Node, name)).spec.pod_cidrs)


def node(name: str, *cidrs: str) -> core_v1.Node:
    return core_v1.Node(metadata=ObjectMeta(name=name), spec=core_v1.NodeSpec(pod_cidrs=cidrs))


@asynccontextmanager
async def server_alone() -> AsyncIterator[Cluster]:
    """An API server without any controller."""
    async with running_server() as server:
        handler = server.server.handle
        yield Cluster(Client(InProcessTransport(handler, ADMIN)), server.clock, handler)


@asynccontextmanager
async def ipam(cluster: Cluster, *cidrs: str, services: tuple[str, ...] = ()) -> AsyncIterator[None]:
    """Run an allocator alone."""
    account = "system:serviceaccount:kube-system:node-controller"
    client = cluster.client_as(UserInfo(account, groups=("system:authenticated",)))
    informers = InformerFactory(cluster.client, cluster.clock)
    made = NodeIpamController(client, informers, cluster.clock, ranges=(NodeRanges(cidrs),), service_cidrs=services)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(informers.run()), group.create_task(made.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def test_every_node_has_a_range_of_its_own(cluster: Cluster) -> None:
    """Real nodes and simulated ones draw from different space, each a whole /24, no two the same."""
    for number in range(5):
        await add_node(cluster, f"real-{number}")
    await fleet.add_nodes(cluster.client, template(), 5, "sim")
    real = [await ranges(cluster, f"real-{number}") for number in range(5)]
    simulated = [await ranges(cluster, f"sim-{number + 1}") for number in range(5)]
    assert real == [(f"10.244.{number}.0/24",) for number in range(5)]
    assert sorted(simulated) == [(f"100.64.{number}.0/24",) for number in range(5)]


async def test_range_given_by_hand_is_respected(cluster: Cluster) -> None:
    """What a Node came with stays, and nobody else gets what overlaps it."""
    await cluster.client.create(node("by-hand", "10.244.0.0/23"))
    await add_node(cluster, "other")
    assert await ranges(cluster, "by-hand") == ("10.244.0.0/23",)
    assert await ranges(cluster, "other") == ("10.244.2.0/24",)


async def test_range_is_free_when_its_node_has_gone(cluster: Cluster) -> None:
    """A range comes back with the deletion of its node, and is given again once the others have been."""
    for number in range(256):
        await cluster.client.create(node(f"n{number}"))
    await cluster.settle()
    held = await ranges(cluster, "n7")
    await cluster.client.create(node("late"))
    assert await ranges(cluster, "late") == ()
    assert await events(cluster, "default", "CIDRNotAvailable") == ["Node late status is now: CIDRNotAvailable"]
    await cluster.client.delete(core_v1.Node, "n7")
    await cluster.clock.advance(seconds=31)
    assert await ranges(cluster, "late") == held


async def test_silent_node_gets_its_range_back(cluster: Cluster) -> None:
    """A range belongs to its node as long as the object lives: a return after a day finds it as it was."""
    await cluster.add_node("one")
    before = await ranges(cluster, "one")
    await cluster.stop_node("one")
    await cluster.clock.advance(hours=24)
    await add_node(cluster, "other")
    await cluster.start_node("one")
    await cluster.wait_ready(["one"])
    assert await ranges(cluster, "one") == before


@pytest.mark.parametrize(
    ("cidrs", "services", "expected"),
    [
        pytest.param(("10.9.0.0/16", "fd00:9::/48"), (), ("10.9.0.0/24", "fd00:9::/64"), id="both families"),
        pytest.param(("fd00:9::/48", "10.9.0.0/16"), (), ("fd00:9::/64", "10.9.0.0/24"), id="the other one first"),
        pytest.param(("10.9.0.0/16",), ("10.9.0.0/23",), ("10.9.2.0/24",), id="services lie in the range"),
    ],
)
async def test_ranges_of_a_cluster(
    cidrs: tuple[str, ...], services: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """A node gets a block of each family, the primary one first, and none that services have."""
    async with server_alone() as cluster, ipam(cluster, *cidrs, services=services):
        await cluster.client.create(node("one"))
        assert await ranges(cluster, "one") == expected
        found = await cluster.client.get(core_v1.Node, "one")
        assert found.spec.pod_cidr == expected[0]


async def test_exhausted_family_leaves_the_other_untouched() -> None:
    """A node gets blocks of all families or none, and what was taken for it is free for the next."""
    async with server_alone() as cluster, ipam(cluster, "10.9.0.0/24", "fd00:9::/48"):
        await cluster.client.create(node("one"))
        assert await ranges(cluster, "one") == ("10.9.0.0/24", "fd00:9::/64")
        await cluster.client.create(node("two"))
        assert await ranges(cluster, "two") == ()
        await cluster.client.delete(core_v1.Node, "one")
        await cluster.clock.advance(seconds=31)
        assert (await ranges(cluster, "two"))[0] == "10.9.0.0/24"


async def test_allocator_that_starts_anew_gives_nothing_twice() -> None:
    """What nodes had before a restart is known before the first new range is given."""
    async with server_alone() as cluster:
        async with ipam(cluster, "10.9.0.0/16"):
            await cluster.client.create(node("one"))
            await cluster.settle()
        async with ipam(cluster, "10.9.0.0/16"):
            await cluster.client.create(node("two"))
            assert (await ranges(cluster, "one"), await ranges(cluster, "two")) == (("10.9.0.0/24",), ("10.9.1.0/24",))
