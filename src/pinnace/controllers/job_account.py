"""What one look knows of a Job: which pods run, which have ended and are not counted yet, and what that comes to.

Pure, for one look. Upstream: pkg/controller/job `job_controller.go` (`syncJob`), `success_policy.go`.
"""

from collections.abc import Sequence
from functools import cached_property

from msgspec import Struct

from pinnace.api.batch_v1 import Job, JobCondition, UncountedTerminatedPods
from pinnace.api.core_v1 import Pod
from pinnace.controllers import conditions, job_indexes
from pinnace.controllers import job_pods as rules
from pinnace.controllers import pods as pod_rules
from pinnace.machinery import timestamps

COMPLETE, FAILED = "Complete", "Failed"
# Said before the pods' ends are counted; the conditions above come when nothing is left to count.
SUCCESS, FAILURE = "SuccessCriteriaMet", "FailureTarget"
SUSPENDED = "Suspended"


class Ending(Struct, frozen=True):
    """How a Job is to end: successfully or not, and why."""

    is_success: bool
    reason: str
    message: str

    @property
    def interim(self) -> str:
        """The condition that says so at first."""
        return SUCCESS if self.is_success else FAILURE

    @property
    def final(self) -> str:
        """The condition that says so in the end."""
        return COMPLETE if self.is_success else FAILED


