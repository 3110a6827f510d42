"""Filling in fields that were left out.

Defaulting must be idempotent and cheap, since it runs on every object that is sent: an object that lacks nothing comes back as it
is.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

T = TypeVar("T", bound=Struct)
I = TypeVar("I")  # noqa: E741 - an item


def is_unset(value: Any) -> bool:
    """Tell whether a field is absent as far as defaults go: None, empty text or zero; never False."""
    return value is None or (not isinstance(value, bool) and value in ("", 0))


def filled(obj: T, **defaults: Any) -> T:
    """Return the object with defaults for those of the named fields that are unset."""
    missing = {name: value for name, value in defaults.items() if is_unset(getattr(obj, name))}
    return replace(obj, **missing) if missing else obj


def changed(obj: T, **values: Any) -> T:
    """Return the object with these values, the object itself when it has them all."""
    different = {name: value for name, value in values.items() if getattr(obj, name) is not value}
    return replace(obj, **different) if different else obj


def each(items: tuple[I, ...], default: Callable[[I], I]) -> tuple[I, ...]:
    """Return the items after their defaults, the same tuple when no item lacks anything."""
    result = tuple(default(item) for item in items)
    return items if all(new is old for new, old in zip(result, items, strict=True)) else result


def maybe(obj: I | None, default: Callable[[I], I]) -> I | None:
    """Return an optional member after its defaults."""
    return None if obj is None else default(obj)
