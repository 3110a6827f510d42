"""Conditions of any kind: the same rule for when one changes and when it keeps its place and time.

A condition whose status and reason stay is left as it is; another one goes to the end, with its transition time kept as long as its
status is. Upstream: the `SetCondition` functions of pkg/controller/deployment/util, replicaset and job.
"""

from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

C = TypeVar("C", bound=Struct)


def find(conditions: tuple[C, ...], kind: str) -> C | None:
    """Return the condition of a type, None when there is none."""
    return next((item for item in conditions if _of(item).type == kind), None)


def is_true(conditions: tuple[C, ...], kind: str) -> bool:
    """Tell whether there is a condition of this type, and it holds."""
    found = find(conditions, kind)
    return found is not None and _of(found).status == "True"


def without(conditions: tuple[C, ...], kind: str) -> tuple[C, ...]:
    """Return the conditions of all other types."""
    return tuple(item for item in conditions if _of(item).type != kind)


def with_condition(conditions: tuple[C, ...], made: C) -> tuple[C, ...]:
    """Return the conditions with this one; `made` has its times set to now."""
    new = _of(made)
    old = find(conditions, new.type)
    if old is not None:
        before = _of(old)
        if (before.status, before.reason) == (new.status, new.reason):
            return conditions
        if before.status == new.status:
            made = _with_transition(made, before.last_transition_time)
    return (*without(conditions, new.type), made)


def _with_transition(made: C, since: str | None) -> C:
    return replace(made, last_transition_time=since)


def _of(condition: Struct) -> Any:
    return condition
