"""Cron schedules: what they let through, and the words they are refused with."""

import zoneinfo
from datetime import UTC, datetime

import pytest

from pinnace.machinery import cron


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "empty spec string", id="empty"),
        pytest.param("* * *", "expected exactly 5 fields, found 3: [* * *]", id="too few fields"),
        pytest.param("61 * * * *", "end of range (61) above maximum (59): 61", id="above"),
        pytest.param("* * 0 * *", "beginning of range (0) below minimum (1): 0", id="below"),
        pytest.param("30-10 * * * *", "beginning of range (30) beyond end of range (10): 30-10", id="backwards"),
        pytest.param("*/0 * * * *", "step of range should be a positive number: */0", id="no step"),
        pytest.param("1-2-3 * * * *", "too many hyphens: 1-2-3", id="hyphens"),
        pytest.param("*/2/3 * * * *", "too many slashes: */2/3", id="slashes"),
        pytest.param("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax', id="text"),
        pytest.param(
            "* * * juin *", 'failed to parse int from juin: strconv.Atoi: parsing "juin": invalid syntax', id="month"
        ),
        pytest.param(
            "99999999999999999999 * * * *",
            'failed to parse int from 99999999999999999999: strconv.Atoi: parsing "99999999999999999999": value out of range',
            id="huge",
        ),
        pytest.param("@sometimes", "unrecognized descriptor: @sometimes", id="descriptor"),
        pytest.param("@every x", 'failed to parse duration @every x: time: invalid duration "x"', id="duration"),
        pytest.param("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"', id="unit"),
        pytest.param("TZ=Moon * * * * *", "provided bad location Moon: unknown time zone Moon", id="zone"),
    ],
)
def test_schedule_is_refused(text, complaint):
    """The words are the library's."""
    with pytest.raises(ValueError) as refused:
        cron.parse(text)
    assert str(refused.value) == complaint


@pytest.mark.parametrize(
    ("text", "minutes", "is_open"),
    [
        pytest.param("*", range(60), True, id="star"),
        pytest.param("?", range(60), True, id="question mark"),
        pytest.param("*/20", (0, 20, 40), False, id="every twentieth"),
        pytest.param("*/1", range(60), True, id="every single one"),
        pytest.param("50/5", (50, 55), False, id="from one on"),
        pytest.param("1-3,30,,58-59", (1, 2, 3, 30, 58, 59), False, id="list"),
    ],
)
def test_schedule_field_lets_values_through(text, minutes, is_open):
    """A field is a list of values, ranges and steps."""
    field = cron.parse(f"{text} * * * *").minute
    assert (field.values, field.is_open) == (frozenset(minutes), is_open)


def test_schedule_knows_names():
    """Months and days have names, and so have common schedules."""
    named = cron.parse("0 0 1 JAN,dec mon-Fri")
    assert (named.month.values, named.day_of_week.values) == ({1, 12}, {1, 2, 3, 4, 5})
    assert cron.parse("@weekly") == cron.parse("0 0 * * 0")


@pytest.mark.parametrize(
    ("text", "seconds", "zone"),
    [
        pytest.param("@every 1h30m", 5400.0, None, id="long"),
        pytest.param("@every 1500ms", 1.0, None, id="whole seconds"),
        pytest.param("CRON_TZ=Etc/UTC @every 0", 1.0, "Etc/UTC", id="at least a second"),
    ],
)
def test_schedule_repeats_after_a_fixed_time(text, seconds, zone):
    """`@every` takes a duration as Go writes it."""
    schedule = cron.parse(text)
    assert (schedule.every_seconds, schedule.zone, schedule.minute) == (seconds, zone, None)


def _seconds(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "after", "following"),
    [
        pytest.param("*/15 * * * *", "2026-01-01T00:00:00+00:00", "2026-01-01T00:15:00+00:00", id="strictly after"),
        pytest.param("0 0 1 * *", "2026-01-31T12:00:00+00:00", "2026-02-01T00:00:00+00:00", id="month"),
        pytest.param("0 0 29 2 *", "2026-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00", id="leap day"),
        pytest.param("0 0 13 * 5", "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00", id="either day"),
        pytest.param("0 0 13 * *", "2026-01-01T00:00:00+00:00", "2026-01-13T00:00:00+00:00", id="date alone"),
        pytest.param("0 0 * * 0", "2026-01-01T00:00:00+00:00", "2026-01-04T00:00:00+00:00", id="sunday"),
        pytest.param("@every 90s", "2026-01-01T00:00:00.700+00:00", "2026-01-01T00:01:30+00:00", id="every"),
        pytest.param(
            "TZ=Asia/Kolkata 0 0 * * *", "2026-01-01T00:00:00+00:00", "2026-01-01T18:30:00+00:00", id="own zone"
        ),
        pytest.param("30 2 * * *", "2026-03-28T12:00:00+00:00", "2026-03-30T02:30:00+02:00", id="hour that is skipped"),
        pytest.param(
            "30 2 * * *", "2026-10-24T12:00:00+00:00", "2026-10-25T00:30:00+00:00", id="hour that comes twice"
        ),
        pytest.param("30 2 * * *", "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00", id="its second time"),
    ],
)
def test_schedule_says_when_it_comes_next(text, after, following):
    """The zone's clock is what counts (Berlin's here), also where it jumps."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin") if "2 * * *" in text else UTC
    assert cron.parse(text).next_after(_seconds(after), zone) == _seconds(following)


def test_schedule_may_never_come():
    """There is no such day."""
    assert cron.parse("0 0 31 2 *").next_after(_seconds("2026-01-01T00:00:00+00:00")) is None
