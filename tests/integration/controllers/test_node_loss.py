"""Simulated nodes that fall silent and come back: to the second, one at a time, and all at once."""

import pytest

from integration.controllers.workloads import condition, events, pods, replica_set
from pinnace.api import coordination_v1, core_v1
from pinnace.machinery import timestamps
from pinnace.testing import Cluster, running_cluster

LOST_TAINT = "node.kubernetes.io/unreachable"


async def node(cluster: Cluster, name: str) -> core_v1.Node:
    await cluster.settle()
    return await cluster.client.get(core_v1.Node, name)


async def effects(cluster: Cluster, name: str) -> set[str]:
    """Return the effects of the taint of a lost node."""
    return {taint.effect for taint in (await node(cluster, name)).spec.taints if taint.key == LOST_TAINT}


async def ready(cluster: Cluster, name: str) -> core_v1.NodeCondition:
    return next(item for item in (await node(cluster, name)).status.conditions if item.type == "Ready")


async def lost(cluster: Cluster) -> list[str]:
    """Return the nodes whose pods are driven away."""
    found = (await cluster.client.list(core_v1.Node)).items
    return [
        item.metadata.name
        for item in found
        if any(taint.key == LOST_TAINT and taint.effect == "NoExecute" for taint in item.spec.taints)
    ]


async def leaving(cluster: Cluster, namespace: str) -> list[str]:
    return [item.metadata.name for item in await pods(cluster, namespace) if item.metadata.deletion_timestamp]


async def renewed(cluster: Cluster, name: str) -> float:
    """Return when a node's lease was renewed last, by the cluster's clock."""
    lease = await cluster.client.get(coordination_v1.Lease, name, "kube-node-lease")
    return cluster.clock.time() - (timestamps.age_seconds(lease.spec.renew_time, cluster.clock.time()) or 0.0)


async def test_a_minute_makes_a_stopped_node_not_ready(cluster: Cluster) -> None:
    """NotReady comes 50 to 55 s after the last renewal; the taints at most a look later; events tell of it once."""
    for name in ("a", "b", "c"):
        await cluster.add_node(name)
    await cluster.clock.advance(seconds=30)
    await cluster.stop_node("a")
    last = await renewed(cluster, "a")
    while condition(await node(cluster, "a"), "Ready")[0] == "True":
        await cluster.clock.advance(seconds=0.5)
    assert 50.0 <= cluster.clock.time() - last <= 55.5
    assert condition(await node(cluster, "a"), "Ready") == (
        "Unknown",
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
    )
    await cluster.clock.advance(seconds=5)
    assert await effects(cluster, "a") == {"NoSchedule", "NoExecute"}
    assert await lost(cluster) == ["a"]
    assert "Node a status is now: NodeNotReady" in await events(cluster, "default", "NodeNotReady")
    assert len(await events(cluster, "default", "RegisteredNode")) == 3


async def test_pods_of_a_lost_node_run_elsewhere(cluster: Cluster, namespace: str) -> None:
    """300 s after the taint the pods are deleted, and each replacement runs at most 2 s after its predecessor's eviction."""
    for name in ("a", "b", "c"):
        await cluster.add_node(name)
    await cluster.client.create(replica_set("web", namespace, 3))
    await cluster.clock.advance(seconds=5)
    (victim,) = [item for item in await pods(cluster, namespace) if item.spec.node_name == "a"]
    await cluster.stop_node("a")
    while not await effects(cluster, "a") >= {"NoExecute"}:
        await cluster.clock.advance(seconds=0.5)
    tainted = cluster.clock.monotonic()
    await cluster.clock.advance(seconds=298)
    assert await leaving(cluster, namespace) == []
    while not await leaving(cluster, namespace):
        await cluster.clock.advance(seconds=0.25)
    evicted = cluster.clock.monotonic()
    assert 299.0 <= evicted - tainted <= 301.0
    assert await events(cluster, namespace, "TaintManagerEviction") == [
        f"Marking for deletion Pod {namespace}/{victim.metadata.name}"
    ]
    await cluster.clock.advance(seconds=2)
    running = [
        item for item in await pods(cluster, namespace) if item.status.phase == "Running" and item.spec.node_name != "a"
    ]
    assert len(running) == 3


async def test_node_that_returns_in_time_keeps_its_pods(cluster: Cluster, namespace: str) -> None:
    """A return before the tolerated time is over takes the taints away and cancels every sentence."""
    for name in ("a", "b", "c"):
        await cluster.add_node(name)
    await cluster.client.create(replica_set("web", namespace, 3))
    await cluster.clock.advance(seconds=5)
    before = {item.metadata.uid for item in await pods(cluster, namespace)}
    await cluster.stop_node("a")
    await cluster.clock.advance(seconds=200)
    assert await lost(cluster) == ["a"]
    await cluster.start_node("a")
    await cluster.wait_ready(["a"])
    await cluster.clock.advance(minutes=10)
    assert {item.metadata.uid for item in await pods(cluster, namespace)} == before
    assert all(condition(item, "Ready")[0] == "True" for item in await pods(cluster, namespace))
    (cancelled,) = await events(cluster, namespace, "TaintManagerEviction")
    assert cancelled.startswith(f"Cancelling deletion of Pod {namespace}/web-")


