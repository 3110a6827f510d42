"""IPAddress (upstream pkg/registry/networking/ipaddress, pkg/apis/networking/validation `ValidateIPAddress`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.networking_v1 import IPAddress
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.networking.references import segment_errors
from pinnace.apiserver.registry.printing import NAME, NONE, age, text
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import addresses, names
from pinnace.machinery.field import FieldError, Path, invalid, required

_PARENT = Path("spec", "parentRef")


def name_errors(name: str, prefix: bool) -> Sequence[str]:  # noqa: ARG001, FBT001
    """Check that the name is the address; none is ever generated."""
    return addresses.canonical_ip_address(name)


def validate(obj: IPAddress) -> Sequence[FieldError]:
    """Check what the address belongs to."""
    return tuple(_errors(obj))


def _errors(obj: IPAddress) -> Iterator[FieldError]:
    parent = obj.spec.parent_ref
    if parent is None:
        yield required(_PARENT)
        return
    if parent.group:
        yield from (invalid(_PARENT.child("group"), parent.group, words) for words in names.dns_subdomain(parent.group))
    yield from segment_errors(parent.resource, _PARENT.child("resource"))
    yield from segment_errors(parent.name, _PARENT.child("name"))
    if parent.namespace:
        yield from segment_errors(parent.namespace, _PARENT.child("namespace"))


def validate_update(new: IPAddress, old: IPAddress) -> Sequence[FieldError]:
    """Hold what the address belongs to."""
    return tuple(unchanged(new.spec.parent_ref, old.spec.parent_ref, _PARENT))


def cells(obj: IPAddress, now: float) -> Sequence[Any]:
    """Return the row, which has a cell more than there are columns: the age."""
    parent = obj.spec.parent_ref
    shown = NONE
    if parent is not None:
        resource = f"{parent.resource}.{parent.group}" if parent.group else parent.resource
        shown = "/".join(part for part in (resource, parent.namespace, parent.name) if part)
    return (obj.metadata.name, shown, age(obj, now))


STRATEGY: Strategy[IPAddress] = Strategy(
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    name_errors=name_errors,
    columns=(NAME, text("ParentRef", "What the address belongs to.")),
    cells=cells,
)
