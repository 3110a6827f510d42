"""CronJobs make Jobs when their time has come; Jobs that have ended go when theirs is over."""

from datetime import UTC, datetime
from typing import Any

import pytest

from integration.controllers.workloads import events, listed, pods, set_pod, template
from pinnace.api.batch_v1 import CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.machinery import timestamps
from pinnace.testing import Cluster

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def cron_job(namespace: str, schedule: str = "*/10 * * * *", **spec: Any) -> CronJob:
    jobs = JobTemplateSpec(
        metadata=ObjectMeta(labels={"of": "cron"}, annotations={"kept": "yes"}),
        spec=JobSpec(template=template({}, restart_policy="Never"), backoff_limit=0),
    )
    made = CronJobSpec(schedule=schedule, job_template=jobs, **spec)
    return CronJob(metadata=ObjectMeta(name="tick", namespace=namespace), spec=made)


async def get(cluster: Cluster, namespace: str) -> CronJob:
    await cluster.settle()
    return await cluster.client.get(CronJob, "tick", namespace)


async def names(cluster: Cluster, namespace: str) -> list[str]:
    return sorted(item.metadata.name for item in await listed(cluster, Job, namespace))


async def end(cluster: Cluster, namespace: str, phase: str = "Succeeded") -> None:
    """Be the kubelet: every pod has ended."""
    for item in await pods(cluster, namespace):
        if item.status.phase == "Pending":
            await set_pod(cluster, item, phase=phase)
    await cluster.settle()


