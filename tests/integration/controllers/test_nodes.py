"""Lost nodes: conditions, taints, eviction with and without delay, and pods that nobody else takes away."""

import pytest

from integration.controllers.workloads import (
    add_node,
    condition,
    events,
    listed,
    pod,
    pods,
    replica_set,
    run_all,
    set_pod,
)
from pinnace.api import coordination_v1, core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.controllers.node_zones import Zones
from pinnace.machinery import timestamps
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


async def node(cluster: Cluster, name: str) -> core_v1.Node:
    await cluster.settle()
    return await cluster.client.get(core_v1.Node, name)


async def taints(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    return [(item.key, item.effect) for item in (await node(cluster, name)).spec.taints]


async def renew(cluster: Cluster, *names: str, seconds: float) -> None:
    """Let time pass while these nodes renew their leases."""
    for _ in range(int(seconds / 10)):
        for name in names:
            stamp = timestamps.format_micro(cluster.clock.time())
            lease = coordination_v1.Lease(
                metadata=ObjectMeta(name=name, namespace="kube-node-lease"),
                spec=coordination_v1.LeaseSpec(holder_identity=name, renew_time=stamp),
            )
            try:
                await cluster.client.create(lease)
            except Exception:  # noqa: BLE001 - it is there already
                patch = {"spec": {"renewTime": stamp}}
                await cluster.client.patch(coordination_v1.Lease, name, patch, namespace="kube-node-lease")
        await cluster.clock.advance(seconds=10)


async def test_silent_node_loses_its_pods(cluster: Cluster, namespace: str) -> None:
    """After the grace period a silent node is Unknown and tainted, its pods are not ready, and go after 300 s."""
    await add_node(cluster, "n1")
    await cluster.client.create(replica_set("web", namespace, 2))
    await run_all(cluster, namespace)
    await add_node(cluster, "n2")
    await renew(cluster, "n2", seconds=70)
    lost = await node(cluster, "n1")
    assert condition(lost, "Ready") == ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    assert await taints(cluster, "n1") == [
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    ]
    assert await events(cluster, "default", "NodeNotReady") == ["Node n1 status is now: NodeNotReady"]
    found = await pods(cluster, namespace)
    assert {condition(item, "Ready")[0] for item in found} == {"False"}
    assert not any(item.metadata.deletion_timestamp for item in found)
    await renew(cluster, "n2", seconds=320)
    found = await pods(cluster, namespace)
    leaving = [item for item in found if item.metadata.deletion_timestamp]
    assert len(leaving) == 2
    status, reason, message = condition(leaving[0], "DisruptionTarget")
    assert (status, reason) == ("True", "DeletionByTaintManager")
    assert message == "Taint manager: deleting due to NoExecute taint"
    assert sorted(item.spec.node_name for item in found if item not in leaving) == ["n2", "n2"]


async def test_whole_cluster_silent_moves_nothing(cluster: Cluster, namespace: str) -> None:
    """When no node is heard of, the fault is taken to be elsewhere: nothing is driven away."""
    await add_node(cluster, "n1")
    await cluster.client.create(replica_set("web", namespace, 1))
    await run_all(cluster, namespace)
    await cluster.clock.advance(minutes=20)
    assert await taints(cluster, "n1") == [("node.kubernetes.io/unreachable", "NoSchedule")]
    (found,) = await pods(cluster, namespace)
    assert found.metadata.deletion_timestamp is None


@pytest.mark.parametrize(
    ("tolerations", "stays_seconds"),
    [
        pytest.param((), 0, id="not tolerated"),
        pytest.param(
            ({"key": "gone", "operator": "Exists", "effect": "NoExecute", "toleration_seconds": 60},),
            60,
            id="for a minute",
        ),
        pytest.param(({"key": "gone", "operator": "Exists"},), None, id="for ever"),
        pytest.param(({"key": "gone", "operator": "Equal", "value": "no"},), 0, id="of another value"),
    ],
)
async def test_taint_drives_pods_away(
    cluster: Cluster, namespace: str, tolerations: tuple[dict[str, object], ...], stays_seconds: int | None
) -> None:
    """A NoExecute taint ends the pods that do not put up with it, after the time they ask for."""
    await add_node(cluster, "n1")
    wanted = tuple(core_v1.Toleration(**item) for item in tolerations)  # type: ignore[arg-type]
    await cluster.client.create(pod("one", namespace, {"app": "one"}, tolerations=wanted))
    await run_all(cluster, namespace)
    patch = {"spec": {"taints": [{"key": "gone", "value": "yes", "effect": "NoExecute"}]}}
    await cluster.client.patch(core_v1.Node, "n1", patch)
    await cluster.settle()
    if stays_seconds:
        await cluster.clock.advance(seconds=stays_seconds - 1)
        (found,) = await pods(cluster, namespace)
        assert found.metadata.deletion_timestamp is None
        await cluster.clock.advance(seconds=2)
    found_after = await pods(cluster, namespace)
    assert all(item.metadata.deletion_timestamp for item in found_after) == (stays_seconds is not None)


async def test_taint_taken_back_acquits(cluster: Cluster, namespace: str) -> None:
    """When the taint goes before its time is up, the pod stays, and an event says so."""
    await add_node(cluster, "n1")
    toleration = core_v1.Toleration(key="gone", operator="Exists", effect="NoExecute", toleration_seconds=60)
    await cluster.client.create(pod("one", namespace, {"app": "one"}, tolerations=(toleration,)))
    await run_all(cluster, namespace)
    patch = {"spec": {"taints": [{"key": "gone", "effect": "NoExecute"}]}}
    await cluster.client.patch(core_v1.Node, "n1", patch)
    await cluster.clock.advance(seconds=30)
    await cluster.client.patch(core_v1.Node, "n1", {"spec": {"taints": None}})
    await cluster.clock.advance(seconds=60)
    (found,) = await pods(cluster, namespace)
    assert found.metadata.deletion_timestamp is None
    assert await events(cluster, namespace, "TaintManagerEviction") == [f"Cancelling deletion of Pod {namespace}/one"]


async def test_pods_of_a_deleted_node_go(cluster: Cluster, namespace: str) -> None:
    """40 s after its node went, a pod has failed, says why, and is gone; its owner makes another."""
    await add_node(cluster, "n1")
    await cluster.client.create(replica_set("web", namespace, 1))
    await run_all(cluster, namespace)
    (before,) = await pods(cluster, namespace)
    await cluster.client.delete(core_v1.Node, "n1")
    await cluster.clock.advance(seconds=30)
    assert [item.metadata.uid for item in await pods(cluster, namespace)] == [before.metadata.uid]
    await cluster.clock.advance(seconds=50)
    (after,) = await pods(cluster, namespace)
    assert after.metadata.uid != before.metadata.uid
    assert after.spec.node_name == ""


async def test_out_of_service_node_lets_its_pods_go(cluster: Cluster, namespace: str) -> None:
    """A pod that is being deleted on a dead node is taken away when the node is marked so."""
    await add_node(cluster, "n1")
    await cluster.client.create(pod("one", namespace, {"app": "one"}))
    await run_all(cluster, namespace)
    await cluster.clock.advance(seconds=60)
    await cluster.client.delete(core_v1.Pod, "one", namespace)
    await cluster.clock.advance(seconds=60)
    assert len(await pods(cluster, namespace)) == 1
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    await cluster.client.patch(core_v1.Node, "n1", {"spec": {"taints": [taint]}})
    await cluster.clock.advance(seconds=30)
    with pytest.raises(NotFound):
        await cluster.client.get(core_v1.Pod, "one", namespace)


async def test_pod_that_nobody_scheduled_can_go(cluster: Cluster, namespace: str) -> None:
    """A pod without a node that is kept by a finalizer alone ends as failed."""
    made = pod("one", namespace, scheduler_name="nobody")
    held = core_v1.Pod(
        metadata=ObjectMeta(name="one", namespace=namespace, finalizers=("example.org/hold",)), spec=made.spec
    )
    await cluster.client.create(held)
    await cluster.client.delete(core_v1.Pod, "one", namespace)
    await cluster.clock.advance(seconds=30)
    (found,) = await listed(cluster, core_v1.Pod, namespace)
    assert found.status.phase == "Failed"


async def test_elder_labels_follow(cluster: Cluster) -> None:
    """The labels of former days are kept equal to those of today."""
    await add_node(cluster, "n1", labels={"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"})
    labels = (await node(cluster, "n1")).metadata.labels
    assert (labels["beta.kubernetes.io/os"], labels["beta.kubernetes.io/arch"]) == ("linux", "arm64")


def test_zone_in_partial_disruption_is_left_alone() -> None:
    """With three of four nodes silent a small zone gives up none; with two of four one in ten seconds."""
    zones = Zones()
    nodes = {name: core_v1.Node(metadata=ObjectMeta(name=name)) for name in "abcd"}
    for name, item in nodes.items():
        zones.count(name, item, is_ready=name in "ab")
    assert zones.wait_seconds(nodes["c"], 0.0) == 0.0
    assert zones.wait_seconds(nodes["d"], 0.0) == 1.0
    assert zones.wait_seconds(nodes["d"], 10.0) == 0.0
    zones.count("b", nodes["b"], is_ready=False)
    assert zones.wait_seconds(nodes["b"], 60.0) is None
    assert zones.count("a", nodes["a"], is_ready=False)
    assert zones.all_disrupted


async def test_pod_on_silent_node_is_marked(cluster: Cluster, namespace: str) -> None:
    """A pod that reports itself ready when its node is given up is not ready from then on."""
    await add_node(cluster, "n1")
    await cluster.client.create(pod("one", namespace, {"app": "one"}))
    (made,) = await pods(cluster, namespace)
    await set_pod(cluster, made)
    await cluster.clock.advance(seconds=60)
    (found,) = await pods(cluster, namespace)
    assert condition(found, "Ready")[0] == "False"
    assert await events(cluster, namespace, "NodeNotReady") == ["Node is not ready"]
