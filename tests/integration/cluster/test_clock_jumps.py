"""A machine's clock that is set forward or back, by whoever does that: nothing of a cluster may come to harm (check 29)."""

from __future__ import annotations

import pytest

from pinnace.api import batch_v1, core_v1
from pinnace.api.apps_v1 import Deployment, DeploymentSpec
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.testing.cluster import Cluster, running_cluster

LABELS = {"app": "web"}
HOUR, DAY = 3600.0, 86400.0
# A moment after 32 bits of seconds are full.
AFTER_2038 = 2_150_000_000.0


def template(**spec: str) -> core_v1.PodTemplateSpec:
    container = core_v1.Container(name="main", image="app:1")
    return core_v1.PodTemplateSpec(
        metadata=ObjectMeta(labels=LABELS),
        spec=core_v1.PodSpec(containers=(container,), **spec),  # type: ignore[arg-type]
    )


async def create(cluster: Cluster) -> None:
    """Make pods that stay, and a job every ten minutes."""
    selector = LabelSelector(match_labels=LABELS)
    await cluster.client.create(
        Deployment(
            metadata=ObjectMeta(name="web", namespace="default"),
            spec=DeploymentSpec(replicas=4, selector=selector, template=template()),
        )
    )
    job = batch_v1.JobTemplateSpec(spec=batch_v1.JobSpec(template=template(restart_policy="Never")))
    await cluster.client.create(
        batch_v1.CronJob(
            metadata=ObjectMeta(name="often", namespace="default"),
            spec=batch_v1.CronJobSpec(schedule="*/10 * * * *", job_template=job),
        )
    )


async def pods(cluster: Cluster) -> dict[str, tuple[str, str, bool]]:
    """What stays of each pod of the Deployment: who it is, how often it was started, and whether it is to go."""
    found = (await cluster.client.list(core_v1.Pod, "default", label_selector="app=web")).items
    return {
        pod.metadata.name: (
            pod.metadata.uid,
            f"{pod.status.phase} {[one.restart_count for one in pod.status.container_statuses]}",
            pod.metadata.deletion_timestamp is not None,
        )
        for pod in found
        if pod.metadata.name.startswith("web-")
    }


async def ready_since(cluster: Cluster) -> dict[str, tuple[str, str | None]]:
    return {
        node.metadata.name: next(
            (one.status, one.last_transition_time) for one in node.status.conditions if one.type == "Ready"
        )
        for node in (await cluster.client.list(core_v1.Node)).items
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(HOUR, id="an-hour-on"),
        pytest.param(-HOUR, id="an-hour-back"),
        pytest.param(DAY, id="a-day-on"),
        pytest.param(-DAY, id="a-day-back"),
        pytest.param(None, id="past-2038"),
    ],
)
async def test_clock_that_is_set_harms_nothing(change: float | None) -> None:
    """Nodes stay Ready since when they were, pods are the same, none is to go, and of the jobs that were missed one comes at most."""
    async with running_cluster(nodes=2) as cluster:
        await create(cluster)
        await cluster.clock.advance(minutes=12)
        before, ready = await pods(cluster), await ready_since(cluster)
        assert len(before) == 4
        assert {status for status, _ in ready.values()} == {"True"}
        jobs = len((await cluster.client.list(batch_v1.Job, "default")).items)
        assert jobs == 1
        clock = cluster.clock
        clock.set_wall(AFTER_2038 if change is None else clock.time() + change)
        await clock.advance(minutes=5)
        assert await pods(cluster) == before
        assert await ready_since(cluster) == ready
        assert len((await cluster.client.list(batch_v1.Job, "default")).items) - jobs in {0, 1}
        told = {event.reason for event in (await cluster.client.list(core_v1.Event, "default")).items}
        assert not told & {"NodeNotReady", "TaintManagerEviction", "Killing", "BackOff"}
