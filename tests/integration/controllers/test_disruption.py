"""Budgets: how many pods may be evicted, as their controllers, their state and evictions that were granted decide."""

from typing import Any

import pytest
from msgspec.structs import replace

from integration.controllers.workloads import add_node, deployment, listed, pod, pods, replica_set, set_pod, template
from pinnace.api import core_v1, policy_v1
from pinnace.api.batch_v1 import Job, JobSpec
from pinnace.api.core_v1 import Event
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.api.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError
from pinnace.testing import Cluster


async def make_budget(cluster: Cluster, namespace: str, app: str = "web", **spec: Any) -> None:
    selector = LabelSelector(match_labels={"app": app})
    made = policy_v1.PodDisruptionBudgetSpec(selector=selector, **spec)
    await cluster.client.create(PodDisruptionBudget(metadata=ObjectMeta(name="b", namespace=namespace), spec=made))
    await cluster.settle()


async def status_of(cluster: Cluster, namespace: str) -> PodDisruptionBudgetStatus:
    await cluster.settle()
    return (await cluster.client.get(PodDisruptionBudget, "b", namespace)).status


async def condition_of(cluster: Cluster, namespace: str) -> tuple[str, str, str]:
    (found,) = (await status_of(cluster, namespace)).conditions
    return found.status, found.reason, found.message


async def reasons(cluster: Cluster, namespace: str, kind: str) -> list[str]:
    return [item.reason for item in await listed(cluster, Event, namespace) if item.involved_object.kind == kind]


async def make_ready(cluster: Cluster, namespace: str, count: int | None = None) -> list[core_v1.Pod]:
    found = await pods(cluster, namespace)
    for item in found[:count]:
        await set_pod(cluster, item)
    await cluster.settle()
    return await pods(cluster, namespace)


async def evict(cluster: Cluster, item: core_v1.Pod) -> None:
    name = item.metadata.name
    eviction = policy_v1.Eviction(metadata=ObjectMeta(name=name, namespace=item.metadata.namespace))
    await cluster.client.create_subresource(core_v1.Pod, name, "eviction", eviction, namespace=item.metadata.namespace)


@pytest.mark.parametrize(
    ("spec", "ready", "counts"),
    [
        pytest.param({"max_unavailable": 1}, 4, (4, 3, 4, 1), id="one may lack"),
        pytest.param({"max_unavailable": "30%"}, 4, (4, 2, 4, 2), id="a share that may lack is rounded up"),
        pytest.param({"min_available": "60%"}, 4, (4, 3, 4, 1), id="a share that must be there is rounded up"),
        pytest.param({"min_available": 2}, 3, (4, 2, 3, 1), id="so many must be there"),
        pytest.param({"min_available": 4}, 2, (4, 4, 2, 0), id="fewer are ready than must be"),
        pytest.param({"max_unavailable": 9}, 1, (4, 0, 1, 1), id="more may lack than there are"),
    ],
)
async def test_budget_counts_the_pods_of_its_controllers(
    cluster: Cluster, namespace: str, spec: dict[str, Any], ready: int, counts: tuple[int, ...]
) -> None:
    """Expected, desired and healthy pods, and how many may go, follow from the Deployment's scale and what is ready."""
    await add_node(cluster, "n1")
    await cluster.client.create(deployment("web", namespace, 4))
    await make_budget(cluster, namespace, **spec)
    await make_ready(cluster, namespace, ready)
    status = await status_of(cluster, namespace)
    seen = (status.expected_pods, status.desired_healthy, status.current_healthy, status.disruptions_allowed)
    assert seen == counts
    assert status.observed_generation == 1
    allowed = counts[-1] > 0
    expected = ("True", "SufficientPods", "") if allowed else ("False", "InsufficientPods", "")
    assert await condition_of(cluster, namespace) == expected


async def test_budget_without_pods_grants_nothing(cluster: Cluster, namespace: str) -> None:
    """Nothing is expected, and an event says that no pod matches."""
    await make_budget(cluster, namespace, max_unavailable=1)
    status = await status_of(cluster, namespace)
    assert (status.expected_pods, status.disruptions_allowed) == (0, 0)
    assert await condition_of(cluster, namespace) == ("False", "InsufficientPods", "")
    assert "NoPods" in await reasons(cluster, namespace, "PodDisruptionBudget")


