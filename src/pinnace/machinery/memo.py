"""Results of pure functions over frozen values, kept by the value's identity.

Pods of one template carry the same spec, and the API server keeps one frozen struct for all of them. What is derived from such a
struct (defaults, validation, what admission adds) is worked out once for the struct, not once for every pod. Identity stands in
for equality because comparing, or hashing, a spec would cost as much as the work that is saved. Invariant: a kept value cannot
be collected, so its identity is never another value's.

What is read out of a text that clients send (a selector, a path, a query) is remembered by the text, when it is short: the same few come
again and again, and nobody can fill the memory with long ones.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache, wraps
from threading import Lock
from typing import Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
V = TypeVar("V")
R = TypeVar("R")

# Values remembered by one memo: more than a busy cluster has templates at a time, little enough to forget about its memory.
LIMIT = 512
# Texts remembered for one function, and characters of one: half a megabyte at most.
TEXTS_LIMIT, TEXT_LIMIT_CHARACTERS = 1024, 512
# Characters of a key that is made of a request's user and place: enough for dozens of groups, few enough for ten thousand keys.
KEY_LIMIT_CHARACTERS = 2048


class Memo(Generic[V, R]):
    """A pure function of one frozen value and a few hashable ones; what was asked for first is forgotten first."""

    __slots__ = ("_changing", "_function", "_known", "_limit")

    def __init__(self, function: Callable[..., R], limit: int = LIMIT) -> None:
        self._function = function
        self._limit = limit
        self._known: dict[tuple[Hashable, ...], tuple[V, R]] = {}
        # Large objects are worked on beside the event loop.
        self._changing = Lock()

    def __call__(self, value: V, *rest: Hashable) -> R:
        """Return the function's result; exceptions are not kept."""
        key = (id(value), *rest)
        known = self._known.get(key)
        if known is not None:
            return known[1]
        result = self._function(value, *rest)
        with self._changing:
            if len(self._known) >= self._limit:
                del self._known[next(iter(self._known))]
            self._known[key] = (value, result)
        return result


def is_short(key: Iterable[str | tuple[str, ...]]) -> bool:
    """Tell whether a key of texts, and tuples of texts, may be remembered: clients choose them, as long as a request may be."""
    characters = sum(len(part) if isinstance(part, str) else sum(map(len, part)) for part in key)
    return characters <= KEY_LIMIT_CHARACTERS


def remember_short(function: Callable[Concatenate[str, P], R]) -> Callable[Concatenate[str, P], R]:
    """Remember the results of a pure function of a text and a few hashable values; those used least are forgotten first.

    Results are shared, and must not be changed; exceptions are not kept.
    """
    known: Callable[Concatenate[str, P], R] = lru_cache(maxsize=TEXTS_LIMIT)(function)  # type: ignore[assignment] # keeps the signature

    @wraps(function)
    def look_up(text: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return (known if len(text) <= TEXT_LIMIT_CHARACTERS else function)(text, *args, **kwargs)

    return look_up