class Account(Struct, frozen=True, dict=True):
    """A Job and its pods; `released` are those, by uid, whose finalizer has gone though the cache may not show it yet."""

    job: Job
    pods: Sequence[Pod]
    released: frozenset[str]
    now: float

    @cached_property
    def tracked(self) -> list[Pod]:
        """Pods whose end is still to be counted, by index where there are any."""
        pods = [pod for pod in self.pods if rules.has_finalizer(pod) and pod.metadata.uid not in self.released]
        return sorted(pods, key=lambda pod: rules.index_of(self.job, pod) or 0) if self.is_indexed else pods

    @cached_property
    def active(self) -> list[Pod]:
        """Pods that run, or will."""
        return [pod for pod in self.pods if pod_rules.is_active(pod)]

    @cached_property
    def terminating(self) -> int:
        """How many pods are on their way out."""
        return sum(rules.is_terminating(pod) for pod in self.pods)

    @cached_property
    def uncounted(self) -> UncountedTerminatedPods:
        """Pods whose end is in the status, but not in its counters yet."""
        return self.job.status.uncounted_terminated_pods or UncountedTerminatedPods()

    @cached_property
    def newly_succeeded(self) -> list[Pod]:
        """Pods that have succeeded and are in no status yet."""
        known = {*self.uncounted.succeeded, *self.uncounted.failed}
        return [pod for pod in self.tracked if pod.status.phase == "Succeeded" and pod.metadata.uid not in known]

    @cached_property
    def newly_failed(self) -> list[Pod]:
        """Pods that have failed and are in no status yet."""
        known = set(self.uncounted.failed)
        return [pod for pod in self.tracked if rules.has_failed(self.job, pod) and pod.metadata.uid not in known]

    # ── counts ──

    @property
    def is_indexed(self) -> bool:
        return rules.is_indexed(self.job)

    @property
    def completions(self) -> int:
        return self.job.spec.completions or 0

    @cached_property
    def counted_indexes(self) -> frozenset[int]:
        """The succeeded indexes that the status has."""
        return job_indexes.parse(self.job.status.completed_indexes, self.completions)

    @cached_property
    def succeeded_indexes(self) -> frozenset[int]:
        """All succeeded indexes."""
        ended = (rules.index_of(self.job, pod) for pod in self.tracked if pod.status.phase == "Succeeded")
        return self.counted_indexes | {index for index in ended if index is not None}

    @cached_property
    def failed_indexes(self) -> frozenset[int]:
        """All indexes that are given up."""
        if self.job.spec.backoff_limit_per_index is None:
            return frozenset()
        known = job_indexes.parse(self.job.status.failed_indexes, self.completions)
        ended = (rules.index_of(self.job, pod) for pod in self.tracked if self._gives_up(pod))
        return (known | {index for index in ended if index is not None}) - self.succeeded_indexes

    def _gives_up(self, pod: Pod) -> bool:
        if not rules.has_failed(self.job, pod):
            return False
        verdict = rules.verdict_on(self.job, pod)
        limit = self.job.spec.backoff_limit_per_index or 0
        return verdict.action == "FailIndex" or (verdict.is_counted and rules.failure_counts(pod)[0] >= limit)

    @cached_property
    def succeeded(self) -> int:
        """How many pods, or indexes, have succeeded."""
        if self.is_indexed:
            return len(self.succeeded_indexes)
        return self.job.status.succeeded + len(self.newly_succeeded) + len(self.uncounted.succeeded)

    @cached_property
    def failed(self) -> int:
        """How many pods have failed, but those whose failure is ignored."""
        new = sum(rules.verdict_on(self.job, pod).is_counted for pod in self.newly_failed)
        return self.job.status.failed + new + len(self.uncounted.failed)

    @cached_property
    def last_failed(self) -> dict[int, Pod]:
        """The failed pod of each index that is to be tried again: its finalizer stays, as the next one counts on from it."""
        if self.job.spec.backoff_limit_per_index is None:
            return {}
        busy = {rules.index_of(self.job, pod) for pod in self.active}
        done = self.succeeded_indexes | self.failed_indexes
        found: dict[int, Pod] = {}
        for pod in self.tracked:
            index = rules.index_of(self.job, pod)
            if index is None or index in busy or index in done or not rules.has_failed(self.job, pod):
                continue
            if index not in found or _order(found[index]) <= _order(pod):
                found[index] = pod
        return found

    def pending_indexes(self) -> list[int]:
        """Return the indexes that lack a pod, lowest first."""
        waiting = self.pods if rules.replaces_only_failed(self.job) else self.active
        busy = {
            rules.index_of(self.job, pod) for pod in waiting if pod_rules.is_active(pod) or rules.is_terminating(pod)
        }
        done = self.succeeded_indexes | self.failed_indexes
        return [index for index in range(self.completions) if index not in busy and index not in done]

    # ── the end ──

    def seconds_active(self) -> float | None:
        """Return for how long the Job has been running, None while it is suspended."""
        if self.job.spec.suspend:
            return None
        start = self.job.status.start_time
        return max(self.now - timestamps.parse(start), 0.0) if start is not None else 0.0

    def ending(self) -> Ending | None:
        """Return how the Job is to end, None while that is open; a success by numbers alone is seen after the pods are managed."""
        for kind in (SUCCESS, FAILURE):
            condition = conditions.find(self.job.status.conditions, kind)
            if condition is not None and condition.status == "True":
                return _again(condition)
        return self._refused() or self._exceeded() or self._out_of_indexes() or self._lucky()

    def _refused(self) -> Ending | None:
        for pod in self.pods:
            if rules.has_failed(self.job, pod):
                verdict = rules.verdict_on(self.job, pod)
                if verdict.action == "FailJob":
                    return Ending(False, "PodFailurePolicy", verdict.message)
        return None

    def _exceeded(self) -> Ending | None:
        spec = self.job.spec
        limit = spec.backoff_limit if spec.backoff_limit is not None else 6
        if self.failed > limit or self._restarted_too_often(limit):
            return Ending(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        active = self.seconds_active()
        if active is not None and spec.active_deadline_seconds is not None and active >= spec.active_deadline_seconds:
            return Ending(False, "DeadlineExceeded", "Job was active longer than specified deadline")
        return None

    def _restarted_too_often(self, limit: int) -> bool:
        if self.job.spec.template.spec.restart_policy != "OnFailure":
            return False
        count = rules.restarts(self.pods)
        return count > 0 if limit == 0 else count >= limit

    def _out_of_indexes(self) -> Ending | None:
        if not self.is_indexed or self.job.spec.backoff_limit_per_index is None:
            return None
        failed, limit = len(self.failed_indexes), self.job.spec.max_failed_indexes
        if limit is not None and failed > limit:
            text = "Job has exceeded the specified maximal number of failed indexes"
            return Ending(False, "MaxFailedIndexesExceeded", text)
        if failed and failed + len(self.succeeded_indexes) >= self.completions:
            return Ending(False, "FailedIndexes", "Job has failed indexes")
        return None

    def _lucky(self) -> Ending | None:
        if not self.is_indexed:
            return None
        number = job_indexes.matched_rule(self.job.spec.success_policy, self.succeeded_indexes, self.completions)
        return None if number is None else Ending(True, "SuccessPolicy", f"Matched rules at index {number}")

    def is_complete(self, active: int) -> bool:
        """Tell whether enough has succeeded, and nothing runs any more."""
        if self.job.spec.completions is None:
            return self.succeeded > 0 and active == 0
        return self.succeeded >= self.job.spec.completions and active == 0


def _again(condition: JobCondition) -> Ending:
    return Ending(condition.type == SUCCESS, condition.reason, condition.message)


def _order(pod: Pod) -> tuple[int, float]:
    return sum(rules.failure_counts(pod)), rules.finished_at(pod)