async def next_time(cluster: Cluster, minutes: int = 10) -> float:
    """Let time pass until a little after the next multiple of some minutes, and return that."""
    period = 60 * minutes
    time = (cluster.clock.time() // period + 1) * period
    await cluster.clock.advance(seconds=time - cluster.clock.time() + 1)
    await cluster.settle()
    return time


async def test_job_is_made_when_its_time_has_come(cluster: Cluster, namespace: str) -> None:
    """It is the template's, bears the time in its name, and is listed until it has ended."""
    await cluster.client.create(cron_job(namespace))
    assert await names(cluster, namespace) == []
    time = await next_time(cluster)
    (job,) = await listed(cluster, Job, namespace)
    assert job.metadata.name == f"tick-{int(time) // 60}"
    due = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert job.metadata.annotations == {"kept": "yes", SCHEDULED: due}
    assert job.metadata.labels["of"] == "cron"
    (owner,) = job.metadata.owner_references
    assert (owner.kind, owner.name, owner.controller) == ("CronJob", "tick", True)
    status = (await get(cluster, namespace)).status
    assert [item.name for item in status.active] == [job.metadata.name]
    assert status.last_schedule_time == timestamps.format(time)
    assert await events(cluster, namespace, "SuccessfulCreate") != []
    await end(cluster, namespace)
    done = (await get(cluster, namespace)).status
    ended = await cluster.client.get(Job, job.metadata.name, namespace)
    assert (done.active, done.last_successful_time) == ((), ended.status.completion_time)
    said = f"Saw completed job: {job.metadata.name}, condition: Complete"
    assert await events(cluster, namespace, "SawCompletedJob") == [said]


async def test_job_says_its_time_as_the_zone_has_it(cluster: Cluster, namespace: str) -> None:
    """The schedule counts there as well."""
    await cluster.client.create(cron_job(namespace, "0 * * * *", time_zone="Asia/Kolkata"))
    now = cluster.clock.time()
    await cluster.clock.advance(seconds=(now // 3600 + 1) * 3600 - now + 1800 + 1)
    for job in await listed(cluster, Job, namespace):
        assert job.metadata.annotations[SCHEDULED].endswith(":00:00+05:30")
    assert await names(cluster, namespace) != []


@pytest.mark.parametrize("policy", ["Allow", "Forbid", "Replace"])
async def test_jobs_run_beside_each_other_as_the_policy_says(cluster: Cluster, namespace: str, policy: str) -> None:
    """Two times come, and no Job ends."""
    await cluster.client.create(cron_job(namespace, concurrency_policy=policy))
    first = await next_time(cluster)
    second = await next_time(cluster)
    left = {"Allow": [first, second], "Forbid": [first], "Replace": [second]}
    wanted = [f"tick-{int(time) // 60}" for time in left[policy]]
    assert await names(cluster, namespace) == wanted
    assert [item.name for item in (await get(cluster, namespace)).status.active] == wanted


async def test_job_that_was_forbidden_is_made_once_the_other_has_ended(cluster: Cluster, namespace: str) -> None:
    """Its time has come and not gone."""
    await cluster.client.create(cron_job(namespace, concurrency_policy="Forbid"))
    await next_time(cluster)
    second = await next_time(cluster)
    said = "Not starting job because prior execution is running and concurrency policy is Forbid"
    assert await events(cluster, namespace, "JobAlreadyActive") == [said]
    await end(cluster, namespace)
    assert f"tick-{int(second) // 60}" in await names(cluster, namespace)


async def test_suspended_cron_job_makes_none_until_it_goes_on(cluster: Cluster, namespace: str) -> None:
    """Of the times that it missed the latest counts."""
    await cluster.client.create(cron_job(namespace, suspend=True))
    await next_time(cluster)
    latest = await next_time(cluster)
    assert await names(cluster, namespace) == []
    await cluster.client.patch(CronJob, "tick", {"spec": {"suspend": False}}, namespace=namespace)
    assert await names(cluster, namespace) == [f"tick-{int(latest) // 60}"]


async def test_times_past_the_deadline_do_not_count(cluster: Cluster, namespace: str) -> None:
    """What is too late is not made up for."""
    await cluster.client.create(cron_job(namespace, suspend=True, starting_deadline_seconds=60))
    await next_time(cluster)
    await cluster.clock.advance(seconds=120)
    await cluster.client.patch(CronJob, "tick", {"spec": {"suspend": False}}, namespace=namespace)
    assert await names(cluster, namespace) == []
    await next_time(cluster)
    assert len(await names(cluster, namespace)) == 1


async def test_many_missed_times_are_warned_of(cluster: Cluster, namespace: str) -> None:
    """The Job of the latest is made all the same."""
    await cluster.client.create(cron_job(namespace, "* * * * *", suspend=True))
    await cluster.clock.advance(seconds=60 * 150)
    now = cluster.clock.time()
    await cluster.client.patch(CronJob, "tick", {"spec": {"suspend": False}}, namespace=namespace)
    assert await names(cluster, namespace) == [f"tick-{int(now) // 60}"]
    (said,) = await events(cluster, namespace, "TooManyMissedTimes")
    assert said.startswith("too many missed start times.")


@pytest.mark.parametrize(
    ("phase", "limit"),
    [
        pytest.param("Succeeded", {"successful_jobs_history_limit": 1}, id="successful"),
        pytest.param("Failed", {"failed_jobs_history_limit": 1}, id="failed"),
    ],
)
async def test_history_keeps_the_youngest(cluster: Cluster, namespace: str, phase: str, limit: dict[str, int]) -> None:
    """Older Jobs go, with their pods."""
    await cluster.client.create(cron_job(namespace, **limit))
    time = 0.0
    for _ in range(3):
        time = await next_time(cluster)
        await end(cluster, namespace, phase)
    assert await names(cluster, namespace) == [f"tick-{int(time) // 60}"]
    assert len(await pods(cluster, namespace)) == 1
    assert len(await events(cluster, namespace, "SuccessfulDelete")) >= 1


async def test_active_job_that_goes_is_missed(cluster: Cluster, namespace: str) -> None:
    """It leaves the list, and its time has no second Job."""
    await cluster.client.create(cron_job(namespace))
    time = await next_time(cluster)
    name = f"tick-{int(time) // 60}"
    await cluster.client.delete(Job, name, namespace, propagation_policy="Background")
    assert (await get(cluster, namespace)).status.active == ()
    assert await events(cluster, namespace, "MissingJob") == [f"Active job went missing: {name}"]
    assert await names(cluster, namespace) == []


async def test_job_goes_when_its_time_is_over(cluster: Cluster, namespace: str) -> None:
    """The time counts from its end, and its pods go with it."""
    spec = JobSpec(template=template({}, restart_policy="Never"), ttl_seconds_after_finished=100)
    await cluster.client.create(Job(metadata=ObjectMeta(name="once", namespace=namespace), spec=spec))
    await cluster.clock.advance(seconds=200)
    await end(cluster, namespace)
    await cluster.clock.advance(seconds=95)
    assert await names(cluster, namespace) == ["once"]
    await cluster.clock.advance(seconds=10)
    assert await names(cluster, namespace) == []
    assert await pods(cluster, namespace) == []


async def test_job_that_has_no_such_time_stays_until_it_gets_one(cluster: Cluster, namespace: str) -> None:
    """A time that is set when it is over already counts at once."""
    spec = JobSpec(template=template({}, restart_policy="Never"))
    await cluster.client.create(Job(metadata=ObjectMeta(name="once", namespace=namespace), spec=spec))
    await cluster.settle()
    await end(cluster, namespace)
    await cluster.clock.advance(hours=1)
    assert await names(cluster, namespace) == ["once"]
    await cluster.client.patch(Job, "once", {"spec": {"ttlSecondsAfterFinished": 5}}, namespace=namespace)
    assert await names(cluster, namespace) == []
