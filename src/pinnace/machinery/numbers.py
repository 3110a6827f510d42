"""Numbers in requests, read as Go reads them, with Go's complaints; pure. Upstream: Go's `strconv`."""

import re

_INT64 = range(-(1 << 63), 1 << 63)
_UINT64 = range(1 << 64)
# Python refuses to read numbers of thousands of digits; so many are out of every range.
_MOST_DIGITS = 20


def parse_int(text: str) -> int:
    """Read a signed number of 64 bits.

    Raises:
        ValueError: it is none; the text is Go's.
    """
    return _parse("ParseInt", r"[+-]?[0-9]+", _INT64, text)


def parse_uint(text: str) -> int:
    """Read an unsigned number of 64 bits.

    Raises:
        ValueError: it is none; the text is Go's.
    """
    return _parse("ParseUint", r"[0-9]+", _UINT64, text)


def _parse(function: str, shape: str, allowed: range, text: str) -> int:
    if not re.fullmatch(shape, text):
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    digits = text.lstrip("+-0") or "0"
    value = int(digits) if len(digits) <= _MOST_DIGITS else _UINT64.stop
    value = -value if text.startswith("-") else value
    if value not in allowed:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value
