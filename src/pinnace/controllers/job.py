"""Job: runs pods until enough of them have succeeded (pkg/controller/job).

Each look decides whether the Job is to end; if not, it makes or takes away pods. Then the ends of pods are counted
(`job_tracking.py`). What is known is in `job_account.py`, what pods look like in `job_pods.py`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from msgspec.structs import replace

from pinnace.api.batch_v1 import Job, JobStatus
from pinnace.api.core_v1 import Pod
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.controllers import conditions, ownership
from pinnace.controllers import job_pods as rules
from pinnace.controllers import job_tracking as tracking
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.job_account import COMPLETE, FAILED, SUSPENDED, Account, Ending
from pinnace.controllers.job_backoff import Record, remaining_of_index
from pinnace.controllers.own_writes import SOON_SECONDS, OwnWrites
from pinnace.controllers.pod_owner import PodOwnerController
from pinnace.controllers.slow_start import at_once
from pinnace.machinery import selectors, timestamps
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import controller_of, split_key
from pinnace.machinery.meta import key as key_of
from pinnace.machinery.selectors import LabelSelector

# Pods created or deleted in one round at most.
BURST = 500
MANAGER = "kubernetes.io/job-controller"
# Keys of pods that no Job owns any more, and that still have the finalizer.
_ORPHAN = "orphan "


class JobController(PodOwnerController):
    """Reconciles Jobs."""

    name = "job-controller"
    component = "job-controller"
    kept: ClassVar[type[Any]] = Job
    backoff: ClassVar[Backoff] = Backoff(1.0, 60.0)

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._records: dict[str, Record] = {}
        self._released: dict[str, set[str]] = {}
        self._own = OwnWrites(self._owners)
        self._pods.add_handler(self._orphan_seen, lambda _, new: self._orphan_seen(new))

    def selector_of(self, owner: Any) -> LabelSelector:
        return selectors.from_label_selector(owner.spec.selector)

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_ORPHAN):
            await self._release_orphan(key.removeprefix(_ORPHAN))
            return None
        job: Job | None = self._owners.cache.get(key)
        if job is None:
            await self._forget(key)
            return None
        if job.spec.managed_by not in {None, MANAGER} or _is_finished(job):
            return None
        if not self._own.are_seen(key):
            # Ends are counted from the status; an outdated one would count them twice.
            return SOON_SECONDS
        settled = self._expectations.are_met(key)
        claimed = await ownership.claim(self.client, job, self._pods.cache, self.selector_of(job))
        released = self._released.setdefault(key, set())
        released &= {pod.metadata.uid for pod in claimed if rules.has_finalizer(pod)}
        now = self.clock.time()
        account = Account(_started(job, now), claimed, frozenset(released), now)
        return await self._look(job, account, settled=settled)

    async def _look(self, stored: Job, account: Account, *, settled: bool) -> float | None:
        key, job = key_of(stored), account.job
        record = self._records.get(key, Record()).after([*account.newly_succeeded, *account.newly_failed])
        ending, error, gone, again = account.ending(), None, 0, None
        managed = False
        if ending is not None:
            error = await self.carry_out(job, delete=account.active)
            gone = len(account.active)
            if error is not None or not settled:
                # Pods may be left that are not known of yet.
                ending = None
        elif settled and job.metadata.deletion_timestamp is None:
            managed = True
            gone, again, error = await self._manage(account, record)
        status = self._counted(account, gone)
        if ending is None and account.ending() is None:
            if account.is_complete(status.active):
                ending = Ending(True, "CompletionsReached", "Reached expected number of succeeded pods")
            elif managed:
                status = self._tell_suspension(job, status, account.now)
        await self._track(stored, account, status, ending)
        self._records[key] = record
        if error is not None:
            raise error
        return min((wait for wait in (again, _until_deadline(account)) if wait), default=None)

    def _counted(self, account: Account, gone: int) -> JobStatus:
        """Return the status with the pods that are there now."""
        ready = sum(pod_rules.is_ready(pod) for pod in account.active)
        active = max(len(account.active) - gone, 0)
        return replace(
            account.job.status,
            active=active,
            ready=min(ready, active),
            terminating=account.terminating + gone,
        )

    # ── making pods and taking them away ──

    async def _manage(self, account: Account, record: Record) -> tuple[int, float | None, Exception | None]:
        """Return how many pods were taken away, the seconds until more may be made, and why a call failed."""
        wanted = 0 if account.job.spec.suspend else self._wanted(account)
        doomed = self._surplus(account, wanted)[:BURST]
        if doomed:
            error = await self._take_away(account.job, doomed)
            return (0 if error is not None else len(doomed)), None, error
        waiting = account.terminating if rules.replaces_only_failed(account.job) else 0
        missing = min(wanted - len(account.active) - waiting, BURST)
        if missing <= 0:
            return 0, None, None
        made, again = self._next_pods(account, missing, record)
        return 0, again, await self.carry_out(account.job, create=made)

    @staticmethod
    def _wanted(account: Account) -> int:
        parallelism = 1 if account.job.spec.parallelism is None else account.job.spec.parallelism
        if account.job.spec.completions is None:
            return len(account.active) if account.succeeded else parallelism
        return max(min(parallelism, account.completions - account.succeeded), 0)

    @staticmethod
    def _surplus(account: Account, wanted: int) -> list[Pod]:
        """Return the pods that are to go: of Indexed Jobs first those without an index, or with one that is taken."""
        doomed: list[Pod] = []
        left = rules.removal_order(account.active)
        if account.is_indexed:
            taken: set[int] = set(account.succeeded_indexes | account.failed_indexes)
            for pod in reversed(left):
                index = rules.index_of(account.job, pod)
                if index is None or index in taken:
                    doomed.append(pod)
                else:
                    taken.add(index)
            left = [pod for pod in left if pod not in doomed]
        return [*doomed, *left[: max(len(left) - wanted, 0)]]

    @staticmethod
    def _next_pods(account: Account, missing: int, record: Record) -> tuple[list[Pod], float | None]:
        """Return the pods that may be made now, and the seconds until others may."""
        job, now = account.job, account.now
        if job.spec.backoff_limit_per_index is None:
            wait = record.remaining(now)
            if wait > 0.0:
                return [], wait
        if not account.is_indexed:
            return [rules.make_pod(job)] * missing, None
        made: list[Pod] = []
        waits: list[float] = []
        for index in account.pending_indexes():
            last = account.last_failed.get(index)
            wait = remaining_of_index(job, last, now)
            if wait > 0.0:
                waits.append(wait)
            elif len(made) < missing:
                made.append(rules.make_pod(job, index, last))
        return made, min(waits, default=None)

    async def _take_away(self, job: Job, doomed: Sequence[Pod]) -> Exception | None:
        """Delete pods whose end is not to be counted."""
        freed = await at_once(doomed, self._release)
        if freed.error is not None:
            return freed.error
        self._released.setdefault(key_of(job), set()).update(pod.metadata.uid for pod in doomed)
        return await self.carry_out(job, delete=doomed)

    def _tell_suspension(self, job: Job, status: JobStatus, now: float) -> JobStatus:
        suspended = conditions.is_true(status.conditions, SUSPENDED)
        if job.spec.suspend:
            if not suspended:
                status = tracking.with_condition(status, SUSPENDED, "True", "JobSuspended", "Job suspended", now)
                self.recorder.event(job, "Normal", "Suspended", "Job suspended")
            return replace(status, start_time=None)
        if suspended:
            status = tracking.with_condition(status, SUSPENDED, "False", "JobResumed", "Job resumed", now)
            self.recorder.event(job, "Normal", "Resumed", "Job resumed")
            status = replace(status, start_time=timestamps.format(now))
        return status

    # ── counting ends ──

    async def _track(self, job: Job, account: Account, status: JobStatus, ending: Ending | None) -> None:
        found = tracking.tally(account, status, ending)
        job = await self._store(job, found.status)
        freed = self._released.setdefault(key_of(job), set())

        async def release(pod: Pod) -> None:
            await self._release(pod)
            freed.add(pod.metadata.uid)

        outcome = await at_once(found.release, release)
        status = tracking.settled(job.status, {pod.metadata.uid for pod in account.tracked} - freed)
        end = tracking.ended(status, ending, account.now) if ending is not None and not found.is_full else None
        job = await self._store(job, end or status)
        if end is not None and ending is not None:
            self._tell_end(job, ending)
        if outcome.error is not None:
            raise outcome.error

    async def _store(self, job: Job, status: JobStatus) -> Job:
        """Write a status, if it is another one, and return the Job as it is stored."""
        if status == job.status:
            return job
        written = await self.write_status(job, status)
        self._own.wrote(key_of(job), written)
        return written

    def _tell_end(self, job: Job, ending: Ending) -> None:
        if not ending.is_success:
            self.recorder.event(job, "Warning", ending.reason, ending.message)
            return
        if job.spec.completions is not None and job.status.succeeded > job.spec.completions:
            text = "Too many succeeded pods running after completion count reached"
            self.recorder.event(job, "Warning", "TooManySucceededPods", text)
        self.recorder.event(job, "Normal", "Completed", "Job completed")

    async def _release(self, pod: Pod) -> None:
        """Take the finalizer off a pod."""
        if not rules.has_finalizer(pod):
            return
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [rules.FINALIZER]}}
        with suppress(NotFound):
            await self.client.patch(
                Pod, pod.metadata.name, patch, type=PatchType.STRATEGIC, namespace=pod.metadata.namespace
            )

    # ── pods without a Job ──

    def _owner_deleted(self, owner: Any) -> None:
        super()._owner_deleted(owner)
        self.enqueue(owner)

    async def _forget(self, key: str) -> None:
        """Release the pods of a Job that is gone."""
        self._records.pop(key, None)
        self._released.pop(key, None)
        for pod in self._pods.cache.list(split_key(key)[0]):
            if ownership.owner_key(pod, self._kind) == key:
                await self._release(pod)

    def _orphan_seen(self, pod: Pod) -> None:
        if rules.has_finalizer(pod) and controller_of(pod.metadata.owner_references) is None:
            self.enqueue_key(_ORPHAN + key_of(pod))

    async def _release_orphan(self, key: str) -> None:
        pod = self._pods.cache.get(key)
        if pod is None or controller_of(pod.metadata.owner_references) is not None:
            return
        jobs = self._owners.cache.list(pod.metadata.namespace)
        if not any(self.selector_of(job).matches(pod.metadata.labels) and not _is_finished(job) for job in jobs):
            await self._release(pod)


def _is_finished(job: Job) -> bool:
    return any(conditions.is_true(job.status.conditions, kind) for kind in (COMPLETE, FAILED))


def _started(job: Job, now: float) -> Job:
    """Return a Job that has begun, unless it is suspended."""
    if job.spec.suspend or job.status.start_time is not None:
        return job
    return replace(job, status=replace(job.status, start_time=timestamps.format(now)))


def _until_deadline(account: Account) -> float | None:
    active, deadline = account.seconds_active(), account.job.spec.active_deadline_seconds
    return max(deadline - active, 0.0) if active is not None and deadline is not None else None
