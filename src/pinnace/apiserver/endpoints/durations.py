"""Durations as Go writes them: `1h30m`, `34s`, `1.5s`, `100ms`."""

import re

from pinnace.machinery.errors import BadRequest

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return seconds.

    Raises:
        BadRequest: it is no duration, in Go's words.
    """
    rest = text.lstrip("+-")
    if rest == "0":
        return 0.0
    total, end = 0.0, 0
    for part in _PART.finditer(rest):
        if part.start() != end:
            break
        total += float(part[1]) * _UNITS[part[2]]
        end = part.end()
    if not rest or end != len(rest):
        reason = "missing unit in duration" if re.fullmatch(r"[0-9.]+", rest) else "invalid duration"
        raise BadRequest(f'invalid timeout specified in the request URL: time: {reason} "{text}"')
    return -total if text.startswith("-") else total
