"""How long a Job waits before it replaces a pod that failed (pkg/controller/job `backoff_utils.go`)."""

from collections.abc import Iterable

from msgspec import Struct

from pinnace.api.batch_v1 import Job
from pinnace.api.core_v1 import Pod
from pinnace.component.backoff import Backoff
from pinnace.controllers import job_pods as rules

BACKOFF = Backoff(10.0, 600.0)


class Record(Struct, frozen=True):
    """Failures since the last success, and when the last of them was."""

    failures: int = 0
    last: float = 0.0

    def after(self, ended: Iterable[Pod]) -> "Record":
        """Return the record when these have ended, too."""
        failures, last = self.failures, self.last
        for pod in sorted(ended, key=rules.finished_at):
            if pod.status.phase == "Succeeded":
                failures, last = 0, 0.0
            else:
                failures, last = failures + 1, rules.finished_at(pod)
        return Record(failures, last)

    def remaining(self, now: float) -> float:
        """Return the seconds that are still to wait."""
        return max(self.last + BACKOFF.delay(self.failures) - now, 0.0) if self.failures else 0.0


def remaining_of_index(job: Job, last: Pod | None, now: float) -> float:
    """Return the seconds that an index waits whose last pod failed; the failures of other indexes do not matter."""
    if last is None:
        return 0.0
    return Record(sum(rules.next_failure_counts(job, last)), rules.finished_at(last)).remaining(now)
