"""Claims, volumes and attribute classes outlive their deletion until nobody uses them."""

from typing import Any

from integration.controllers.workloads import add_node, pod
from pinnace.api import core_v1, storage_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


def claim(name: str, namespace: str, **spec: Any) -> core_v1.PersistentVolumeClaim:
    resources = core_v1.VolumeResourceRequirements(requests={"storage": "1Gi"})
    made = core_v1.PersistentVolumeClaimSpec(access_modes=("ReadWriteOnce",), resources=resources, **spec)
    return core_v1.PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace=namespace), spec=made)


async def use(cluster: Cluster, name: str, namespace: str, node: str) -> None:
    source = core_v1.PersistentVolumeClaimVolumeSource(claim_name=name)
    volume = core_v1.Volume(name="data", persistent_volume_claim=source)
    await cluster.client.create(pod(f"user-of-{name}", namespace, volumes=(volume,), node_name=node))


async def is_gone(cluster: Cluster, cls: type[Any], name: str, namespace: str | None = None) -> bool:
    await cluster.settle()
    try:
        await cluster.client.get(cls, name, namespace)
    except NotFound:
        return True
    return False


async def test_claim_stays_while_a_pod_uses_it(cluster: Cluster, namespace: str) -> None:
    """A deleted claim goes with the last pod that has it as a volume."""
    await add_node(cluster, "n")
    await cluster.client.create(claim("c", namespace))
    await use(cluster, "c", namespace, "n")
    await cluster.client.delete(core_v1.PersistentVolumeClaim, "c", namespace)
    assert not await is_gone(cluster, core_v1.PersistentVolumeClaim, "c", namespace)
    await cluster.client.delete(core_v1.Pod, "user-of-c", namespace, grace_period_seconds=0)
    assert await is_gone(cluster, core_v1.PersistentVolumeClaim, "c", namespace)


async def test_claim_of_a_pod_without_a_node_goes(cluster: Cluster, namespace: str) -> None:
    """A pod that no node has yet does not hold its claim: no agent would start it any more."""
    await cluster.client.create(claim("c", namespace))
    await use(cluster, "c", namespace, "")
    await cluster.client.delete(core_v1.PersistentVolumeClaim, "c", namespace)
    assert await is_gone(cluster, core_v1.PersistentVolumeClaim, "c", namespace)


async def test_claim_without_its_finalizer_gets_it_back(cluster: Cluster, namespace: str) -> None:
    """A claim that came without protection is protected as well."""
    await cluster.client.create(claim("c", namespace))
    await cluster.client.patch(
        core_v1.PersistentVolumeClaim, "c", {"metadata": {"finalizers": None}}, namespace=namespace
    )
    await cluster.settle()
    found = await cluster.client.get(core_v1.PersistentVolumeClaim, "c", namespace)
    assert found.metadata.finalizers == ("kubernetes.io/pvc-protection",)


async def test_volume_stays_while_it_is_bound(cluster: Cluster) -> None:
    """A deleted volume goes once it is no longer bound."""
    spec = core_v1.PersistentVolumeSpec(
        capacity={"storage": "1Gi"},
        access_modes=("ReadWriteOnce",),
        host_path=core_v1.HostPathVolumeSource(path="/srv/v"),
    )
    made = await cluster.client.create(core_v1.PersistentVolume(metadata=ObjectMeta(name="v"), spec=spec))
    assert made.metadata.finalizers == ("kubernetes.io/pv-protection",)
    for phase, gone in (("Bound", False), ("Released", True)):
        await cluster.client.patch(core_v1.PersistentVolume, "v", {"status": {"phase": phase}}, subresource="status")
        await cluster.client.delete(core_v1.PersistentVolume, "v")
        assert await is_gone(cluster, core_v1.PersistentVolume, "v") is gone


async def test_attribute_class_stays_while_a_claim_names_it(cluster: Cluster, namespace: str) -> None:
    """A deleted class goes with the last claim that asks for it."""
    metadata = ObjectMeta(name="fast")
    await cluster.client.create(
        storage_v1.VolumeAttributesClass(metadata=metadata, driver_name="d.example", parameters={"iops": "1"})
    )
    await cluster.client.create(claim("c", namespace, volume_attributes_class_name="fast"))
    await cluster.settle()
    await cluster.client.delete(storage_v1.VolumeAttributesClass, "fast")
    assert not await is_gone(cluster, storage_v1.VolumeAttributesClass, "fast")
    await cluster.client.delete(core_v1.PersistentVolumeClaim, "c", namespace)
    assert await is_gone(cluster, storage_v1.VolumeAttributesClass, "fast")
