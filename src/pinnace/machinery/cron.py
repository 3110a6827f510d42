"""Schedules of five fields, as `cron` has them, or by name: `*/5 * * * *`, `@hourly`, `@every 90m`.

Complaints are those of github.com/robfig/cron v3 `ParseStandard`, which clients see in a refused CronJob. A zone before the fields
(`TZ=…`, `CRON_TZ=…`) is read as well.
"""

import re
import zoneinfo
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo

from msgspec import Struct

from pinnace.machinery import durations

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_INT64 = 1 << 63
# Days in which a schedule must come round, or never does: five years, as upstream has it.
_SEARCH_DAYS = 5 * 366


class _Bounds(Struct, frozen=True):
    """What a field may say."""

    low: int
    high: int
    names: Mapping[str, int]


_FIELDS = (_Bounds(0, 59, {}), _Bounds(0, 23, {}), _Bounds(1, 31, {}), _Bounds(1, 12, _MONTHS), _Bounds(0, 6, _DAYS))


class Field(Struct, frozen=True):
    """The values a field lets through; `is_open` says that it was written with a star, so that it restricts nothing by itself."""

    values: frozenset[int]
    is_open: bool


class Schedule(Struct, frozen=True, kw_only=True):
    """Either the fields, or a fixed time between runs; the zone is None when the schedule names none."""

    minute: Field | None = None
    hour: Field | None = None
    day_of_month: Field | None = None
    month: Field | None = None
    day_of_week: Field | None = None
    every_seconds: float = 0.0
    zone: str | None = None

    def next_after(self, seconds: float, zone: tzinfo = UTC) -> float | None:
        """Return the next time after another one, both in seconds since the epoch; None when there is none within five years.

        The zone holds for schedules that name none. An hour that the clocks skip has no times, one that comes twice has them twice.
        """
        if self.every_seconds:
            return float(int(seconds)) + self.every_seconds
        if self.zone:
            zone = zoneinfo.ZoneInfo(self.zone)
        today = datetime.fromtimestamp(seconds, zone).date()
        for offset in range(_SEARCH_DAYS):
            day = today + timedelta(days=offset)
            if self._has_day(day):
                found = min((time for time in self._times(day, zone) if time > seconds), default=None)
                if found is not None:
                    return found
        return None

    def _has_day(self, day: date) -> bool:
        month, weekday, dom = self.month, self.day_of_week, self.day_of_month
        assert month is not None and weekday is not None and dom is not None  # noqa: PT018 - not a fixed time between runs
        if day.month not in month.values:
            return False
        by_date, by_weekday = day.day in dom.values, day.isoweekday() % 7 in weekday.values
        # Where both restrict, either will do.
        return (by_date and by_weekday) if dom.is_open or weekday.is_open else (by_date or by_weekday)

    def _times(self, day: date, zone: tzinfo) -> Iterator[float]:
        assert self.hour is not None and self.minute is not None  # noqa: PT018 - not a fixed time between runs
        for hour in self.hour.values:
            for minute in self.minute.values:
                for fold in (0, 1):
                    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold)
                    time = local.timestamp()
                    if datetime.fromtimestamp(time, zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                        yield time


def parse(text: str) -> Schedule:
    """Return the schedule that a text describes.

    Raises:
        ValueError: it describes none, in the library's words.
    """
    if not text:
        raise ValueError("empty spec string")
    zone = None
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, text = _split_zone(text)
    if text.startswith(_EVERY):
        return Schedule(every_seconds=_every(text), zone=zone)
    if text.startswith("@"):
        if text not in _NAMED:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _NAMED[text]
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    minute, hour, day, month, weekday = map(_field, fields, _FIELDS)
    return Schedule(minute=minute, hour=hour, day_of_month=day, month=month, day_of_week=weekday, zone=zone)


def _split_zone(text: str) -> tuple[str, str]:
    head, space, rest = text.partition(" ")
    if not space:
        raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
    name = head.partition("=")[2]
    try:
        zoneinfo.ZoneInfo(name or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"provided bad location {name}: unknown time zone {name}") from error
    return name, rest.strip()


def _every(text: str) -> float:
    duration = text.removeprefix(_EVERY)
    try:
        seconds = durations.parse(duration)
    except ValueError as error:
        raise ValueError(f"failed to parse duration {text}: {error}") from error
    # Runs are a second apart at least, and on whole seconds.
    return max(1.0, float(int(seconds)))


def _field(text: str, bounds: _Bounds) -> Field:
    values: set[int] = set()
    is_open = False
    for part in text.split(","):
        if part:
            found, star = _range(part, bounds)
            values.update(found)
            is_open = is_open or star
    return Field(frozenset(values), is_open)


def _range(text: str, bounds: _Bounds) -> tuple[range, bool]:
    span, *steps = text.split("/")
    limits = span.split("-")
    is_open = limits[0] in {"*", "?"}
    if is_open:
        first, last = bounds.low, bounds.high
    else:
        first = _number(limits[0], bounds.names)
        if len(limits) > 2:
            raise ValueError(f"too many hyphens: {text}")
        last = _number(limits[1], bounds.names) if len(limits) == 2 else first
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = 1
    if steps:
        step = _number(steps[0], {})
        # `5/15` is from 5 on.
        last = bounds.high if len(limits) == 1 else last
        is_open = is_open and step <= 1
    _check(first, last, step, bounds, text)
    return range(first, last + 1, step), is_open


def _check(first: int, last: int, step: int, bounds: _Bounds, text: str) -> None:
    if first < bounds.low:
        raise ValueError(f"beginning of range ({first}) below minimum ({bounds.low}): {text}")
    if last > bounds.high:
        raise ValueError(f"end of range ({last}) above maximum ({bounds.high}): {text}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")


def _number(text: str, names: Mapping[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    wrong = f'failed to parse int from {text}: strconv.Atoi: parsing "{text}":'
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise ValueError(f"{wrong} invalid syntax")
    number = int(text)
    if not -_INT64 <= number < _INT64:
        raise ValueError(f"{wrong} value out of range")
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
