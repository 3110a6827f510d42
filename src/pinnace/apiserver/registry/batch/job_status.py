"""The status of a Job, which other controllers than the built-in one may write: what it may say, and how it may go on.

Most rules hold only for what an update changes, so that a status that was wrong before, or became so by a change of the spec, can
still be written. Upstream: pkg/apis/batch/validation `validateJobStatus`, `ValidateJobStatusUpdate`, pkg/registry/batch/job
`getStatusValidationOptions`.
"""

from collections.abc import Iterator, Sequence

from pinnace.api.batch_v1 import Job, JobStatus, UncountedTerminatedPods
from pinnace.apiserver.registry.batch import index_ranges
from pinnace.apiserver.registry.batch.job_spec import INDEXED
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.machinery import timestamps
from pinnace.machinery.field import OMITTED, FieldError, Path, duplicate, invalid, required

Errors = Iterator[FieldError]

COMPLETE, FAILED, FAILURE_TARGET, SUCCESS = "Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"
SUSPENDED = "Suspended"
_STATUS = Path("status")
_CONDITIONS = _STATUS.child("conditions")


def has_condition(job: Job, kind: str) -> bool:
    """Tell whether a condition is true."""
    return any(condition.type == kind and condition.status == "True" for condition in job.status.conditions)


def is_finished(job: Job) -> bool:
    """Tell whether a Job has come to its end."""
    return has_condition(job, COMPLETE) or has_condition(job, FAILED)


def status_errors(new: Job, old: Job) -> Sequence[FieldError]:
    """Check an update of the status, in upstream's order."""
    return (
        *_count_errors(new.status),
        *_end_errors(new, old),
        *_remainder_errors(new, old),
        *_index_errors(new, old),
        *_running_errors(new, old),
        *_success_errors(new),
        *_progress_errors(new, old),
    )


def _changed(new: Job, old: Job, *names: str) -> bool:
    return any(getattr(new.status, name) != getattr(old.status, name) for name in names)


def _turned(new: Job, old: Job, *kinds: str) -> bool:
    return any(has_condition(new, kind) != has_condition(old, kind) for kind in kinds)


def _wrong_conditions(text: str) -> FieldError:
    return invalid(_CONDITIONS, OMITTED, text)


def _count_errors(status: JobStatus) -> Errors:
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        yield from not_negative(getattr(status, name), _STATUS.child(name))
    if status.uncounted_terminated_pods is not None:
        yield from _uncounted_errors(status.uncounted_terminated_pods, _STATUS.child("uncountedTerminatedPods"))


