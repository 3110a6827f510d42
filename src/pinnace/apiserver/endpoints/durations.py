"""Durations that clients give in the addresses of their requests."""

from pinnace.machinery import durations
from pinnace.machinery.errors import BadRequest


def parse_duration(text: str) -> float:
    """Return seconds.

    Raises:
        BadRequest: it is no duration.
    """
    try:
        return durations.parse(text)
    except ValueError as error:
        raise BadRequest(f"invalid timeout specified in the request URL - {error}") from error
