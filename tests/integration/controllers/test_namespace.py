"""Deletion of namespaces: everything goes, and what does not is named."""

import pytest

from integration.controllers.workloads import condition, pod
from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


async def test_namespace_goes_with_its_content(cluster: Cluster, namespace: str) -> None:
    """Pods and everything else are deleted, then the namespace itself."""
    await cluster.client.create(pod("one", namespace))
    await cluster.client.create(core_v1.ConfigMap(metadata=ObjectMeta(name="two", namespace=namespace)))
    await cluster.client.delete(core_v1.Namespace, namespace)
    await cluster.clock.advance(seconds=10)
    with pytest.raises(NotFound):
        await cluster.client.get(core_v1.Namespace, namespace)


async def test_finalizers_that_hold_it_up_are_named(cluster: Cluster, namespace: str) -> None:
    """An object with a finalizer keeps the namespace; the conditions say which and how many."""
    metadata = ObjectMeta(name="held", namespace=namespace, finalizers=("example.org/hold",))
    await cluster.client.create(core_v1.ConfigMap(metadata=metadata))
    await cluster.client.delete(core_v1.Namespace, namespace)
    await cluster.clock.advance(seconds=10)
    found = await cluster.client.get(core_v1.Namespace, namespace)
    assert condition(found, "NamespaceContentRemaining") == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: configmaps. has 1 resource instances",
    )
    assert condition(found, "NamespaceFinalizersRemaining") == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances",
    )
    assert condition(found, "NamespaceDeletionDiscoveryFailure")[:2] == ("False", "ResourcesDiscovered")
    await cluster.client.patch(core_v1.ConfigMap, "held", {"metadata": {"finalizers": None}}, namespace=namespace)
    await cluster.clock.advance(seconds=10)
    with pytest.raises(NotFound):
        await cluster.client.get(core_v1.Namespace, namespace)


async def test_pods_go_first(cluster: Cluster, namespace: str) -> None:
    """While a pod is left nothing else is deleted, and the conditions do not speak of content."""
    metadata = ObjectMeta(name="kept", namespace=namespace)
    await cluster.client.create(core_v1.ConfigMap(metadata=metadata))
    held = pod("held", namespace)
    await cluster.client.create(
        core_v1.Pod(
            metadata=ObjectMeta(name="held", namespace=namespace, finalizers=("example.org/hold",)), spec=held.spec
        )
    )
    await cluster.client.delete(core_v1.Namespace, namespace)
    await cluster.clock.advance(seconds=10)
    kept = await cluster.client.get(core_v1.ConfigMap, "kept", namespace)
    assert kept.metadata.deletion_timestamp is None
    found = await cluster.client.get(core_v1.Namespace, namespace)
    assert condition(found, "NamespaceContentRemaining")[:2] == ("False", "ContentRemoved")
