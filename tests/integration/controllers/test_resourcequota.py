"""Quotas: what is used is counted, charged when something is made, and free again when it has gone."""

import pytest
from msgspec.structs import replace

from integration.controllers.workloads import add_node, pod, pods, replica_set, set_pod
from pinnace.api.core_v1 import ConfigMap, Pod, ResourceQuota, ResourceQuotaSpec, ResourceRequirements
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.machinery.errors import ApiError
from pinnace.testing import Cluster


async def make_quota(cluster: Cluster, namespace: str, hard: dict[str, str], *scopes: str) -> None:
    spec = ResourceQuotaSpec(hard=hard, scopes=scopes)
    await cluster.client.create(ResourceQuota(metadata=ObjectMeta(name="q", namespace=namespace), spec=spec))
    await cluster.settle()


async def used(cluster: Cluster, namespace: str) -> dict[str, str]:
    await cluster.settle()
    status = (await cluster.client.get(ResourceQuota, "q", namespace)).status
    assert status.hard
    return dict(status.used)


async def make_pod(cluster: Cluster, namespace: str, name: str, cpu: str) -> Pod:
    made = pod(name, namespace)
    (container,) = made.spec.containers
    container = replace(container, resources=ResourceRequirements(requests={"cpu": cpu}))
    return await cluster.client.create(replace(made, spec=replace(made.spec, containers=(container,))))


async def test_usage_of_what_is_there_is_counted(cluster: Cluster, namespace: str) -> None:
    """A new quota soon shows what the namespace uses of each thing it bounds, also of what it has none of."""
    await make_pod(cluster, namespace, "one", "300m")
    hard = {
        "pods": "5",
        "requests.cpu": "2",
        "configmaps": "9",
        "count/deployments.apps": "3",
        "services.nodeports": "1",
    }
    await make_quota(cluster, namespace, hard)
    assert await used(cluster, namespace) == {
        "pods": "1",
        "requests.cpu": "300m",
        "configmaps": "1",
        "count/deployments.apps": "0",
        "services.nodeports": "0",
    }


async def test_deleted_object_frees_its_share(cluster: Cluster, namespace: str) -> None:
    """What was refused is let in once something else has gone."""
    await make_quota(cluster, namespace, {"configmaps": "2"})

    def config_map(name: str) -> ConfigMap:
        return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace))

    await cluster.client.create(config_map("a"))
    with pytest.raises(ApiError) as refused:
        await cluster.client.create(config_map("b"))
    assert refused.value.code == 403
    assert "exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2" in str(refused.value)
    await cluster.client.delete(ConfigMap, "a", namespace)
    await cluster.clock.advance(0.5)
    assert await used(cluster, namespace) == {"configmaps": "1"}
    await cluster.client.create(config_map("b"))
    assert await used(cluster, namespace) == {"configmaps": "2"}


async def test_finished_pod_uses_nothing(cluster: Cluster, namespace: str) -> None:
    """A pod that has ended is counted as an object, and uses no CPU any more."""
    await make_quota(cluster, namespace, {"pods": "5", "count/pods": "5", "requests.cpu": "1"})
    made = await make_pod(cluster, namespace, "one", "700m")
    assert await used(cluster, namespace) == {"count/pods": "1", "pods": "1", "requests.cpu": "700m"}
    await set_pod(cluster, made, phase="Succeeded")
    await cluster.clock.advance(0.5)
    assert await used(cluster, namespace) == {"count/pods": "1", "pods": "0", "requests.cpu": "0"}


async def test_scope_counts_only_what_is_within(cluster: Cluster, namespace: str) -> None:
    """A quota of best-effort pods does not see one that asks for CPU."""
    await make_quota(cluster, namespace, {"pods": "5"}, "BestEffort")
    await make_pod(cluster, namespace, "one", "1")
    await cluster.client.create(pod("two", namespace))
    assert await used(cluster, namespace) == {"pods": "1"}


async def test_changed_bounds_are_taken_over(cluster: Cluster, namespace: str) -> None:
    """A new bound stands in the status, with its usage; what is no longer bounded is gone from it."""
    await make_quota(cluster, namespace, {"pods": "5"})
    quota = await cluster.client.get(ResourceQuota, "q", namespace)
    await cluster.client.update(replace(quota, spec=ResourceQuotaSpec(hard={"secrets": "4"})))
    assert await used(cluster, namespace) == {"secrets": "0"}
    assert (await cluster.client.get(ResourceQuota, "q", namespace)).status.hard == {"secrets": "4"}


async def test_workload_fills_its_quota_and_no_more(cluster: Cluster, namespace: str) -> None:
    """A ReplicaSet gets as many pods as fit, and the rest when there is room."""
    await add_node(cluster, "n1")
    await make_quota(cluster, namespace, {"pods": "2"})
    await cluster.client.create(replica_set("web", namespace, 3))
    assert len(await pods(cluster, namespace)) == 2
    quota = await cluster.client.get(ResourceQuota, "q", namespace)
    await cluster.client.update(replace(quota, spec=ResourceQuotaSpec(hard={"pods": "3"})))
    await cluster.clock.advance(600)
    assert len(await pods(cluster, namespace)) == 3


async def test_status_that_somebody_spoiled_is_mended(cluster: Cluster, namespace: str) -> None:
    """Every five minutes all is counted anew, whatever the status says."""
    await make_quota(cluster, namespace, {"pods": "5"})
    quota = await cluster.client.get(ResourceQuota, "q", namespace)
    await cluster.client.update(replace(quota, status=replace(quota.status, used={"pods": "4"})), subresource="status")
    assert await used(cluster, namespace) == {"pods": "4"}
    await cluster.clock.advance(301)
    assert await used(cluster, namespace) == {"pods": "0"}
