"""Columns and cells that many kinds' tables have."""

from collections.abc import Iterable
from typing import Any

from pinnace.api.core_v1 import PodSpec
from pinnace.apiserver.registry.strategy import Column
from pinnace.machinery import human, timestamps

NONE = "<none>"
NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="How long ago the object was created.")
CONTAINERS = (
    Column("Containers", priority=1, description="Names of the template's containers."),
    Column("Images", priority=1, description="Images of the template's containers."),
)
SELECTOR = Column("Selector", priority=1, description="Which pods the object selects.")


def age(timestamp: str | None, now: float) -> str:
    """Return how long ago a time was, in a few letters."""
    return human.duration(timestamps.age_seconds(timestamp, now))


def object_age(obj: Any, now: float) -> str:
    """Return how old an object is."""
    return age(obj.metadata.creation_timestamp, now)


def containers_of(spec: PodSpec) -> tuple[str, str]:
    """Return the names and the images of a pod's containers."""
    return ",".join(item.name for item in spec.containers), ",".join(item.image for item in spec.containers)


def joined(values: Iterable[str]) -> str:
    """Return texts with commas between, or the word for none."""
    return ",".join(values) or NONE
