"""Finding what a selector picks, and who picks an object, without looking at everything.

Objects are entered under each of their labels, selectors under one of theirs; the rest of the selector is checked on what that gives.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from pinnace.client import Cache

T = TypeVar("T", bound=Struct)

_LABELS, _SELECTED = "labels", "selected by"


def add_label_index(cache: Cache[Any]) -> None:
    """Let objects be found by their labels."""
    cache.add_index(_LABELS, lambda obj: _pairs(obj.metadata.namespace, obj.metadata.labels))


def add_selector_index(cache: Cache[Any], selector: Callable[[Any], Mapping[str, str]]) -> None:
    """Let objects with a selector be found by what they select; one that selects by nothing is not found."""

    def first(obj: Any) -> tuple[str, ...]:
        return _pairs(obj.metadata.namespace, _narrowest(selector(obj)))

    cache.add_index(_SELECTED, first)


def selected(cache: Cache[T], namespace: str, labels: Mapping[str, str]) -> Iterable[T]:
    """Return the objects of a namespace that have all these labels; there must be one label at least."""
    (pair,) = _pairs(namespace, _narrowest(labels))
    return [obj for obj in cache.by_index(_LABELS, pair) if _has(obj, labels)]


def selecting(cache: Cache[T], obj: Any, selector: Callable[[T], Mapping[str, str]]) -> Iterable[T]:
    """Return the objects whose selector picks this one."""
    labels = obj.metadata.labels
    for pair in _pairs(obj.metadata.namespace, labels):
        for found in cache.by_index(_SELECTED, pair):
            if all(labels.get(name) == value for name, value in selector(found).items()):
                yield found


def _pairs(namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{namespace}/{name}={value}" for name, value in labels.items())


def _narrowest(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return one of the labels, always the same."""
    return dict([min(labels.items())]) if labels else {}


def _has(obj: Any, labels: Mapping[str, str]) -> bool:
    present = obj.metadata.labels
    return all(present.get(name) == value for name, value in labels.items())
