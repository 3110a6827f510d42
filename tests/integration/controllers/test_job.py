"""Jobs: enough pods succeed, or the Job fails; every end counts once, whatever becomes of the pod."""

from typing import Any

import pytest

from integration.controllers.workloads import add_node, condition, events, pods, set_pod, template
from pinnace.api.batch_v1 import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from pinnace.api.core_v1 import Pod
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.testing import Cluster

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"


def job(namespace: str, *, restart_policy: str = "Never", **spec: Any) -> Job:
    made = JobSpec(template=template({}, restart_policy=restart_policy), **spec)
    return Job(metadata=ObjectMeta(name="work", namespace=namespace), spec=made)


async def get(cluster: Cluster, namespace: str) -> Job:
    await cluster.settle()
    return await cluster.client.get(Job, "work", namespace)


async def change(cluster: Cluster, namespace: str, **spec: Any) -> None:
    await cluster.client.patch(Job, "work", {"spec": spec}, namespace=namespace)
    await cluster.settle()


async def end(cluster: Cluster, item: Pod, phase: str = "Succeeded", code: int = 0) -> None:
    """Be the kubelet: a pod's container has ended."""
    terminated = {"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"}
    status = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    await set_pod(cluster, item, phase=phase, containerStatuses=[{**status, "state": {"terminated": terminated}}])
    await cluster.settle()


async def running(cluster: Cluster, namespace: str) -> list[Pod]:
    """Return the pods that have not ended and stay, by index where there are any."""
    found = await pods(cluster, namespace)
    left = [item for item in found if item.status.phase in {"Pending", "Running"}]
    return sorted(
        (item for item in left if item.metadata.deletion_timestamp is None),
        key=lambda item: item.metadata.annotations.get(INDEX, ""),
    )


async def indexes(cluster: Cluster, namespace: str) -> list[str]:
    return [item.metadata.annotations[INDEX] for item in await running(cluster, namespace)]


async def test_job_runs_to_its_end(cluster: Cluster, namespace: str) -> None:
    """Pods are made as others succeed; then the Job is complete, and nothing of it is left to be counted."""
    await cluster.client.create(job(namespace, completions=3, parallelism=2))
    first, second = await running(cluster, namespace)
    assert first.metadata.finalizers == (FINALIZER,)
    await set_pod(cluster, first)
    status = (await get(cluster, namespace)).status
    assert (status.active, status.ready, status.succeeded) == (2, 1, 0)
    await end(cluster, first)
    assert len(await running(cluster, namespace)) == 2
    await end(cluster, second)
    (third,) = await running(cluster, namespace)
    await end(cluster, third)
    done = await get(cluster, namespace)
    assert (done.status.active, done.status.succeeded, done.status.failed) == (0, 3, 0)
    reason = ("True", "CompletionsReached", "Reached expected number of succeeded pods")
    assert (condition(done, "SuccessCriteriaMet"), condition(done, "Complete")) == (reason, reason)
    assert done.status.completion_time is not None
    assert done.status.start_time is not None
    assert [item.metadata.finalizers for item in await pods(cluster, namespace)] == [(), (), ()]
    assert await events(cluster, namespace, "Completed") == ["Job completed"]


async def test_work_queue_ends_with_the_first_success(cluster: Cluster, namespace: str) -> None:
    """Without a number of completions, a success means that there is no more work; those at work finish."""
    await cluster.client.create(job(namespace, parallelism=3))
    first, second, third = await running(cluster, namespace)
    await end(cluster, first)
    assert len(await running(cluster, namespace)) == 2
    await end(cluster, second, "Failed", 1)
    assert condition(await get(cluster, namespace), "Complete")[0] == ""
    await end(cluster, third)
    assert condition(await get(cluster, namespace), "Complete")[0] == "True"


