"""ReplicaSets and ReplicationControllers: as many pods as asked for, adopted, released and chosen as upstream does."""

from msgspec.structs import replace

from integration.controllers.workloads import (
    condition,
    events,
    listed,
    pod,
    pods,
    replica_set,
    run_all,
    set_pod,
    template,
)
from pinnace.api import apps_v1, core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.testing import Cluster


async def scale(cluster: Cluster, namespace: str, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    await cluster.client.patch(apps_v1.ReplicaSet, "web", patch, namespace=namespace)
    await cluster.settle()


async def get(cluster: Cluster, namespace: str) -> apps_v1.ReplicaSet:
    await cluster.settle()
    return await cluster.client.get(apps_v1.ReplicaSet, "web", namespace)


async def test_lost_pod_is_replaced(cluster: Cluster, namespace: str) -> None:
    """A deleted pod, and one that failed, are replaced; the failed one stays to be looked at."""
    await cluster.client.create(replica_set("web", namespace, 2))
    first, second = await pods(cluster, namespace)
    await cluster.client.delete(core_v1.Pod, first.metadata.name, namespace, grace_period_seconds=0)
    await set_pod(cluster, second, phase="Failed")
    found = await pods(cluster, namespace)
    assert len(found) == 3
    assert (await get(cluster, namespace)).status.replicas == 2


async def test_status_counts(cluster: Cluster, namespace: str) -> None:
    """Ready and available are told apart by minReadySeconds, and the second comes without another event."""
    made = replica_set("web", namespace, 2)
    await cluster.client.create(replace(made, spec=replace(made.spec, min_ready_seconds=30)))
    await run_all(cluster, namespace)
    status = (await get(cluster, namespace)).status
    assert (status.ready_replicas, status.available_replicas, status.fully_labeled_replicas) == (2, 0, 2)
    await cluster.clock.advance(seconds=31)
    assert (await get(cluster, namespace)).status.available_replicas == 2


async def test_orphan_is_adopted(cluster: Cluster, namespace: str) -> None:
    """A pod without an owner that matches is taken instead of making one."""
    await cluster.client.create(pod("lone", namespace, {"app": "web"}))
    await cluster.client.create(replica_set("web", namespace, 1))
    (found,) = await pods(cluster, namespace)
    owner = found.metadata.owner_references[0]
    assert (owner.kind, owner.name, owner.controller, owner.block_owner_deletion) == ("ReplicaSet", "web", True, True)


async def test_orphan_relabelled_to_match_is_adopted(cluster: Cluster, namespace: str) -> None:
    """An orphan whose labels come to match is adopted, and the one too many goes."""
    await cluster.client.create(replica_set("web", namespace, 1))
    await run_all(cluster, namespace)
    await cluster.client.create(pod("lone", namespace, {"app": "other"}))
    await cluster.settle()
    patch = {"metadata": {"labels": {"app": "web"}}}
    await cluster.client.patch(core_v1.Pod, "lone", patch, namespace=namespace)
    found = await pods(cluster, namespace)
    # The unassigned one goes first.
    assert [item.metadata.owner_references[0].name for item in found] == ["web"]
    assert await events(cluster, namespace, "SuccessfulDelete") == ["Deleted pod: lone"]


async def test_pod_that_leaves_is_released_and_replaced(cluster: Cluster, namespace: str) -> None:
    """A pod whose labels leave the selector lives on without an owner, and another one is made."""
    await cluster.client.create(replica_set("web", namespace, 1))
    (first,) = await pods(cluster, namespace)
    patch = {"metadata": {"labels": {"app": "debug"}}}
    await cluster.client.patch(core_v1.Pod, first.metadata.name, patch, namespace=namespace)
    found = {item.metadata.name: item for item in await pods(cluster, namespace)}
    assert len(found) == 2
    assert found[first.metadata.name].metadata.owner_references == ()


async def test_owner_on_its_way_out_adopts_nothing(cluster: Cluster, namespace: str) -> None:
    """A set that is being deleted takes no orphan."""
    await cluster.client.create(replica_set("web", namespace, 0, finalizers=("example.org/hold",)))
    await cluster.client.delete(apps_v1.ReplicaSet, "web", namespace, propagation_policy="Background")
    await cluster.client.create(pod("lone", namespace, {"app": "web"}))
    (found,) = await pods(cluster, namespace)
    assert found.metadata.owner_references == ()


async def test_surplus_goes_in_order_of_rank(cluster: Cluster, namespace: str) -> None:
    """Pods that do not run go before those that do, and cheap ones before dear ones."""
    await cluster.client.create(replica_set("web", namespace, 4))
    await cluster.settle()
    one, two, three, _ = await pods(cluster, namespace)
    for item in (one, two, three):
        await set_pod(cluster, item)
    cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}}
    await cluster.client.patch(core_v1.Pod, two.metadata.name, cost, namespace=namespace)
    await scale(cluster, namespace, 3)
    left = {item.metadata.name for item in await pods(cluster, namespace)}
    assert left == {item.metadata.name for item in (one, two, three)}
    await scale(cluster, namespace, 2)
    left = {item.metadata.name for item in await pods(cluster, namespace)}
    assert left == {item.metadata.name for item in (one, three)}


async def test_refused_pod_is_a_condition_and_an_event(cluster: Cluster, namespace: str) -> None:
    """What the server refuses is tried once per look, told, and made when it is allowed."""
    made = replica_set("web", namespace, 5)
    spec = replace(made.spec, template=template({"app": "web"}, service_account_name="robot"))
    await cluster.client.create(replace(made, spec=spec))
    assert condition(await get(cluster, namespace), "ReplicaFailure")[:2] == ("True", "FailedCreate")
    (text,) = await events(cluster, namespace, "FailedCreate")
    assert text.startswith('Error creating: pods "web-" is forbidden')
    robot = core_v1.ServiceAccount(metadata=ObjectMeta(name="robot", namespace=namespace))
    await cluster.client.create(robot)
    await cluster.clock.advance(minutes=20)
    assert len(await pods(cluster, namespace)) == 5
    assert condition(await get(cluster, namespace), "ReplicaFailure") == ("", "", "")


async def test_large_set_is_made_whole(cluster: Cluster, namespace: str) -> None:
    """More pods than one round makes come in rounds, and the events of them are combined."""
    await cluster.client.create(replica_set("web", namespace, 510))
    assert len(await pods(cluster, namespace)) == 510
    told = await events(cluster, namespace, "SuccessfulCreate")
    assert len(told) == 10
    assert told[-1].startswith("(combined from similar events): Created pod: web-")
    await scale(cluster, namespace, 0)
    assert await pods(cluster, namespace) == []


async def test_replication_controller_keeps_pods(cluster: Cluster, namespace: str) -> None:
    """A ReplicationController does the same, by its map of labels and with its own kind as the owner."""
    labels = {"app": "old"}
    spec = core_v1.ReplicationControllerSpec(replicas=2, selector=labels, template=template(labels))
    metadata = ObjectMeta(name="old", namespace=namespace)
    await cluster.client.create(core_v1.ReplicationController(metadata=metadata, spec=spec))
    await run_all(cluster, namespace)
    found = await pods(cluster, namespace)
    assert [item.metadata.owner_references[0].kind for item in found] == ["ReplicationController"] * 2
    (stored,) = await listed(cluster, core_v1.ReplicationController, namespace)
    assert (stored.status.replicas, stored.status.ready_replicas, stored.status.available_replicas) == (2, 2, 2)
