"""CronJob (upstream pkg/registry/batch/cronjob, pkg/apis/batch/validation, pkg/apis/batch/v1 `defaults.go`)."""

import re
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.batch_v1 import CronJob, CronJobSpec, JobSpec, JobTemplateSpec
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps.workload import name_warnings
from pinnace.apiserver.registry.batch import job
from pinnace.apiserver.registry.batch.job_spec import spec_errors, spec_warnings
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.defaulting import changed, filled, maybe
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.printing import NONE, UNSET, since
from pinnace.apiserver.registry.strategy import Column, Strategy, spec_changed
from pinnace.machinery import cron, selectors
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

SUCCESSFUL_LIMIT, FAILED_LIMIT = 3, 1
POLICIES = ("Allow", "Forbid", "Replace")
# What is left of a Job's name when its time has been added (63 - 11).
NAME_LIMIT = 52
_SPEC = Path("spec")
_SCHEDULE, _ZONE, _JOB = _SPEC.child("schedule"), _SPEC.child("timeZone"), _SPEC.child("jobTemplate", "spec")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


def default(obj: CronJob) -> CronJob:
    """Fill in policy and history, and the defaults of pods; those of the Job are its own, when it is made."""
    spec = obj.spec
    job_spec = changed(
        spec.job_template.spec,
        template=pod_defaults.template(spec.job_template.spec.template),
        pod_failure_policy=maybe(spec.job_template.spec.pod_failure_policy, job.failure_policy),
    )
    successful, failed = spec.successful_jobs_history_limit, spec.failed_jobs_history_limit
    spec = replace(
        filled(spec, concurrency_policy=POLICIES[0]),
        suspend=bool(spec.suspend),
        job_template=changed(spec.job_template, spec=job_spec),
        successful_jobs_history_limit=SUCCESSFUL_LIMIT if successful is None else successful,
        failed_jobs_history_limit=FAILED_LIMIT if failed is None else failed,
    )
    return replace(obj, spec=spec)


def validate(obj: CronJob) -> Sequence[FieldError]:
    """Check the spec, and that the name leaves room for a time."""
    found = tuple(_errors(obj.spec, None))
    if len(obj.metadata.name) <= NAME_LIMIT:
        return found
    return (
        *found,
        invalid(Path("metadata", "name"), obj.metadata.name, f"must be no more than {NAME_LIMIT} characters"),
    )


def validate_update(new: CronJob, old: CronJob) -> Sequence[FieldError]:
    """Check the spec; a zone that is in use is not looked up again, and a schedule that names one may go on to."""
    return tuple(_errors(new.spec, old.spec))


def _errors(spec: CronJobSpec, old: CronJobSpec | None) -> Iterator[FieldError]:
    yield from _schedule_errors(spec, old)
    yield from not_negative(spec.starting_deadline_seconds, _SPEC.child("startingDeadlineSeconds"))
    if spec.time_zone is not None and (old is None or spec.time_zone != old.time_zone):
        yield from _zone_errors(spec.time_zone)
    if spec.concurrency_policy not in POLICIES:
        yield not_supported(_SPEC.child("concurrencyPolicy"), spec.concurrency_policy, POLICIES)
    yield from _template_errors(spec.job_template)
    yield from not_negative(spec.successful_jobs_history_limit, _SPEC.child("successfulJobsHistoryLimit"))
    yield from not_negative(spec.failed_jobs_history_limit, _SPEC.child("failedJobsHistoryLimit"))


def _schedule_errors(spec: CronJobSpec, old: CronJobSpec | None) -> Iterator[FieldError]:
    schedule = spec.schedule
    if not schedule:
        yield required(_SCHEDULE)
        return
    try:
        cron.parse(schedule)
    except ValueError as error:
        yield invalid(_SCHEDULE, schedule, str(error))
    if "TZ" not in schedule:
        return
    if old is None or "TZ" not in old.schedule:
        yield invalid(_SCHEDULE, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    elif spec.time_zone is not None:
        yield invalid(_SCHEDULE, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _zone_errors(zone: str) -> Iterator[FieldError]:
    if not zone:
        yield invalid(_ZONE, zone, "timeZone must be nil or non-empty string")
        return
    unknown = f"unknown time zone {zone}"
    if any(part in {".", ".."} or part.startswith("-") or not _ZONE_PART.fullmatch(part) for part in zone.split("/")):
        yield invalid(_ZONE, zone, unknown)
        return
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid(_ZONE, zone, text)
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield invalid(_ZONE, zone, unknown)


def _template_errors(template: JobTemplateSpec) -> Iterator[FieldError]:
    spec: JobSpec = template.spec
    yield from spec_errors(spec, _JOB)
    if spec.selector is not None:
        yield invalid(_JOB.child("selector"), spec.selector, "`selector` will be auto-generated")
    if spec.manual_selector:
        yield not_supported(_JOB.child("manualSelector"), True, ("nil", "false"))


def warnings(new: CronJob, old: CronJob | None) -> Sequence[str]:
    """Warn of an odd name, of what is deprecated in the template, and of a zone in the schedule."""
    found: list[str] = list(name_warnings(new.metadata)) if old is None else []
    if old is None or new.spec != old.spec:
        before = old.spec.job_template.spec if old is not None else None
        found += spec_warnings(new.spec.job_template.spec, before, _JOB)
    if old is not None and "TZ" in new.spec.schedule:
        found.append(
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
    return found


def cells(obj: CronJob, now: float) -> Sequence[Any]:
    """Return the row."""
    spec, status = obj.spec, obj.status
    template = spec.job_template.spec
    return (
        obj.metadata.name,
        spec.schedule,
        NONE if spec.time_zone is None else spec.time_zone,
        UNSET if spec.suspend is None else str(spec.suspend),
        len(status.active),
        NONE if status.last_schedule_time is None else since(status.last_schedule_time, now),
        columns.object_age(obj, now),
        *columns.containers_of(template.template.spec),
        selectors.format_label_selector(template.selector),
    )


STRATEGY: Strategy[CronJob] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    generation=spec_changed,
    columns=(
        columns.NAME,
        Column("Schedule", description="When Jobs are made."),
        Column("Timezone", description="The zone of the schedule."),
        Column("Suspend", "boolean", description="Whether it pauses."),
        Column("Active", "integer", description="How many of its Jobs run."),
        Column("Last Schedule", description="How long ago the last Job was made."),
        columns.AGE,
        *columns.CONTAINERS,
        columns.SELECTOR,
    ),
    cells=cells,
)