async def test_failed_pods_are_replaced_ever_more_slowly(cluster: Cluster, namespace: str) -> None:
    """After the first failure ten seconds pass, after the next twenty; one too many fails the Job."""
    await cluster.client.create(job(namespace, backoff_limit=2))
    for wait in (10, 20):
        (item,) = await running(cluster, namespace)
        await set_pod(cluster, item, phase="Failed", containerStatuses=[])
        await cluster.clock.advance(seconds=wait - 2)
        assert await running(cluster, namespace) == []
        await cluster.clock.advance(seconds=4)
    (item,) = await running(cluster, namespace)
    await set_pod(cluster, item, phase="Failed")
    done = await get(cluster, namespace)
    assert done.status.failed == 3
    reason = ("True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    assert (condition(done, "FailureTarget"), condition(done, "Failed")) == (reason, reason)
    assert await events(cluster, namespace, "BackoffLimitExceeded") == [reason[2]]


async def test_failing_job_takes_its_other_pods_with_it(cluster: Cluster, namespace: str) -> None:
    """Pods that still run are deleted and count as failed; the end waits for them to be gone."""
    await add_node(cluster, "one")
    await cluster.client.create(job(namespace, parallelism=2, completions=2, backoff_limit=0))
    first, second = await running(cluster, namespace)
    await set_pod(cluster, second)
    await end(cluster, first, "Failed", 1)
    failing = await get(cluster, namespace)
    assert condition(failing, "FailureTarget")[0] == "True"
    assert condition(failing, "Failed")[0] == ""
    assert (failing.status.active, failing.status.terminating, failing.status.failed) == (0, 1, 2)
    await cluster.client.delete(Pod, second.metadata.name, namespace, grace_period_seconds=0)
    done = await get(cluster, namespace)
    assert condition(done, "Failed")[:2] == ("True", "BackoffLimitExceeded")
    assert (done.status.terminating, done.status.failed) == (0, 2)


async def test_deadline_ends_a_job(cluster: Cluster, namespace: str) -> None:
    """A Job that runs too long fails, without any event from its pods."""
    await cluster.client.create(job(namespace, active_deadline_seconds=60))
    await cluster.settle()
    await cluster.clock.advance(seconds=59)
    assert condition(await get(cluster, namespace), "Failed")[0] == ""
    await cluster.clock.advance(seconds=3)
    done = await get(cluster, namespace)
    assert condition(done, "Failed") == ("True", "DeadlineExceeded", "Job was active longer than specified deadline")
    assert await running(cluster, namespace) == []


async def test_suspended_job_has_no_pods(cluster: Cluster, namespace: str) -> None:
    """Suspending takes the pods away without counting them, resuming makes others and begins anew."""
    await cluster.client.create(job(namespace, suspend=True))
    assert await running(cluster, namespace) == []
    made = await get(cluster, namespace)
    assert condition(made, "Suspended") == ("True", "JobSuspended", "Job suspended")
    assert made.status.start_time is None
    await change(cluster, namespace, suspend=False)
    assert len(await running(cluster, namespace)) == 1
    made = await get(cluster, namespace)
    assert condition(made, "Suspended") == ("False", "JobResumed", "Job resumed")
    assert made.status.start_time is not None
    await change(cluster, namespace, suspend=True)
    made = await get(cluster, namespace)
    assert (await pods(cluster, namespace), made.status.active, made.status.failed) == ([], 0, 0)
    assert made.status.start_time is None
    assert (await events(cluster, namespace, "Suspended"), await events(cluster, namespace, "Resumed")) == (
        ["Job suspended"],
        ["Job resumed"],
    )


async def test_fewer_at_a_time(cluster: Cluster, namespace: str) -> None:
    """Pods too many go, those that have come least far first, and are not counted."""
    await cluster.client.create(job(namespace, parallelism=3, completions=3))
    first, *_ = await running(cluster, namespace)
    await set_pod(cluster, first)
    await change(cluster, namespace, parallelism=1)
    assert [item.metadata.uid for item in await running(cluster, namespace)] == [first.metadata.uid]
    assert (await get(cluster, namespace)).status.failed == 0


async def test_deleted_pod_counts_as_failed(cluster: Cluster, namespace: str) -> None:
    """A pod that was deleted may never say how it ended, and is replaced."""
    await cluster.client.create(job(namespace))
    (first,) = await running(cluster, namespace)
    await cluster.client.delete(Pod, first.metadata.name, namespace)
    await cluster.settle()
    assert (await get(cluster, namespace)).status.failed == 1
    await cluster.clock.advance(seconds=15)
    (second,) = await running(cluster, namespace)
    assert second.metadata.uid != first.metadata.uid


async def test_indexed_job_gives_each_pod_its_number(cluster: Cluster, namespace: str) -> None:
    """Each index is worked on until it succeeds; the status names those done."""
    await cluster.client.create(job(namespace, completion_mode="Indexed", completions=5, parallelism=3))
    assert await indexes(cluster, namespace) == ["0", "1", "2"]
    zero, _, two = await running(cluster, namespace)
    assert (zero.spec.hostname, zero.metadata.labels[INDEX]) == ("work-0", "0")
    assert zero.metadata.name.startswith("work-0-")
    (variable,) = [item for item in zero.spec.containers[0].env if item.name == "JOB_COMPLETION_INDEX"]
    assert variable.value_from.field_ref.field_path == f"metadata.labels['{INDEX}']"
    await end(cluster, zero)
    await end(cluster, two)
    assert await indexes(cluster, namespace) == ["1", "3", "4"]
    status = (await get(cluster, namespace)).status
    assert (status.completed_indexes, status.succeeded) == ("0,2", 2)
    for item in await running(cluster, namespace):
        await end(cluster, item)
    done = await get(cluster, namespace)
    assert (done.status.completed_indexes, condition(done, "Complete")[0]) == ("0-4", "True")


async def test_indexed_job_gives_up_indexes(cluster: Cluster, namespace: str) -> None:
    """With a limit for each index, one that fails too often is given up, the others go on, and the Job fails in the end."""
    spec = {"completion_mode": "Indexed", "completions": 2, "parallelism": 2, "backoff_limit_per_index": 1}
    await cluster.client.create(job(namespace, **spec))
    zero, one = await running(cluster, namespace)
    await end(cluster, zero, "Failed", 1)
    await cluster.clock.advance(seconds=30)
    again, _ = await running(cluster, namespace)
    count = "batch.kubernetes.io/job-index-failure-count"
    assert (again.metadata.annotations[INDEX], again.metadata.annotations[count]) == ("0", "1")
    await end(cluster, again, "Failed", 1)
    assert (await get(cluster, namespace)).status.failed_indexes == "0"
    assert await indexes(cluster, namespace) == ["1"]
    await end(cluster, one)
    done = await get(cluster, namespace)
    assert condition(done, "Failed") == ("True", "FailedIndexes", "Job has failed indexes")
    assert (done.status.completed_indexes, done.status.failed_indexes, done.status.failed) == ("1", "0", 2)


async def test_success_policy_ends_a_job_early(cluster: Cluster, namespace: str) -> None:
    """Enough of the right indexes are a success; what still runs is taken away and is no failure."""
    rule = SuccessPolicyRule(succeeded_indexes="0-1", succeeded_count=1)
    spec = {"completion_mode": "Indexed", "completions": 3, "parallelism": 3}
    await cluster.client.create(job(namespace, success_policy=SuccessPolicy(rules=(rule,)), **spec))
    _, one, _ = await running(cluster, namespace)
    await end(cluster, one)
    done = await get(cluster, namespace)
    reason = ("True", "SuccessPolicy", "Matched rules at index 0")
    assert (condition(done, "SuccessCriteriaMet"), condition(done, "Complete")) == (reason, reason)
    assert (done.status.succeeded, done.status.failed, done.status.completed_indexes) == (1, 0, "1")
    assert await running(cluster, namespace) == []


@pytest.mark.parametrize(
    ("action", "failed", "reason"),
    [
        pytest.param("Ignore", 0, "", id="ignored"),
        pytest.param("Count", 1, "", id="counted"),
        pytest.param("FailJob", 1, "PodFailurePolicy", id="fatal"),
    ],
)
async def test_failure_policy_says_what_a_failure_means(
    cluster: Cluster, namespace: str, action: str, failed: int, reason: str
) -> None:
    """An exit code that a rule names is ignored, counted, or the end of the Job."""
    codes = PodFailurePolicyOnExitCodesRequirement(operator="In", values=(42,))
    policy = PodFailurePolicy(rules=(PodFailurePolicyRule(action=action, on_exit_codes=codes),))
    await cluster.client.create(job(namespace, pod_failure_policy=policy))
    (item,) = await running(cluster, namespace)
    await end(cluster, item, "Failed", 42)
    found = await get(cluster, namespace)
    assert (found.status.failed, condition(found, "Failed")[1]) == (failed, reason)
    if reason:
        assert condition(found, "Failed")[2] == (
            f"Container main for pod {namespace}/{item.metadata.name} failed with exit code 42 matching FailJob rule at "
            "index 0"
        )


async def test_restarted_containers_count_against_the_limit(cluster: Cluster, namespace: str) -> None:
    """A pod that is restarted in place fails the Job when it was too often."""
    await cluster.client.create(job(namespace, restart_policy="OnFailure", backoff_limit=2))
    (item,) = await running(cluster, namespace)
    status = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 2}
    await set_pod(cluster, item, containerStatuses=[status])
    assert condition(await get(cluster, namespace), "FailureTarget")[1] == "BackoffLimitExceeded"


async def test_job_of_somebody_else_is_left_alone(cluster: Cluster, namespace: str) -> None:
    """A Job that names another manager is that one's."""
    await cluster.client.create(job(namespace, managed_by="example.org/queue"))
    assert await pods(cluster, namespace) == []


@pytest.mark.parametrize(("policy", "left"), [("Background", 0), ("Orphan", 1)])
async def test_deleted_job_lets_go_of_its_pods(cluster: Cluster, namespace: str, policy: str, left: int) -> None:
    """Pods go with the Job, or stay without it; in either case nothing holds them."""
    await cluster.client.create(job(namespace))
    await cluster.settle()
    await cluster.client.delete(Job, "work", namespace, propagation_policy=policy)
    await cluster.settle()
    await cluster.clock.advance(seconds=5)
    found = await pods(cluster, namespace)
    assert [item.metadata.finalizers for item in found] == [()] * left
