"""VolumeAttributesClass (upstream pkg/registry/storage/volumeattributesclass, pkg/apis/storage/validation)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.storage_v1 import VolumeAttributesClass
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.storage.class_parameters import driver_errors, parameter_errors
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery.field import FieldError, Path, forbidden


def validate(obj: VolumeAttributesClass) -> Sequence[FieldError]:
    """Check the driver and that there are parameters."""
    return (
        *driver_errors(obj.driver_name, Path("driverName")),
        *parameter_errors(obj.parameters, Path("parameters"), may_be_empty=False),
    )


def validate_update(new: VolumeAttributesClass, old: VolumeAttributesClass) -> Sequence[FieldError]:
    """Hold both."""
    found = []
    if new.driver_name != old.driver_name:
        found.append(forbidden(Path("driverName"), "updates to driverName are forbidden."))
    if new.parameters != old.parameters:
        found.append(forbidden(Path("parameters"), "updates to parameters are forbidden."))
    return (*found, *validate(new))


def cells(obj: VolumeAttributesClass, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, obj.driver_name, age(obj, now))


STRATEGY: Strategy[VolumeAttributesClass] = Strategy(
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    delete_returns_object=True,
    columns=(NAME, text("DriverName", "The driver that knows the attributes."), AGE),
    cells=cells,
)
