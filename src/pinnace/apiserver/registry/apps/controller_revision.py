"""ControllerRevision (upstream pkg/registry/apps/controllerrevision, pkg/apis/apps/validation)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.apps_v1 import ControllerRevision
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.printing import AGE, NAME, NONE, age, text
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery.field import FieldError, Path, required

_DATA = Path("data")


def validate(obj: ControllerRevision) -> Sequence[FieldError]:
    """Check that there is something to go back to, and the number."""
    found = [required(_DATA, "data is mandatory")] if not obj.data else []
    return (*found, *not_negative(obj.revision, Path("revision")))


def validate_update(new: ControllerRevision, old: ControllerRevision) -> Sequence[FieldError]:
    """Hold the data."""
    return tuple(unchanged(new.data, old.data, _DATA))


def cells(obj: ControllerRevision, now: float) -> Sequence[Any]:
    """Return the row."""
    owner = next((one for one in obj.metadata.owner_references if one.controller), None)
    shown = NONE
    if owner is not None:
        group = owner.api_version.rpartition("/")[0]
        kind = owner.kind.lower()
        shown = f"{kind}.{group}/{owner.name}" if group else f"{kind}/{owner.name}"
    return (obj.metadata.name, shown, obj.revision, age(obj, now))


STRATEGY: Strategy[ControllerRevision] = Strategy(
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, text("Controller"), text("Revision"), AGE),
    cells=cells,
)
