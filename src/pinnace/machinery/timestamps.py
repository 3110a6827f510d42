"""Time on the wire: RFC 3339 texts to seconds since the epoch and back.

A Time has whole seconds (`2026-01-02T15:04:05Z`), a MicroTime exactly six digits of a second. Upstream: metav1 `Time`,
`MicroTime`; RFC 3339.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from pinnace.machinery.memo import remember_short

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")


def format(seconds: float) -> str:  # noqa: A001 - read as timestamps.format
    """Return seconds since the epoch as a Time; fractions are dropped."""
    return _format(int(seconds // 1))


# Everything that happens within a second is stamped alike, and most stamps are of now.
@lru_cache(maxsize=64)
def _format(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro(seconds: float) -> str:
    """Return seconds since the epoch as a MicroTime."""
    micros = round(seconds * 1_000_000)
    return f"{format(micros // 1_000_000)[:-1]}.{micros % 1_000_000:06d}Z"


@remember_short
def parse(text: str) -> float:
    """Return seconds since the epoch of a Time or MicroTime.

    Raises:
        ValueError: it is neither.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    *numbers, fraction, zone = match.groups()
    offset = timedelta(0)
    if zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    year, month, day, hour, minute, second = map(int, numbers)
    moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def canonical(text: str) -> str:
    """Return a Time as it is stored: UTC, whole seconds.

    Raises:
        ValueError: it is no time.
    """
    # Nearly all are stored already; longer ones are not kept, since a fraction may be of any length.
    return _canonical(text) if len(text) == _STORED_LENGTH else format(parse(text))


_STORED_LENGTH = len("2006-01-02T15:04:05Z")


@lru_cache(maxsize=1024)
def _canonical(text: str) -> str:
    return format(parse(text))


def age_seconds(text: str | None, now: float) -> float | None:
    """Return how long ago a Time was, None when it is unset or unreadable."""
    if not text:
        return None
    try:
        return now - parse(text)
    except ValueError:
        return None
