"""CSIStorageCapacity (upstream pkg/registry/storage/csistoragecapacity, pkg/apis/storage/validation)."""

from collections.abc import Sequence

from pinnace.api.storage_v1 import CSIStorageCapacity
from pinnace.apiserver.registry.core.label_warnings import selector_warnings
from pinnace.apiserver.registry.immutable import IMMUTABLE
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, invalid

_TOPOLOGY = Path("nodeTopology")
_CLASS = Path("storageClassName")


def validate(obj: CSIStorageCapacity) -> Sequence[FieldError]:
    """Check topology, class and size."""
    found = [*selector_errors(obj.node_topology, _TOPOLOGY)]
    found += (invalid(_CLASS, obj.storage_class_name, words) for words in names.dns_subdomain(obj.storage_class_name))
    if obj.capacity is not None and quantity.parse(obj.capacity).nanos < 0:
        found.append(invalid(Path("capacity"), obj.capacity, "must be greater than or equal to 0"))
    return found


def validate_update(new: CSIStorageCapacity, old: CSIStorageCapacity) -> Sequence[FieldError]:
    """Hold what was asked of the driver."""
    found = []
    if new.node_topology != old.node_topology:
        found.append(invalid(_TOPOLOGY, new.node_topology, IMMUTABLE))
    if new.storage_class_name != old.storage_class_name:
        found.append(invalid(_CLASS, new.storage_class_name, IMMUTABLE))
    return found


def warnings(new: CSIStorageCapacity, old: CSIStorageCapacity | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of labels that went out of use."""
    return tuple(selector_warnings(new.node_topology, _TOPOLOGY))


STRATEGY: Strategy[CSIStorageCapacity] = Strategy(
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    allow_unconditional_update=False,
)
