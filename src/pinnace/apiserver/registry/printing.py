"""Pieces of tables that many kinds share (upstream pkg/printers/internalversion)."""

from collections.abc import Iterable, Mapping
from typing import Any

from pinnace.api.core_v1 import Container
from pinnace.apiserver.registry.strategy import Column
from pinnace.machinery import human, timestamps

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"

NAME = Column("Name", format="name", description="The object's name, unique within its namespace.")
AGE = Column("Age", description="How long ago the object was made.")


def text(name: str, description: str = "", *, wide: bool = False) -> Column:
    """Return a column of text."""
    return Column(name, description=description or name, priority=1 if wide else 0)


def integer(name: str, description: str = "") -> Column:
    """Return a column of whole numbers."""
    return Column(name, type="integer", description=description or name)


def boolean(name: str, description: str = "") -> Column:
    """Return a column of true and false."""
    return Column(name, type="boolean", description=description or name)


def since(time: str | None, now: float) -> str:
    """Return how long ago a time was, `<unknown>` when there is none."""
    return human.duration(timestamps.age_seconds(time, now))


def age(obj: Any, now: float) -> str:
    """Return an object's age."""
    return since(obj.metadata.creation_timestamp, now)


def labels(pairs: Mapping[str, str]) -> str:
    """Return labels as `a=b,c=d`, `<none>` when there are none."""
    return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs)) or NONE


def names_of(containers: Iterable[Container]) -> str:
    """Return containers' names in one cell."""
    return ",".join(container.name for container in containers)


def images_of(containers: Iterable[Container]) -> str:
    """Return containers' images in one cell."""
    return ",".join(container.image for container in containers)


def some(items: list[str], limit: int = 3, *, none: str = NONE) -> str:
    """Return the first items and how many more there are, a word for none when there are none."""
    if not any(items):
        return none
    shown = ",".join(items[:limit])
    return f"{shown} + {len(items) - limit} more..." if len(items) > limit else shown
