"""Durations as tables show them (upstream apimachinery `pkg/util/duration`)."""

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


def duration(seconds: float | None) -> str:
    """Return a duration in at most two units: `90s`, `5m30s`, `4h10m`, `3d4h`, `2y90d`."""
    if seconds is None:
        return "<unknown>"
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    if whole < 2 * MINUTE:
        return f"{whole}s"
    if whole < 10 * MINUTE:
        return _two(whole // MINUTE, "m", whole % MINUTE, "s")
    if whole < 3 * HOUR:
        return f"{whole // MINUTE}m"
    if whole < 8 * HOUR:
        return _two(whole // HOUR, "h", whole % HOUR // MINUTE, "m")
    if whole < 2 * DAY:
        return f"{whole // HOUR}h"
    if whole < 8 * DAY:
        return _two(whole // DAY, "d", whole % DAY // HOUR, "h")
    if whole < 2 * YEAR:
        return f"{whole // DAY}d"
    if whole < 8 * YEAR:
        return _two(whole // YEAR, "y", whole % YEAR // DAY, "d")
    return f"{whole // YEAR}y"


def _two(large: int, unit: str, small: int, subunit: str) -> str:
    return f"{large}{unit}{small}{subunit}" if small else f"{large}{unit}"
