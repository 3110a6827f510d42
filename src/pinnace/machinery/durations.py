"""Durations as Go writes them: `1h30m`, `34s`, `1.5s`, `100ms`; errors in the words of Go's `time.ParseDuration`. Pure."""

import re

from pinnace.machinery.field import go_quoted

# Seconds; the two letters for millionths look alike and are not.
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(?P<number>[0-9]*(?:\.[0-9]*)?)(?P<unit>[^0-9.]*)")
# Go counts nanoseconds in 63 bits.
_MOST_SECONDS = (2**63 - 1) / 1e9


def parse(text: str) -> float:
    """Return seconds.

    Raises:
        ValueError: it is no duration.
    """
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {go_quoted(text)}")
    total = 0.0
    while rest:
        part = _PART.match(rest)
        assert part is not None, "every part of it may be empty"
        number, unit = part["number"], part["unit"]
        if number in {"", "."}:
            raise ValueError(f"time: invalid duration {go_quoted(text)}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {go_quoted(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {go_quoted(unit)} in duration {go_quoted(text)}")
        total += float(number) * _UNITS[unit]
        rest = rest[part.end() :]
    if total > _MOST_SECONDS:
        raise ValueError(f"time: invalid duration {go_quoted(text)}")
    return -total if text.startswith("-") else total


def show(seconds: float) -> str:
    """Return a duration as Go prints it, cut to milliseconds: `1h0m0s`, `1m30.5s`, `250ms`, `0s`."""
    sign, millis = "-" if seconds < 0 else "", int(abs(seconds) * 1000)
    if millis < 1000:
        return f"{sign}{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if not minutes:
        return sign + text
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes}m{text}" if hours else f"{sign}{minutes}m{text}"
