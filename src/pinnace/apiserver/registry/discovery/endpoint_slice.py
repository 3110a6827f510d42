"""EndpointSlice (upstream pkg/registry/discovery/endpointslice, pkg/apis/discovery/validation)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.discovery_v1 import Endpoint, EndpointPort, EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.defaulting import changed, each
from pinnace.apiserver.registry.domain_names import full_name_errors
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.metadata import label_errors
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, some, text
from pinnace.apiserver.registry.strategy import Context, Strategy
from pinnace.machinery import addresses, names
from pinnace.machinery.field import (
    FieldError,
    Path,
    duplicate,
    internal,
    invalid,
    not_supported,
    required,
    too_many,
)

Errors = Iterator[FieldError]

IPV4, IPV6, FQDN = "IPv4", "IPv6", "FQDN"
ENDPOINTS_LIMIT, ADDRESSES_LIMIT, PORTS_LIMIT = 1000, 100, 20_000
TOPOLOGY_LIMIT, HINTS_LIMIT = 16, 8
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
# These spell addresses well, so nobody looks.
_CONTROLLERS = frozenset({"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"})
_ZONE = "topology.kubernetes.io/zone"
_TYPES = (FQDN, IPV4, IPV6)
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ENDPOINTS, _PORTS, _TYPE = Path("endpoints"), Path("ports"), Path("addressType")
_NO_META = ObjectMeta()


def default(obj: EndpointSlice) -> EndpointSlice:
    """Fill in names, which may be empty, and protocols of ports."""
    return changed(obj, ports=None if obj.ports is None else each(obj.ports, _default_port))


def _default_port(port: EndpointPort) -> EndpointPort:
    if port.name is not None and port.protocol is not None:
        return port
    return replace(port, name=port.name or "", protocol="TCP" if port.protocol is None else port.protocol)


def prepare_create(ctx: Context, obj: EndpointSlice) -> EndpointSlice:  # noqa: ARG001
    """Drop topology, which version 1 does not have."""
    return _without_topology(obj)


def prepare_update(ctx: Context, new: EndpointSlice, old: EndpointSlice) -> EndpointSlice:  # noqa: ARG001
    """Drop topology from endpoints that are not as they were."""
    return new if new.endpoints == old.endpoints else _without_topology(new)


def _without_topology(obj: EndpointSlice) -> EndpointSlice:
    if not any(one.deprecated_topology for one in obj.endpoints or ()):
        return obj
    return replace(obj, endpoints=tuple(replace(one, deprecated_topology={}) for one in obj.endpoints or ()))


def generation(new: EndpointSlice, old: EndpointSlice) -> bool:
    """Count on when anything but metadata changes, or the labels do."""
    if new.metadata.labels != old.metadata.labels:
        return True
    return bool(replace(new, metadata=_NO_META) != replace(old, metadata=_NO_META))


def validate(obj: EndpointSlice) -> Sequence[FieldError]:
    """Check a new slice."""
    return (*_type_errors(obj.address_type), *_port_list_errors(obj), *_endpoint_list_errors(obj))


def validate_update(new: EndpointSlice, old: EndpointSlice) -> Sequence[FieldError]:
    """Check a slice again, but not endpoints that are as they were; hold the type of addresses."""
    return (
        *_type_errors(new.address_type),
        *_port_list_errors(new),
        *(() if new.endpoints == old.endpoints else _endpoint_list_errors(new)),
        *unchanged(new.address_type, old.address_type, _TYPE),
    )


def _type_errors(kind: str) -> Errors:
    if not kind:
        yield required(_TYPE)
    elif kind not in _TYPES:
        yield not_supported(_TYPE, kind, _TYPES)


def _port_list_errors(obj: EndpointSlice) -> Errors:
    ports = obj.ports or ()
    if len(ports) > PORTS_LIMIT:
        yield too_many(_PORTS, len(ports), PORTS_LIMIT)
        return
    taken: set[str] = set()
    for index, port in enumerate(ports):
        yield from _port_errors(port, _PORTS.index(index), taken)


def _port_errors(port: EndpointPort, path: Path, taken: set[str]) -> Errors:
    name = port.name or ""
    if name:
        yield from (invalid(path.child("name"), name, words) for words in names.dns_label(name))
    if name in taken:
        yield duplicate(path.child("name"), name)
    taken.add(name)
    if port.protocol is None:
        yield required(path.child("protocol"))
    elif port.protocol not in _PROTOCOLS:
        yield not_supported(path.child("protocol"), port.protocol, _PROTOCOLS)
    if port.app_protocol is not None:
        at = path.child("appProtocol")
        yield from (invalid(at, port.app_protocol, words) for words in names.qualified_name(port.app_protocol))


def _endpoint_list_errors(obj: EndpointSlice) -> Errors:
    endpoints = obj.endpoints or ()
    if len(endpoints) > ENDPOINTS_LIMIT:
        yield too_many(_ENDPOINTS, len(endpoints), ENDPOINTS_LIMIT)
        return
    for index, endpoint in enumerate(endpoints):
        yield from _endpoint_errors(endpoint, obj.address_type, _ENDPOINTS.index(index))


def _endpoint_errors(endpoint: Endpoint, kind: str, path: Path) -> Errors:
    yield from _address_list_errors(endpoint.addresses or (), kind, path.child("addresses"))
    if endpoint.node_name is not None:
        at = path.child("nodeName")
        yield from (invalid(at, endpoint.node_name, words) for words in names.dns_subdomain(endpoint.node_name))
    at, topology = path.child("deprecatedTopology"), endpoint.deprecated_topology
    if len(topology) > TOPOLOGY_LIMIT:
        yield too_many(at, len(topology), TOPOLOGY_LIMIT)
    yield from label_errors(topology, at)
    if _ZONE in topology:
        yield internal(at.key(_ZONE), "reserved key was not removed in conversion")
    if endpoint.hostname is not None:
        yield from (
            invalid(path.child("hostname"), endpoint.hostname, words) for words in names.dns_label(endpoint.hostname)
        )
    if endpoint.hints is not None:
        at = path.child("hints")
        zones, nodes = endpoint.hints.for_zones, endpoint.hints.for_nodes
        yield from _hint_errors([one.name for one in zones], names.label_value, at.child("forZones"))
        yield from _hint_errors([one.name for one in nodes], names.dns_subdomain, at.child("forNodes"))


def _address_list_errors(found: Sequence[str], kind: str, path: Path) -> Errors:
    if not found:
        yield required(path, "must contain at least 1 address")
    elif len(found) > ADDRESSES_LIMIT:
        yield too_many(path, len(found), ADDRESSES_LIMIT)
    for index, address in enumerate(found):
        at = path.index(index)
        if kind == FQDN:
            yield from full_name_errors(address, at)
        elif kind in {IPV4, IPV6}:
            yield from _ip_errors(address, kind, path, at)


def _ip_errors(address: str, kind: str, whole: Path, path: Path) -> Errors:
    if complaints := addresses.canonical_ip_address(address):
        yield from (invalid(path, address, words) for words in complaints)
        return
    if (":" in address) != (kind == IPV6):
        # Upstream names the list rather than the address.
        yield invalid(whole, address, f"must be an {kind} address")
    yield from addresses.special_address_errors(address, path)


def _hint_errors(wanted: Sequence[str], rule: Callable[[str], Sequence[str]], path: Path) -> Errors:
    if len(wanted) > HINTS_LIMIT:
        yield too_many(path, len(wanted), HINTS_LIMIT)
        return
    taken: set[str] = set()
    for index, name in enumerate(wanted):
        at = path.index(index).child("name")
        if name in taken:
            yield duplicate(at, name)
        taken.add(name)
        yield from (invalid(at, name, words) for words in rule(name))


def warnings(new: EndpointSlice, old: EndpointSlice | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of names as addresses, and of addresses that are oddly spelled."""
    found = [f"{Path('spec', 'addressType')}: FQDN endpoints are deprecated"] if new.address_type == FQDN else []
    if new.metadata.labels.get(MANAGED_BY) in _CONTROLLERS:
        return found
    for index, endpoint in enumerate(new.endpoints or ()):
        at = _ENDPOINTS.index(index).child("addresses")
        for number, address in enumerate(endpoint.addresses or ()):
            found += addresses.ip_warnings(address, at.index(number))
    return found


def cells(obj: EndpointSlice, now: float) -> Sequence[Any]:
    """Return the row."""
    ports = [str(port.port) if port.port is not None else port.name or "" for port in obj.ports or ()]
    found = [address for endpoint in obj.endpoints or () for address in endpoint.addresses or ()]
    return (
        obj.metadata.name,
        obj.address_type,
        some(ports, none=UNSET),
        some(found, none=UNSET),
        age(obj, now),
    )


STRATEGY: Strategy[EndpointSlice] = Strategy(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    generation=generation,
    columns=(
        NAME,
        text("AddressType", "What the addresses are."),
        text("Ports", "The ports of all the endpoints."),
        text("Endpoints", "The addresses."),
        AGE,
    ),
    cells=cells,
)
