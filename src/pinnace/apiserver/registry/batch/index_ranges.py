"""The indexes of an Indexed Job in one text: `0-2,4` (upstream pkg/apis/batch/validation `validateIndexesFormat`)."""

import re
from collections.abc import Iterator

from pinnace.machinery.field import go_quoted

_INTEGER = re.compile(r"[+-]?[0-9]+")


def count(text: str, completions: int) -> int:
    """Return how many indexes a text names.

    Raises:
        ValueError: it is wrong, in upstream's words.
    """
    total, last = 0, None
    for part in text.split(",") if text else ():
        first, end = _interval(part, completions)
        if last is not None and last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        total += end - first + 1
        last = end
    return total


def first_shared(one: str, other: str, completions: int) -> int | None:
    """Return the first index that both texts name, None when there is none; parts that are wrong count for nothing."""
    mine, theirs = list(_readable(one, completions)), list(_readable(other, completions))
    shared = (max(start, begin) for start, end in mine for begin, finish in theirs if start <= finish and begin <= end)
    return min(shared, default=None)


def _readable(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        try:
            yield _interval(part, completions)
        except ValueError:
            continue


def _interval(text: str, completions: int) -> tuple[int, int]:
    limits = text.split("-")
    if len(limits) > 2:
        raise ValueError(
            f"the fragment {go_quoted(text)} violates the requirement that an index interval can have at most two parts "
            "separated by '-'"
        )
    first, *rest = (_index(limit, completions) for limit in limits)
    if not rest:
        return first, first
    if first >= rest[0]:
        raise ValueError(f"non-increasing order, previous: {first}, current: {rest[0]}")
    return first, rest[0]


def _index(text: str, completions: int) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"cannot convert string to integer for index: {go_quoted(text)}")
    if int(text) >= completions:
        raise ValueError(f"too large index: {go_quoted(text)}")
    return int(text)
