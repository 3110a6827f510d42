"""CSINode (upstream pkg/registry/storage/csinode, pkg/apis/storage/validation `ValidateCSINode`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.storage_v1 import CSINode, CSINodeDriver
from pinnace.apiserver.registry.core.validation.volumes import driver_name_errors
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.printing import AGE, NAME, age, integer
from pinnace.apiserver.registry.strategy import Context, Strategy
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, required

Errors = Iterator[FieldError]

# Characters of a driver's own name for a node.
NODE_ID_LIMIT = 192
_DRIVERS = Path("spec", "drivers")


def prepare_create(ctx: Context, obj: CSINode) -> CSINode:  # noqa: ARG001
    """Keep no empty lists, as upstream's store does not."""
    drivers = tuple(
        replace(one, topology_keys=None) if one.topology_keys == () else one for one in obj.spec.drivers or ()
    )
    return replace(obj, spec=replace(obj.spec, drivers=drivers or None))


def prepare_update(ctx: Context, new: CSINode, old: CSINode) -> CSINode:  # noqa: ARG001
    """Keep no empty lists."""
    return prepare_create(ctx, new)


def validate(obj: CSINode) -> Sequence[FieldError]:
    """Check the drivers."""
    found: list[FieldError] = []
    taken: set[str] = set()
    for index, driver in enumerate(obj.spec.drivers or ()):
        path = _DRIVERS.index(index)
        found += _driver_errors(driver, path)
        if driver.name in taken:
            found.append(duplicate(path.child("name"), driver.name))
        taken.add(driver.name)
        found += _topology_errors(driver.topology_keys or (), path)
    return found


def _driver_errors(driver: CSINodeDriver, path: Path) -> Errors:
    yield from driver_name_errors(driver.name, path.child("name"))
    if not driver.node_id:
        yield required(path.child("nodeID"))
    if len(driver.node_id.encode()) > NODE_ID_LIMIT:
        yield invalid(path.child("nodeID"), driver.node_id, f"must be {NODE_ID_LIMIT} characters or less")
    if driver.allocatable is not None:
        yield from not_negative(driver.allocatable.count, path.child("allocatable").child("count"))


def _topology_errors(keys: Sequence[str], path: Path) -> Errors:
    taken: set[str] = set()
    for key in keys:
        if not key:
            yield required(path)
        if key in taken:
            yield duplicate(path, key)
        taken.add(key)
        yield from (invalid(path, key, words) for words in names.qualified_name(key))


def validate_update(new: CSINode, old: CSINode) -> Sequence[FieldError]:
    """Hold each driver but for what it can attach."""
    known = {one.name: one for one in old.spec.drivers or ()}
    found: list[FieldError] = []
    for driver in new.spec.drivers or ():
        before = known.get(driver.name)
        if before is not None:
            found += unchanged(replace(driver, allocatable=None), replace(before, allocatable=None), _DRIVERS)
    return found


def cells(obj: CSINode, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, len(obj.spec.drivers or ()), age(obj, now))


STRATEGY: Strategy[CSINode] = Strategy(
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    allow_unconditional_update=False,
    delete_returns_object=True,
    columns=(NAME, integer("Drivers", "How many drivers the node has."), AGE),
    cells=cells,
)
