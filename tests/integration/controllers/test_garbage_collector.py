"""Garbage collection: dependents go with their owners, in each way of deleting, and only with owners that can be theirs."""

from typing import Any

import pytest
from msgspec.structs import replace

from integration.controllers.workloads import events, pods, replica_set
from pinnace.api import apps_v1, core_v1
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


def config(name: str, namespace: str, *owners: Any, **metadata: Any) -> core_v1.ConfigMap:
    references = tuple(
        OwnerReference(
            api_version="v1",
            kind="ConfigMap",
            name=owner.metadata.name,
            uid=owner.metadata.uid,
            block_owner_deletion=True,
        )
        for owner in owners
    )
    return core_v1.ConfigMap(
        metadata=ObjectMeta(name=name, namespace=namespace, owner_references=references, **metadata)
    )


async def exists(cluster: Cluster, name: str, namespace: str) -> bool:
    await cluster.settle()
    try:
        await cluster.client.get(core_v1.ConfigMap, name, namespace)
    except NotFound:
        return False
    return True


async def delete(cluster: Cluster, name: str, namespace: str, policy: str) -> None:
    await cluster.client.delete(core_v1.ConfigMap, name, namespace, propagation_policy=policy)
    await cluster.settle()


async def test_background_takes_dependents(cluster: Cluster, namespace: str) -> None:
    """The owner goes at once, what it owns after it, at any depth."""
    owner = await cluster.client.create(config("owner", namespace))
    middle = await cluster.client.create(config("middle", namespace, owner))
    await cluster.client.create(config("leaf", namespace, middle))
    await delete(cluster, "owner", namespace, "Background")
    assert not await exists(cluster, "middle", namespace)
    assert not await exists(cluster, "leaf", namespace)


async def test_orphans_lose_their_reference(cluster: Cluster, namespace: str) -> None:
    """With Orphan the dependents stay and own themselves."""
    owner = await cluster.client.create(config("owner", namespace))
    await cluster.client.create(config("child", namespace, owner))
    await delete(cluster, "owner", namespace, "Orphan")
    assert not await exists(cluster, "owner", namespace)
    child = await cluster.client.get(core_v1.ConfigMap, "child", namespace)
    assert child.metadata.owner_references == ()


async def test_foreground_waits_for_dependents(cluster: Cluster, namespace: str) -> None:
    """The owner stays until a dependent that holds it up has gone."""
    owner = await cluster.client.create(config("owner", namespace))
    await cluster.client.create(config("child", namespace, owner, finalizers=("example.org/hold",)))
    await delete(cluster, "owner", namespace, "Foreground")
    assert await exists(cluster, "owner", namespace)
    child = await cluster.client.get(core_v1.ConfigMap, "child", namespace)
    assert child.metadata.deletion_timestamp
    await cluster.client.patch(core_v1.ConfigMap, "child", {"metadata": {"finalizers": None}}, namespace=namespace)
    assert not await exists(cluster, "owner", namespace)


async def test_foreground_goes_on_when_a_dependent_drops_its_reference(cluster: Cluster, namespace: str) -> None:
    """A dependent that renounces its owner holds it up no longer."""
    owner = await cluster.client.create(config("owner", namespace))
    await cluster.client.create(config("child", namespace, owner, finalizers=("example.org/hold",)))
    await delete(cluster, "owner", namespace, "Foreground")
    patch = {"metadata": {"ownerReferences": None}}
    await cluster.client.patch(core_v1.ConfigMap, "child", patch, namespace=namespace)
    assert not await exists(cluster, "owner", namespace)


async def test_owner_in_another_namespace_is_absent(cluster: Cluster, namespace: str) -> None:
    """What refers to an owner elsewhere is deleted, with an event that says why; the owner is untouched."""
    owner = await cluster.client.create(config("owner", "default"))
    child = await cluster.client.create(config("child", namespace, owner))
    assert not await exists(cluster, "child", namespace)
    assert await exists(cluster, "owner", "default")
    (text,) = await events(cluster, namespace, "OwnerRefInvalidNamespace")
    identity = f"[v1/ConfigMap, namespace: {namespace}, name: owner, uid: {owner.metadata.uid}]"
    assert text == f'ownerRef {identity} does not exist in namespace "{namespace}"'
    assert child.metadata.uid


async def test_one_living_owner_is_enough(cluster: Cluster, namespace: str) -> None:
    """Of two owners one goes: the dependent stays, without the reference that has become empty."""
    first = await cluster.client.create(config("first", namespace))
    second = await cluster.client.create(config("second", namespace))
    await cluster.client.create(config("child", namespace, first, second))
    await delete(cluster, "first", namespace, "Background")
    child = await cluster.client.get(core_v1.ConfigMap, "child", namespace)
    assert [item.name for item in child.metadata.owner_references] == ["second"]


async def test_owner_made_anew_is_another_one(cluster: Cluster, namespace: str) -> None:
    """A reference with the uid of one that went does not mean the one that has its name now."""
    owner = await cluster.client.create(config("owner", namespace))
    stale = replace(owner, metadata=replace(owner.metadata, uid="11111111-2222-3333-4444-555555555555"))
    await cluster.client.create(config("child", namespace, stale))
    assert not await exists(cluster, "child", namespace)
    assert await exists(cluster, "owner", namespace)


async def test_circle_of_owners_goes(cluster: Cluster, namespace: str) -> None:
    """Two that own each other do not hold each other up for ever."""
    first = await cluster.client.create(config("first", namespace))
    second = await cluster.client.create(config("second", namespace, first))
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "second",
        "uid": second.metadata.uid,
        "blockOwnerDeletion": True,
    }
    patch = {"metadata": {"ownerReferences": [reference]}}
    await cluster.client.patch(core_v1.ConfigMap, "first", patch, namespace=namespace)
    await cluster.settle()
    await delete(cluster, "first", namespace, "Foreground")
    assert not await exists(cluster, "first", namespace)
    assert not await exists(cluster, "second", namespace)


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_pods_of_a_set(cluster: Cluster, namespace: str, policy: str) -> None:
    """A ReplicaSet's pods go with it, or stay without an owner."""
    await cluster.client.create(replica_set("web", namespace, 2))
    await cluster.settle()
    await cluster.client.delete(apps_v1.ReplicaSet, "web", namespace, propagation_policy=policy)
    left = await pods(cluster, namespace)
    assert len(left) == (2 if policy == "Orphan" else 0)
    assert not any(item.metadata.owner_references for item in left)
