"""The fixture that users get: a control plane in the test, under virtual time."""

import pytest

from pinnace.api import apps_v1, core_v1
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.testing import Cluster


def replica_set(name: str, namespace: str, replicas: int) -> apps_v1.ReplicaSet:
    labels = {"app": name}
    container = core_v1.Container(
        name="main", image="example.org/app:1", resources=core_v1.ResourceRequirements(requests={"cpu": "1"})
    )
    template = core_v1.PodTemplateSpec(
        metadata=ObjectMeta(labels=labels), spec=core_v1.PodSpec(containers=(container,))
    )
    spec = apps_v1.ReplicaSetSpec(replicas=replicas, selector=LabelSelector(match_labels=labels), template=template)
    return apps_v1.ReplicaSet(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec)


def node(name: str, cpu: str) -> core_v1.Node:
    amounts = {"cpu": cpu, "memory": "8Gi", "pods": "110", "ephemeral-storage": "10Gi"}
    ready = core_v1.NodeCondition(type="Ready", status="True", reason="KubeletReady")
    return core_v1.Node(
        metadata=ObjectMeta(name=name),
        status=core_v1.NodeStatus(capacity=amounts, allocatable=amounts, conditions=(ready,)),
    )


async def add_node(cluster: Cluster, name: str, cpu: str) -> None:
    made = await cluster.client.create(node(name, cpu))
    # A node is tainted until its controller sees it ready, which is not there yet.
    await cluster.client.patch(core_v1.Node, name, {"spec": {"taints": None}})
    assert made.metadata.name == name


async def test_namespace_gets_account_and_root_certificate(cluster: Cluster, namespace: str) -> None:
    """A new namespace has its default account and the CA's ConfigMap once the cluster has settled."""
    account = await cluster.client.get(core_v1.ServiceAccount, "default", namespace)
    published = await cluster.client.get(core_v1.ConfigMap, "kube-root-ca.crt", namespace)
    assert account.metadata.uid
    assert "ca.crt" in published.data


@pytest.mark.cluster(nodes=0)
async def test_replica_set_makes_pods_that_are_scheduled(cluster: Cluster, namespace: str) -> None:
    """Pods appear for a ReplicaSet, are spread over nodes that fit, and the rest say why they wait."""
    await add_node(cluster, "small", "1")
    await add_node(cluster, "large", "2")
    await cluster.client.create(replica_set("web", namespace, 4))
    await cluster.settle()
    pods = (await cluster.client.list(core_v1.Pod, namespace, label_selector="app=web")).items
    placed = sorted(pod.spec.node_name for pod in pods)
    assert placed == ["", "large", "large", "small"]
    waiting = next(pod for pod in pods if not pod.spec.node_name)
    condition = next(item for item in waiting.status.conditions if item.type == "PodScheduled")
    assert condition.reason == "Unschedulable"
    assert (condition.message or "").startswith("0/2 nodes are available: 2 Insufficient cpu.")


@pytest.mark.cluster(nodes=0)
async def test_waiting_pod_is_placed_when_a_node_comes(cluster: Cluster, namespace: str) -> None:
    """An unschedulable pod gets another try when a node that may help appears, after its back-off."""
    await cluster.client.create(replica_set("web", namespace, 1))
    await cluster.settle()
    await add_node(cluster, "late", "4")
    await cluster.clock.advance(seconds=15)
    pods = (await cluster.client.list(core_v1.Pod, namespace)).items
    assert [pod.spec.node_name for pod in pods] == ["late"]


async def test_replica_set_scales_down_and_replaces(cluster: Cluster, namespace: str) -> None:
    """Too many pods are deleted, lost ones are made anew."""
    await cluster.client.create(replica_set("web", namespace, 3))
    await cluster.settle()
    await cluster.client.patch(apps_v1.ReplicaSet, "web", {"spec": {"replicas": 1}}, namespace=namespace)
    await cluster.settle()
    first = (await cluster.client.list(core_v1.Pod, namespace)).items
    assert len(first) == 1
    await cluster.client.delete(core_v1.Pod, first[0].metadata.name, namespace)
    await cluster.settle()
    second = (await cluster.client.list(core_v1.Pod, namespace)).items
    assert len(second) == 1
    assert second[0].metadata.name != first[0].metadata.name


async def test_deleted_namespace_is_emptied_and_goes(cluster: Cluster, namespace: str) -> None:
    """Deleting a namespace deletes what is in it, then the namespace."""
    await cluster.client.create(core_v1.ConfigMap(metadata=ObjectMeta(name="settings", namespace=namespace)))
    await cluster.client.delete(core_v1.Namespace, namespace)
    await cluster.clock.advance(seconds=30)
    left = [item.metadata.name for item in (await cluster.client.list(core_v1.Namespace)).items]
    assert namespace not in left
    assert not (await cluster.client.list(core_v1.ConfigMap, namespace)).items


async def test_pod_runs_on_the_node_of_the_fixture(cluster: Cluster, namespace: str) -> None:
    """A pod is Running a moment after its ReplicaSet, on the simulated node that every cluster has, and its log can be read."""
    await cluster.client.create(replica_set("web", namespace, 2))
    await cluster.clock.advance(seconds=1)
    pods = (await cluster.client.list(core_v1.Pod, namespace)).items
    assert [(pod.status.phase, pod.spec.node_name) for pod in pods] == [("Running", "node-1")] * 2
    path = f"/api/v1/namespaces/{namespace}/pods/{pods[0].metadata.name}/log"
    assert await cluster.client.raw("GET", path) == b""


async def test_month_passes_in_a_moment(cluster: Cluster, namespace: str) -> None:
    """Thirty days of leases, back-offs and renewals are gone through, and the node is still Ready."""
    before = cluster.clock.time()
    await cluster.clock.advance(hours=6)
    assert cluster.clock.time() - before == 6 * 3600
    ready = await cluster.client.get(core_v1.Node, "node-1")
    assert {item.type: item.status for item in ready.status.conditions}["Ready"] == "True"


@pytest.mark.cluster(nodes=3)
async def test_mark_says_how_many_nodes(cluster: Cluster) -> None:
    """A test gets the nodes that it asks for."""
    names = [node.metadata.name for node in (await cluster.client.list(core_v1.Node)).items]
    assert names == ["node-1", "node-2", "node-3"]
