"""Endpoints (upstream pkg/registry/core/endpoint, pkg/apis/core/validation `ValidateEndpoints`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.core_v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from pinnace.apiserver.registry.defaulting import changed, each, filled
from pinnace.apiserver.registry.printing import AGE, NAME, age, some, text
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import names
from pinnace.machinery.addresses import ip_address, ip_warnings, special_address_errors
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

Errors = Iterator[FieldError]

_MANAGED_BY, _CONTROLLER = "endpoints.kubernetes.io/managed-by", "endpoint-controller"
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def default(obj: Endpoints) -> Endpoints:
    """Fill in protocols."""

    def subset(one: EndpointSubset) -> EndpointSubset:
        return changed(one, ports=each(one.ports, lambda port: filled(port, protocol="TCP")))

    return changed(obj, subsets=each(obj.subsets, subset))


def validate(obj: Endpoints) -> Sequence[FieldError]:
    """Check addresses and ports."""
    return tuple(_errors(obj))


def _errors(obj: Endpoints) -> Errors:
    for index, subset in enumerate(obj.subsets):
        path = Path("subsets").index(index)
        if not subset.addresses and not subset.not_ready_addresses:
            yield required(path, "must specify `addresses` or `notReadyAddresses`")
        for addresses, wire in ((subset.addresses, "addresses"), (subset.not_ready_addresses, "notReadyAddresses")):
            for number, address in enumerate(addresses):
                yield from _address_errors(address, path.child(wire).index(number))
        for number, port in enumerate(subset.ports):
            yield from _port_errors(port, path.child("ports").index(number), several=len(subset.ports) > 1)


def _address_errors(address: EndpointAddress, path: Path) -> Errors:
    at = path.child("ip")
    found = ip_address(address.ip)
    yield from (invalid(at, address.ip, words) for words in found)
    if address.hostname:
        yield from (
            invalid(path.child("hostname"), address.hostname, words) for words in names.dns_label(address.hostname)
        )
    if address.node_name is not None:
        words_of = names.dns_subdomain(address.node_name)
        yield from (invalid(path.child("nodeName"), address.node_name, words) for words in words_of)
    if found:
        yield invalid(at, address.ip, "must be a valid IP address")
    else:
        yield from special_address_errors(address.ip, at)


def _port_errors(port: EndpointPort, path: Path, *, several: bool) -> Errors:
    if several and not port.name:
        yield required(path.child("name"))
    elif port.name:
        yield from (invalid(path.child("name"), port.name, words) for words in names.dns_label(port.name))
    yield from (invalid(path.child("port"), port.port, words) for words in names.port_number(port.port))
    if not port.protocol:
        yield required(path.child("protocol"))
    elif port.protocol not in _PROTOCOLS:
        yield not_supported(path.child("protocol"), port.protocol, _PROTOCOLS)
    if port.app_protocol is not None:
        at = path.child("appProtocol")
        yield from (invalid(at, port.app_protocol, words) for words in names.qualified_name(port.app_protocol))


def warnings(new: Endpoints, old: Endpoints | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of addresses that are oddly spelled; those of the controller never are."""
    if new.metadata.labels.get(_MANAGED_BY) == _CONTROLLER:
        return ()
    found: list[str] = []
    for index, subset in enumerate(new.subsets):
        path = Path("subsets").index(index)
        for addresses, wire in ((subset.addresses, "addresses"), (subset.not_ready_addresses, "notReadyAddresses")):
            for number, address in enumerate(addresses):
                found += ip_warnings(address.ip, path.child(wire).index(number).child("ip"))
    return found


def cells(obj: Endpoints, now: float) -> Sequence[Any]:
    """Return the row."""
    shown = []
    for subset in obj.subsets:
        for address in subset.addresses:
            host = f"[{address.ip}]" if ":" in address.ip else address.ip
            shown += [f"{host}:{port.port}" for port in subset.ports] or [address.ip]
    return (obj.metadata.name, some(shown), age(obj, now))


STRATEGY: Strategy[Endpoints] = Strategy(
    default=default,
    validate=validate,
    warnings=warnings,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    allow_create_on_update=True,
    columns=(NAME, text("Endpoints", "The addresses behind the Service."), AGE),
    cells=cells,
)