def _uncounted_errors(pods: UncountedTerminatedPods, path: Path) -> Errors:
    seen: set[str] = set()
    for uids, wire in ((pods.succeeded, "succeeded"), (pods.failed, "failed")):
        for index, uid in enumerate(uids):
            at = path.child(wire).index(index)
            if not uid:
                yield invalid(at, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(at, uid)
            seen.add(uid)


def _end_errors(new: Job, old: Job) -> Errors:
    """Check that conditions and times agree on the Job's end."""
    is_complete, is_failed = has_condition(new, COMPLETE), has_condition(new, FAILED)
    targets_failure, at = has_condition(new, FAILURE_TARGET), _STATUS.child("completionTime")
    start, end = new.status.start_time, new.status.completion_time
    if is_complete and is_failed and _turned(new, old, COMPLETE, FAILED):
        yield _wrong_conditions("cannot set Complete=True and Failed=true conditions")
    if is_complete and targets_failure and _turned(new, old, COMPLETE, FAILURE_TARGET):
        yield _wrong_conditions("cannot set Complete=True and FailureTarget=true conditions")
    if _turned(new, old, COMPLETE) or _changed(new, old, "completion_time"):
        if end is not None and not is_complete:
            yield invalid(at, end, "cannot set completionTime when there is no Complete=True condition")
        if end is None and is_complete:
            yield required(at, "completionTime is required for Complete jobs")
    if (
        start is not None
        and end is not None
        and timestamps.parse(end) < timestamps.parse(start)
        and _changed(new, old, "start_time", "completion_time")
    ):
        yield invalid(at, end, "completionTime cannot be set before startTime")
    if is_failed and not targets_failure and _turned(new, old, FAILED, FAILURE_TARGET):
        yield _wrong_conditions("cannot set Failed=True condition without the FailureTarget=true condition")
    if is_complete and not has_condition(new, SUCCESS) and _turned(new, old, COMPLETE, SUCCESS):
        yield _wrong_conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")


def _remainder_errors(new: Job, old: Job) -> Errors:
    """Check that a finished Job has begun, and left nothing undone."""
    if not is_finished(new):
        return
    status, ended = new.status, not is_finished(old)
    if status.active > 0 and (ended or _changed(new, old, "active")):
        yield invalid(_STATUS.child("active"), status.active, "active>0 is invalid for finished job")
    # A suspended Job of nothing is complete without a start.
    is_void = bool(new.spec.suspend) and new.spec.completions == 0
    if status.start_time is None and not is_void and (ended or _changed(new, old, "start_time")):
        yield required(_STATUS.child("startTime"), "startTime is required for finished job")
    uncounted = status.uncounted_terminated_pods
    if (
        uncounted is not None
        and (uncounted.failed or uncounted.succeeded)
        and (ended or _changed(new, old, "uncounted_terminated_pods"))
    ):
        text = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid(_STATUS.child("uncountedTerminatedPods"), go_struct(uncounted), text)


def _index_errors(new: Job, old: Job) -> Errors:
    spec, completed, failed = new.spec, new.status.completed_indexes, new.status.failed_indexes
    at_completed, at_failed = _STATUS.child("completedIndexes"), _STATUS.child("failedIndexes")
    completed_changed, failed_changed = _changed(new, old, "completed_indexes"), _changed(new, old, "failed_indexes")
    if completed_changed and spec.completions is not None:
        yield from _format_errors(completed, spec.completions, at_completed, "completedIndexes")
    if failed_changed and failed is not None and None not in {spec.completions, spec.backoff_limit_per_index}:
        yield from _format_errors(failed, spec.completions or 0, at_failed, "failedIndexes")
    if completed_changed and completed and spec.completion_mode != INDEXED:
        text = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield invalid(at_completed, completed, text)
    if failed_changed and failed is not None and spec.backoff_limit_per_index is None:
        yield invalid(at_failed, failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
    if (completed_changed or failed_changed) and failed is not None and spec.completions is not None:
        shared = index_ranges.first_shared(completed, failed, spec.completions)
        if shared is not None:
            text = f"failedIndexes and completedIndexes overlap at index: {shared}"
            yield invalid(at_failed, failed, text)


def _format_errors(text: str, completions: int, path: Path, wire: str) -> Errors:
    try:
        index_ranges.count(text, completions)
    except ValueError as error:
        yield invalid(path, text, f"error parsing {wire}: {error}")


def _running_errors(new: Job, old: Job) -> Errors:
    status = new.status
    if (
        is_finished(new)
        and (status.terminating or 0) > 0
        and (not is_finished(old) or _changed(new, old, "terminating"))
    ):
        yield invalid(_STATUS.child("terminating"), status.terminating, "terminating>0 is invalid for finished job")
    if status.ready is not None and status.ready > status.active and _changed(new, old, "ready", "active"):
        yield invalid(_STATUS.child("ready"), status.ready, "cannot set more ready pods than active")


def _success_errors(new: Job) -> Errors:
    is_met = has_condition(new, SUCCESS)
    if is_met and has_condition(new, FAILED):
        yield _wrong_conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions")
    if is_met and has_condition(new, FAILURE_TARGET):
        yield _wrong_conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    if new.spec.success_policy is not None and not is_met and has_condition(new, COMPLETE):
        yield _wrong_conditions("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")


def _progress_errors(new: Job, old: Job) -> Errors:
    """Check that nothing that was final is taken back."""
    status, before = new.status, old.status
    for kind in (FAILED, COMPLETE, FAILURE_TARGET):
        if has_condition(old, kind) and not has_condition(new, kind):
            yield _wrong_conditions(f"cannot disable the terminal {kind}=True condition")
    if status.failed < before.failed:
        yield invalid(_STATUS.child("failed"), status.failed, "cannot decrease the failed counter")
    # Indexed Jobs whose parallelism is their completions may be scaled down.
    is_elastic = new.spec.completion_mode == INDEXED and new.spec.completions == new.spec.parallelism
    if status.succeeded < before.succeeded and not is_elastic:
        yield invalid(_STATUS.child("succeeded"), status.succeeded, "cannot decrease the succeeded counter")
    if None not in {status.completion_time, before.completion_time} and _changed(new, old, "completion_time"):
        yield invalid(_STATUS.child("completionTime"), status.completion_time, "completionTime cannot be mutated")
    if before.start_time is not None and _changed(new, old, "start_time") and not new.spec.suspend:
        yield required(_STATUS.child("startTime"), "startTime cannot be removed for unsuspended job")
    if has_condition(old, SUCCESS) and not has_condition(new, SUCCESS):
        yield _wrong_conditions("cannot disable the SuccessCriteriaMet=True condition")
    if has_condition(old, COMPLETE) and not has_condition(old, SUCCESS) and has_condition(new, SUCCESS):
        yield _wrong_conditions("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