async def test_pods_that_nobody_answers_for_are_told_of(cluster: Cluster, namespace: str) -> None:
    """A share of unmanaged pods is a share of nothing; the budget's event says what to do."""
    await cluster.client.create(pod("alone", namespace, {"app": "web"}))
    await make_budget(cluster, namespace, max_unavailable=1)
    assert (await status_of(cluster, namespace)).expected_pods == 0
    (event,) = [item for item in await listed(cluster, Event, namespace) if item.reason == "UnmanagedPods"]
    assert "(selector: app=web)" in event.message
    assert (event.type, event.source.component) == ("Warning", "controllermanager")


async def test_controller_without_a_scale_grants_nothing(cluster: Cluster, namespace: str) -> None:
    """A Job does not say how many pods there should be: the budget says so and lets none go."""
    spec = JobSpec(template=template({"app": "web"}, restart_policy="Never"))
    await cluster.client.create(Job(metadata=ObjectMeta(name="j", namespace=namespace), spec=spec))
    await cluster.settle()
    await make_budget(cluster, namespace, max_unavailable=1)
    text = "jobs.batch does not implement the scale subresource"
    assert await condition_of(cluster, namespace) == ("False", "SyncFailed", text)
    assert "CalculateExpectedPodCountFailed" in await reasons(cluster, namespace, "PodDisruptionBudget")


async def test_eviction_is_granted_once_and_again_when_the_pod_is_replaced(cluster: Cluster, namespace: str) -> None:
    """The second of two evictions waits until the ReplicaSet's new pod is ready."""
    await add_node(cluster, "n1")
    await cluster.client.create(replica_set("web", namespace, 2))
    await make_budget(cluster, namespace, min_available=1)
    first, second = await make_ready(cluster, namespace)
    await evict(cluster, first)
    with pytest.raises(ApiError) as refused:
        await evict(cluster, second)
    assert refused.value.code == 429
    assert (await status_of(cluster, namespace)).disruptions_allowed == 0
    for item in await pods(cluster, namespace):
        if item.metadata.deletion_timestamp is not None:
            await cluster.client.delete(core_v1.Pod, item.metadata.name, namespace, grace_period_seconds=0)
    await make_ready(cluster, namespace)
    assert (await status_of(cluster, namespace)).disruptions_allowed == 1
    await evict(cluster, second)


async def test_eviction_that_never_came_is_forgotten_after_two_minutes(cluster: Cluster, namespace: str) -> None:
    """A pod in the budget's list that is still there counts again, with an event about it, and loses its mark."""
    await cluster.client.create(replica_set("web", namespace, 2))
    await make_budget(cluster, namespace, min_available=1)
    first, _ = await make_ready(cluster, namespace)
    now = timestamps.format(cluster.clock.time())
    budget = await cluster.client.get(PodDisruptionBudget, "b", namespace)
    granted = replace(budget.status, disruptions_allowed=0, disrupted_pods={first.metadata.name: now})
    await cluster.client.update(replace(budget, status=granted), subresource="status")
    mark = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "lastTransitionTime": now}
    await set_pod(cluster, first, conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": now}, mark])
    await cluster.clock.advance(119)
    status = await status_of(cluster, namespace)
    assert (status.current_healthy, status.disruptions_allowed, list(status.disrupted_pods)) == (
        1,
        0,
        [first.metadata.name],
    )
    await cluster.clock.advance(3)
    status = await status_of(cluster, namespace)
    assert (status.current_healthy, status.disruptions_allowed, status.disrupted_pods) == (2, 1, {})
    assert "NotDeleted" in await reasons(cluster, namespace, "Pod")
    seen = await cluster.client.get(core_v1.Pod, first.metadata.name, namespace)
    (target,) = [item for item in seen.status.conditions if item.type == "DisruptionTarget"]
    assert (target.status, target.reason) == ("False", "")
