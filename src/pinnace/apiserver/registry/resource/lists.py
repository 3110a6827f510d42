"""Lists and maps as the resource group checks them: items first, then their number, then what is doubled.

Upstream: pkg/apis/resource/validation `validateSlice`, `validateSet`, `validateMap`.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pinnace.machinery.field import FieldError, Path, duplicate, too_many

T = TypeVar("T")
Errors = Iterator[FieldError]
# Longer keys are cut in the middle where a path names them.
_SHORTEST_KEY = 16


def list_errors(items: Sequence[T], limit: int, check: Callable[[T, Path], Iterable[FieldError]], path: Path) -> Errors:
    """Check each item of a list, and how many there are."""
    for index, item in enumerate(items):
        yield from check(item, path.index(index))
    if len(items) > limit:
        yield too_many(path, len(items), limit)


def set_errors(
    items: Sequence[T],
    limit: int,
    check: Callable[[T, Path], Iterable[FieldError]],
    key: Callable[[T], Hashable],
    path: Path,
) -> Errors:
    """Check a list in which each key stands once."""
    yield from list_errors(items, limit, check, path)
    taken: set[Hashable] = set()
    for index, item in enumerate(items):
        if key(item) in taken:
            yield duplicate(path.index(index), key(item))
        taken.add(key(item))


def map_errors(
    members: Mapping[str, Any],
    key_limit: int,
    check_key: Callable[[str, Path], Iterable[FieldError]],
    check: Callable[[Any, Path], Iterable[FieldError]],
    path: Path,
) -> Errors:
    """Check keys and values of a map."""
    for key in sorted(members):
        at = path.key(_shortened(key, max(key_limit, _SHORTEST_KEY)))
        yield from check_key(key, at)
        yield from check(members[key], at)


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    rest = limit - 3
    return f"{text[: (rest + 1) // 2]}...{text[len(text) - rest // 2 :]}"
