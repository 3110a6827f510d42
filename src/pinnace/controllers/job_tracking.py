"""Counting the ends of a Job's pods, each exactly once, whatever is interrupted in between (KEP-2307).

An end goes into the status first, by the pod's uid; then the pod's finalizer is taken off; then, when the pod can no longer be taken
for a new end, the uid gives way to a counter. Successes of indexes need no uid: the index itself is remembered. Upstream:
pkg/controller/job `trackJobStatusAndRemoveFinalizers`.
"""

from collections.abc import Collection

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api.batch_v1 import JobCondition, JobStatus, UncountedTerminatedPods
from pinnace.api.core_v1 import Pod
from pinnace.controllers import conditions, job_indexes
from pinnace.controllers import job_pods as rules
from pinnace.controllers.job_account import COMPLETE, Account, Ending
from pinnace.machinery import timestamps

# Ends in a status at a time, so that it stays small.
UNCOUNTED_LIMIT = 500


class Tally(Struct):
    """A status with new ends in it, and the pods whose finalizer can go when that is stored."""

    status: JobStatus
    release: list[Pod] = field(default_factory=list)
    is_full: bool = False


def tally(account: Account, status: JobStatus, ending: Ending | None) -> Tally:
    """Enter the ends that are new, and how the Job is to end."""
    status = settled(status, {pod.metadata.uid for pod in account.tracked})
    pods = status.uncounted_terminated_pods or UncountedTerminatedPods()
    succeeded, failed, indexes = list(pods.succeeded), list(pods.failed), set(account.counted_indexes)
    entered = len(succeeded) + len(failed)
    found = Tally(status)
    for pod in account.tracked:
        uid = pod.metadata.uid
        has_failed = rules.has_failed(account.job, pod)
        if not _may_go(account, pod, ending, has_failed=has_failed):
            continue
        found.release.append(pod)
        if pod.status.phase == "Succeeded" and uid not in failed:
            index = rules.index_of(account.job, pod)
            if not account.is_indexed and uid not in succeeded:
                succeeded.append(uid)
                entered += 1
            elif account.is_indexed and index is not None and index not in indexes:
                indexes.add(index)
                entered += 1
        elif uid not in failed and _counts_as_failed(account, pod, ending, has_failed=has_failed):
            failed.append(uid)
            entered += 1
        if entered >= UNCOUNTED_LIMIT:
            found.is_full = True
            break
    status = _with_uncounted(status, succeeded, failed)
    if account.is_indexed:
        text = job_indexes.format(indexes)
        status = replace(status, completed_indexes=text, succeeded=len(indexes))
        if account.job.spec.backoff_limit_per_index is not None:
            status = replace(status, failed_indexes=job_indexes.format(account.failed_indexes))
    if ending is not None:
        status = with_condition(status, ending.interim, "True", ending.reason, ending.message, account.now)
    found.status = status
    return found


def _may_go(account: Account, pod: Pod, ending: Ending | None, *, has_failed: bool) -> bool:
    if account.job.metadata.deletion_timestamp is not None or ending is not None or pod.status.phase == "Succeeded":
        return True
    if not has_failed:
        return False
    index = rules.index_of(account.job, pod)
    return index is None or account.last_failed.get(index) is not pod


def _counts_as_failed(account: Account, pod: Pod, ending: Ending | None, *, has_failed: bool) -> bool:
    # When a Job fails, whatever still runs fails with it.
    if not has_failed and (ending is None or ending.is_success):
        return False
    if account.is_indexed and rules.index_of(account.job, pod) is None:
        return False
    return rules.verdict_on(account.job, pod).is_counted


def _with_uncounted(status: JobStatus, succeeded: Collection[str], failed: Collection[str]) -> JobStatus:
    pods = UncountedTerminatedPods(succeeded=tuple(succeeded), failed=tuple(failed))
    return replace(status, uncounted_terminated_pods=pods)


def settled(status: JobStatus, tracked: Collection[str]) -> JobStatus:
    """Return a status whose uncounted pods have become numbers, but for those, by uid, that still have their finalizer."""
    pods = status.uncounted_terminated_pods
    if pods is None:
        return status
    succeeded = [uid for uid in pods.succeeded if uid in tracked]
    failed = [uid for uid in pods.failed if uid in tracked]
    counted = replace(
        status,
        succeeded=status.succeeded + len(pods.succeeded) - len(succeeded),
        failed=status.failed + len(pods.failed) - len(failed),
    )
    return _with_uncounted(counted, succeeded, failed)


def ended(status: JobStatus, ending: Ending, now: float) -> JobStatus | None:
    """Return the status of a Job that has come to its end, None while something is left to count or to wait for."""
    pods = status.uncounted_terminated_pods
    if (pods is not None and (pods.succeeded or pods.failed)) or status.terminating:
        return None
    status = with_condition(status, ending.final, "True", ending.reason, ending.message, now)
    if ending.final == COMPLETE and status.completion_time is None:
        status = replace(status, completion_time=timestamps.format(now))
    return status


def with_condition(status: JobStatus, kind: str, value: str, reason: str, message: str, now: float) -> JobStatus:
    """Return a status with a condition; one that says the same already is left as it is."""
    time = timestamps.format(now)
    made = JobCondition(
        type=kind, status=value, reason=reason, message=message, last_probe_time=time, last_transition_time=time
    )
    return replace(status, conditions=conditions.with_condition(status.conditions, made))
