"""CronJob: makes a Job whenever its time has come (pkg/controller/cronjob).

Of times that were missed the latest counts; a Job's name says its time, so that no time has two. Jobs that have ended are kept as far
as the history goes.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

from msgspec.structs import replace

from pinnace.api.batch_v1 import CronJob, CronJobStatus, Job
from pinnace.api.core_v1 import ObjectReference
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import conditions, ownership
from pinnace.controllers import cronjob_schedule as times
from pinnace.controllers.controller import Controller
from pinnace.controllers.job_account import COMPLETE, FAILED
from pinnace.controllers.pod_control import is_terminating
from pinnace.machinery import cron, timestamps
from pinnace.machinery.errors import AlreadyExists, ApiError, NotFound
from pinnace.machinery.field import go_quoted
from pinnace.machinery.meta import is_controlled_by

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class CronJobController(Controller):
    """Reconciles CronJobs."""

    name = "cronjob-controller"
    component = "cronjob-controller"
    retry_limit: ClassVar[int | None] = None

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._cron_jobs = informers.informer(CronJob)
        self._jobs = informers.informer(Job)
        ownership.add_indexes(self._jobs.cache)
        self._cron_jobs.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._jobs.add_handler(self._job_changed, lambda _, new: self._job_changed(new), self._job_changed)

    async def reconcile(self, key: str) -> float | None:
        stored: CronJob | None = self._cron_jobs.cache.get(key)
        if stored is None:
            return None
        jobs = ownership.owned(self._jobs.cache, stored)
        cron_job = await self._follow(stored, jobs)
        again: float | None = None
        try:
            if cron_job.metadata.deletion_timestamp is None and not cron_job.spec.suspend:
                cron_job, again = await self._schedule(cron_job)
            cron_job = await self._clean_up(cron_job, jobs)
        finally:
            if cron_job.status != stored.status:
                with suppress(NotFound):
                    await self.write_status(stored, cron_job.status)
        return again

    # ── what has become of its Jobs ──

    async def _follow(self, cron_job: CronJob, jobs: Sequence[Job]) -> CronJob:
        """Take those that have ended, or have gone, from the list of active ones."""
        listed = {item.uid for item in cron_job.status.active}
        for job in jobs:
            if job.metadata.uid in listed and _ending(job):
                cron_job = _without(cron_job, job.metadata.uid)
                text = f"Saw completed job: {job.metadata.name}, condition: {_ending(job)}"
                self.recorder.event(cron_job, "Normal", "SawCompletedJob", text)
            elif job.metadata.uid not in listed and not _ending(job):
                text = f"Saw a job that the controller did not create or forgot: {job.metadata.name}"
                self.recorder.event(cron_job, "Warning", "UnexpectedJob", text)
            if _ending(job) == COMPLETE:
                cron_job = _succeeded(cron_job, job)
        known = {job.metadata.uid for job in jobs}
        for item in cron_job.status.active:
            if item.uid not in known and not await self._is_there(item):
                cron_job = _without(cron_job, item.uid)
                self.recorder.event(cron_job, "Normal", "MissingJob", f"Active job went missing: {item.name}")
        return cron_job

    async def _is_there(self, reference: ObjectReference) -> bool:
        try:
            await self.client.get(Job, reference.name, reference.namespace)
        except NotFound:
            return False
        return True

    async def _clean_up(self, cron_job: CronJob, jobs: Sequence[Job]) -> CronJob:
        """Delete the oldest Jobs that have ended, beyond what the history keeps."""
        limits = (
            (COMPLETE, cron_job.spec.successful_jobs_history_limit),
            (FAILED, cron_job.spec.failed_jobs_history_limit),
        )
        for kind, limit in limits:
            if limit is not None:
                ended = sorted((job for job in jobs if _ending(job) == kind), key=_age)
                for job in ended[: max(len(ended) - limit, 0)]:
                    cron_job = await self._delete(cron_job, job)
        return cron_job

    async def _delete(self, cron_job: CronJob, job: Job) -> CronJob:
        metadata = job.metadata
        try:
            await self.client.delete(
                Job, metadata.name, metadata.namespace, uid=metadata.uid, propagation_policy="Background"
            )
        except NotFound:
            return _without(cron_job, metadata.uid)
        except ApiError as error:
            self.recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        self.recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {metadata.name}")
        return _without(cron_job, metadata.uid)

    # ── the next Job ──

    async def _schedule(self, cron_job: CronJob) -> tuple[CronJob, float | None]:
        """Make the Job that is due, if any, and return the seconds to the next time."""
        plan = self._plan(cron_job)
        if plan is None:
            return cron_job, None
        schedule, zone, due = plan
        now = self.clock.time()
        following = times.seconds_to_next(schedule, zone, now)
        if due.is_late_by_many:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self.recorder.event(cron_job, "Warning", "TooManyMissedTimes", text)
        if due.time is None or _has_had(cron_job, due.time):
            return cron_job, following
        deadline = cron_job.spec.starting_deadline_seconds
        if deadline is not None and due.time + deadline < now:
            time = datetime.fromtimestamp(due.time, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
            self.recorder.event(cron_job, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {time}")
            return cron_job, following
        if cron_job.status.active and cron_job.spec.concurrency_policy == "Forbid":
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.recorder.event(cron_job, "Normal", "JobAlreadyActive", text)
            return cron_job, following
        if cron_job.spec.concurrency_policy == "Replace":
            cron_job = await self._replace(cron_job)
        return await self._start(cron_job, due.time, zone), following

    def _plan(self, cron_job: CronJob) -> tuple[cron.Schedule, tzinfo, times.Due] | None:
        """Return the schedule, its zone and what is due; None, and an event, when one of them makes no sense."""
        text = cron_job.spec.schedule
        try:
            zone = times.zone_of(cron_job)
        except ValueError as error:
            message = f"invalid timeZone: {go_quoted(cron_job.spec.time_zone or '')}: {error}"
            self.recorder.event(cron_job, "Warning", "UnknownTimeZone", message)
            return None
        if "TZ" in text:
            message = f"CRON_TZ or TZ used in schedule {go_quoted(text)} is not officially supported"
            self.recorder.event(cron_job, "Warning", "UnsupportedSchedule", message)
        try:
            schedule = cron.parse(text)
        except ValueError as error:
            message = f"unparseable schedule: {go_quoted(text)} : {error}"
            self.recorder.event(cron_job, "Warning", "UnparseableSchedule", message)
            return None
        try:
            return schedule, zone, times.due(cron_job, schedule, zone, self.clock.time())
        except ValueError as error:
            self.recorder.event(cron_job, "Warning", "InvalidSchedule", f"invalid schedule: {text} : {error}")
            return None

    async def _replace(self, cron_job: CronJob) -> CronJob:
        """Delete the Jobs that still run."""
        for item in cron_job.status.active:
            try:
                job = await self.client.get(Job, item.name, item.namespace)
            except NotFound:
                cron_job = _without(cron_job, item.uid)
                continue
            cron_job = await self._delete(cron_job, job)
        return cron_job

    async def _start(self, cron_job: CronJob, time: float, zone: tzinfo) -> CronJob:
        wanted = _job(cron_job, time, zone)
        try:
            job = await self.client.create(wanted)
        except AlreadyExists:
            job = await self.client.get(Job, wanted.metadata.name, wanted.metadata.namespace)
            if not is_controlled_by(job, cron_job.metadata.uid):
                return cron_job
        except ApiError as error:
            if is_terminating(error):
                return cron_job
            self.recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        else:
            self.recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {job.metadata.name}")
        status = cron_job.status
        active = (
            status.active
            if any(item.uid == job.metadata.uid for item in status.active)
            else (*status.active, _reference(job))
        )
        made = replace(status, active=active, last_schedule_time=timestamps.format(time))
        return replace(cron_job, status=made)

    def _job_changed(self, job: Job) -> None:
        key = ownership.owner_key(job, "CronJob")
        if key is not None:
            self.enqueue_key(key)


def _ending(job: Job) -> str:
    """Return how a Job has ended, "" when it has not."""
    ends = (kind for kind in (COMPLETE, FAILED) if conditions.is_true(job.status.conditions, kind))
    return next(ends, "")


def _age(job: Job) -> tuple[str, str]:
    return job.status.start_time or "", job.metadata.name


def _without(cron_job: CronJob, uid: str) -> CronJob:
    active = tuple(item for item in cron_job.status.active if item.uid != uid)
    return replace(cron_job, status=replace(cron_job.status, active=active))


def _succeeded(cron_job: CronJob, job: Job) -> CronJob:
    time, status = job.status.completion_time, cron_job.status
    if time is None or (status.last_successful_time or "") >= time:
        return cron_job
    return replace(cron_job, status=replace(status, last_successful_time=time))


def _has_had(cron_job: CronJob, time: float) -> bool:
    """Tell whether the Job of a time has been made already."""
    status: CronJobStatus = cron_job.status
    listed = any(item.name == _name(cron_job, time) for item in status.active)
    return listed or status.last_schedule_time == timestamps.format(time)


def _name(cron_job: CronJob, time: float) -> str:
    return f"{cron_job.metadata.name}-{int(time) // 60}"


def _job(cron_job: CronJob, time: float, zone: tzinfo) -> Job:
    template: Any = cron_job.spec.job_template
    local = datetime.fromtimestamp(time, zone).isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata = ObjectMeta(
        name=_name(cron_job, time),
        namespace=cron_job.metadata.namespace,
        labels=template.metadata.labels,
        annotations={**template.metadata.annotations, SCHEDULED: local},
        owner_references=(ownership.owner_reference(cron_job),),
    )
    return Job(metadata=metadata, spec=template.spec)


def _reference(job: Job) -> ObjectReference:
    metadata = job.metadata
    return ObjectReference(
        kind="Job",
        api_version="batch/v1",
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
    )