async def test_node_that_comes_and_goes_within_the_grace_period_loses_nothing(cluster: Cluster, namespace: str) -> None:
    """Silent for 35 s again and again, it is Ready all the time, and no pod is moved or marked."""
    for name in ("a", "b", "c"):
        await cluster.add_node(name)
    await cluster.client.create(replica_set("web", namespace, 6))
    await cluster.clock.advance(seconds=5)
    before = {item.metadata.uid for item in await pods(cluster, namespace)}
    since = (await ready(cluster, "a")).last_transition_time
    for _ in range(20):
        await cluster.stop_node("a")
        await cluster.clock.advance(seconds=35)
        await cluster.start_node("a")
        await cluster.clock.advance(seconds=2)
    now = await ready(cluster, "a")
    assert (now.status, now.last_transition_time) == ("True", since)
    assert await effects(cluster, "a") == set()
    assert {item.metadata.uid for item in await pods(cluster, namespace)} == before
    assert await events(cluster, namespace, "TaintManagerEviction") == []
    assert await events(cluster, namespace, "NodeNotReady") == []


@pytest.mark.parametrize(
    ("nodes", "silent", "driven"),
    [
        pytest.param(10, 5, 5, id="half of them: each in its turn"),
        pytest.param(10, 6, 0, id="most of a small zone: none"),
        pytest.param(10, 10, 0, id="all of them: none"),
    ],
)
async def test_many_silent_nodes_are_taken_for_a_lost_network(nodes: int, silent: int, driven: int) -> None:
    """Up to a share of a zone's nodes are given up, one in ten seconds; beyond it nobody is."""
    async with running_cluster(nodes=nodes) as cluster:
        await cluster.clock.advance(seconds=30)
        for number in range(silent):
            await cluster.stop_node(f"node-{number + 1}")
        await cluster.clock.advance(seconds=62)
        first = len(await lost(cluster))
        assert first <= 2
        await cluster.clock.advance(seconds=10 * nodes)
        assert len(await lost(cluster)) == driven


async def test_return_of_all_nodes_deletes_nothing() -> None:
    """When a whole cluster comes back after an hour, no pod has gone, and none goes afterwards."""
    async with running_cluster(nodes=8) as cluster:
        await cluster.client.create(replica_set("web", "default", 16))
        await cluster.clock.advance(seconds=10)
        before = {item.metadata.uid for item in await pods(cluster, "default")}
        for number in range(8):
            await cluster.stop_node(f"node-{number + 1}")
        await cluster.clock.advance(hours=1)
        assert await lost(cluster) == []
        for number in range(8):
            await cluster.start_node(f"node-{number + 1}")
        await cluster.wait_ready([f"node-{number + 1}" for number in range(8)])
        await cluster.clock.advance(minutes=15)
        after = await pods(cluster, "default")
        assert {item.metadata.uid for item in after} == before
        assert await leaving(cluster, "default") == []
        assert {condition(item, "Ready")[0] for item in after} == {"True"}


async def test_node_deleted_while_its_pods_run_and_made_again(cluster: Cluster, namespace: str) -> None:
    """A node that is back under its name before its pods are collected runs them on; they are not deleted."""
    await cluster.add_node("a")
    await cluster.client.create(replica_set("web", namespace, 2))
    await cluster.clock.advance(seconds=5)
    before = {item.metadata.uid for item in await pods(cluster, namespace)}
    await cluster.remove_node("a")
    await cluster.clock.advance(seconds=20)
    await cluster.add_node("a")
    await cluster.clock.advance(minutes=5)
    after = await pods(cluster, namespace)
    assert {item.metadata.uid for item in after} == before
    assert {item.status.phase for item in after} == {"Running"}
    assert await events(cluster, "default", "RemovingNode") == ["Node a event: Removing Node a from Controller"]


async def test_wall_clock_of_a_node_decides_nothing(cluster: Cluster) -> None:
    """A lease that claims to be of tomorrow, or of yesterday, counts from when it was seen: nobody's wall clock kills a node."""
    await cluster.add_node("a")
    for shift in (-86400.0, 86400.0):
        stamp = timestamps.format_micro(cluster.clock.time() + shift)
        patch = {"spec": {"renewTime": stamp}}
        await cluster.client.patch(coordination_v1.Lease, "a", patch, namespace="kube-node-lease")
        await cluster.clock.advance(minutes=3)
        assert condition(await node(cluster, "a"), "Ready")[0] == "True"
