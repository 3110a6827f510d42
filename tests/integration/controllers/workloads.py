"""Builders and looks for the tests of controllers: templates, nodes that are ready, pods that serve because the test says so."""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct

from pinnace.api import apps_v1, core_v1
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.machinery import timestamps
from pinnace.testing import Cluster

T = TypeVar("T", bound=Struct)


def template(labels: Mapping[str, str], image: str = "example.org/app:1", **spec: Any) -> core_v1.PodTemplateSpec:
    container = core_v1.Container(name="main", image=image)
    return core_v1.PodTemplateSpec(
        metadata=ObjectMeta(labels=dict(labels)), spec=core_v1.PodSpec(**{"containers": (container,), **spec})
    )


def pod(name: str, namespace: str, labels: Mapping[str, str] | None = None, **spec: Any) -> core_v1.Pod:
    made = template(labels or {}, **spec)
    return core_v1.Pod(metadata=ObjectMeta(name=name, namespace=namespace, labels=dict(labels or {})), spec=made.spec)


def replica_set(name: str, namespace: str, replicas: int, **metadata: Any) -> apps_v1.ReplicaSet:
    labels = {"app": name}
    spec = apps_v1.ReplicaSetSpec(
        replicas=replicas, selector=LabelSelector(match_labels=labels), template=template(labels)
    )
    return apps_v1.ReplicaSet(metadata=ObjectMeta(name=name, namespace=namespace, **metadata), spec=spec)


def deployment(name: str, namespace: str, replicas: int, image: str = "example.org/app:1", **spec: Any) -> Any:
    labels = {"app": name}
    made = apps_v1.DeploymentSpec(**{
        "replicas": replicas,
        "selector": LabelSelector(match_labels=labels),
        "template": template(labels, image),
        **spec,
    })
    return apps_v1.Deployment(metadata=ObjectMeta(name=name, namespace=namespace), spec=made)


async def add_node(cluster: Cluster, name: str, *, labels: Mapping[str, str] | None = None, cpu: str = "64") -> None:
    """Add a node that is ready and stays so for a minute, as nothing renews it."""
    amounts = {"cpu": cpu, "memory": "256Gi", "pods": "500", "ephemeral-storage": "100Gi"}
    ready = core_v1.NodeCondition(type="Ready", status="True", reason="KubeletReady")
    status = core_v1.NodeStatus(capacity=amounts, allocatable=amounts, conditions=(ready,))
    metadata = ObjectMeta(name=name, labels=dict(labels or {}))
    await cluster.client.create(core_v1.Node(metadata=metadata, status=status))
    await cluster.settle()


async def listed(cluster: Cluster, cls: type[T], namespace: str | None = None, labels: str = "") -> list[T]:
    await cluster.settle()
    return list((await cluster.client.list(cls, namespace, label_selector=labels)).items)


async def pods(cluster: Cluster, namespace: str, labels: str = "") -> list[core_v1.Pod]:
    return await listed(cluster, core_v1.Pod, namespace, labels)


async def set_pod(
    cluster: Cluster, item: core_v1.Pod, *, phase: str = "Running", ready: bool = True, **status: Any
) -> None:
    """Be the kubelet: say what became of a pod."""
    now = timestamps.format(cluster.clock.time())
    ready = ready and phase == "Running"
    patch = {
        "phase": phase,
        "startTime": now,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}],
        **status,
    }
    await cluster.client.patch(
        core_v1.Pod,
        item.metadata.name,
        {"status": patch},
        namespace=item.metadata.namespace,
        subresource="status",
    )


async def run_all(cluster: Cluster, namespace: str, rounds: int = 20) -> None:
    """Be a node on which everything works, until nothing changes any more: pods become ready, deleted ones go."""
    for _ in range(rounds):
        changed = False
        for item in await pods(cluster, namespace):
            if item.metadata.deletion_timestamp is not None:
                await cluster.client.delete(core_v1.Pod, item.metadata.name, namespace, grace_period_seconds=0)
                changed = True
            elif item.status.phase == "Pending":
                await set_pod(cluster, item)
                changed = True
        await cluster.settle()
        if not changed:
            return
    raise AssertionError("the namespace does not come to rest")


async def events(cluster: Cluster, namespace: str, reason: str) -> list[str]:
    found = await listed(cluster, core_v1.Event, namespace)
    return [item.message for item in found if item.reason == reason]


def condition(obj: Any, kind: str) -> tuple[str, str, str]:
    """Return (status, reason, message) of a condition, empty texts when there is none."""
    for item in obj.status.conditions:
        if item.type == kind:
            return item.status, item.reason, item.message
    return "", "", ""
