"""When a CronJob's next Job is due, and which of those missed still is (pkg/controller/cronjob `utils.go`)."""

import zoneinfo
from datetime import UTC, tzinfo

from msgspec import Struct

from pinnace.api.batch_v1 import CronJob
from pinnace.machinery import cron, timestamps

# Times missed beyond which something is wrong with the clock, or the controller was away for long.
MANY_MISSED = 100
# How long after a time its Job is made, so that clocks that differ a little do not make it early.
DELTA_SECONDS = 0.1


class Due(Struct, frozen=True):
    """The latest time that has come, in seconds since the epoch, None when none has; and whether very many were missed."""

    time: float | None = None
    is_late_by_many: bool = False


def zone_of(cron_job: CronJob) -> tzinfo:
    """Return the zone of a CronJob.

    Raises:
        ValueError: there is none of that name.
    """
    name = cron_job.spec.time_zone
    if not name:
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"unknown time zone {name}") from error


def due(cron_job: CronJob, schedule: cron.Schedule, zone: tzinfo, now: float) -> Due:
    """Return the latest time that has come since the last Job, or since the CronJob was made; those past its deadline do not count.

    Raises:
        ValueError: the schedule has two times at once.
    """
    since = cron_job.status.last_schedule_time or cron_job.metadata.creation_timestamp
    earliest = timestamps.parse(since) if since else now
    deadline = cron_job.spec.starting_deadline_seconds
    if deadline is not None:
        earliest = max(earliest, now - deadline)
    first = schedule.next_after(earliest, zone)
    if first is None or now < first:
        return Due()
    second = schedule.next_after(first, zone)
    if second is None or now < second:
        return Due(first)
    between = int(second - first)
    if between < 1:
        raise ValueError("time difference between two schedules is less than 1 second")
    missed = int(now - first) // between + 1
    # The times need not be evenly spaced; a little before the estimate they are gone through one by one.
    latest, following = None, schedule.next_after(first + max(missed - 2, 0) * between, zone)
    while following is not None and following <= now:
        latest, following = following, schedule.next_after(following, zone)
    return Due(latest, missed > MANY_MISSED)


def seconds_to_next(schedule: cron.Schedule, zone: tzinfo, now: float) -> float | None:
    """Return how long to wait for the next time."""
    following = schedule.next_after(now, zone)
    return None if following is None else following - now + DELTA_SECONDS
