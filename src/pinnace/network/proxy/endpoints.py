"""Which endpoints traffic to a Service goes to, on this node.

Ready endpoints first; when there are none, those that still serve while they end. Hints of the slices narrow the choice to this
node or its zone, when every ready endpoint has one. Upstream: pkg/proxy `topology.go`, `endpointslicecache.go`.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from pinnace.api.discovery_v1 import Endpoint, EndpointSlice
from pinnace.network.proxy.service_ports import PortName, ServicePort

SERVICE_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
_FAMILIES = {"IPv4": 4, "IPv6": 6}


class Backend(Struct, frozen=True, order=True):
    """One endpoint of a port."""

    address: str
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    @property
    def target(self) -> tuple[str, int]:
        return self.address, self.port


class Place(Struct, frozen=True):
    """Where this proxy stands."""

    node: str
    zone: str = ""


class Choice(Struct, frozen=True):
    """The endpoints of a port by policy; `any` tells whether there is one anywhere that could serve."""

    cluster: tuple[Backend, ...] = ()
    local: tuple[Backend, ...] = ()
    any: bool = False


def backends(slices: Iterable[EndpointSlice]) -> dict[PortName, tuple[Backend, ...]]:
    """Return the endpoints of one Service by port, in the order of their addresses; of two entries for one the better."""
    found: dict[PortName, dict[tuple[str, int], Backend]] = {}
    for one in slices:
        family = _FAMILIES.get(one.address_type)
        service = one.metadata.labels.get(SERVICE_LABEL, "")
        if family is None or not service or HEADLESS_LABEL in one.metadata.labels:
            continue
        for port in one.ports or ():
            if not port.port:
                continue
            protocol = (port.protocol or "TCP").lower()
            name = PortName(one.metadata.namespace, service, port.name or "", protocol, family)
            known = found.setdefault(name, {})
            for backend in _of_slice(one.endpoints or (), port.port):
                other = known.get(backend.target)
                if other is None or (backend.ready, backend.serving) > (other.ready, other.serving):
                    known[backend.target] = backend
    return {name: tuple(sorted(known.values())) for name, known in found.items()}


def _of_slice(endpoints: Sequence[Endpoint], port: int) -> Iterator[Backend]:
    for endpoint in endpoints:
        if not endpoint.addresses:
            continue
        conditions, hints = endpoint.conditions, endpoint.hints
        ready = conditions.ready is not False
        yield Backend(
            address=endpoint.addresses[0],
            port=port,
            node=endpoint.node_name or "",
            ready=ready,
            serving=ready if conditions.serving is None else conditions.serving,
            terminating=bool(conditions.terminating),
            zones=tuple(zone.name for zone in hints.for_zones) if hints is not None else (),
            nodes=tuple(node.name for node in hints.for_nodes) if hints is not None else (),
        )


def choose(service: ServicePort, found: Sequence[Backend], place: Place) -> Choice:
    """Return the endpoints that a port's traffic may go to from this place."""
    ready = [one for one in found if one.ready]
    ending = [one for one in found if one.serving and one.terminating]
    cluster = _near(ready, place) or ending
    here = [one for one in ready if one.node == place.node] or [one for one in ending if one.node == place.node]
    needs_local = service.internal_local or (service.external_local and service.takes_external)
    return Choice(tuple(cluster), tuple(here) if needs_local else (), bool(ready or ending))


def _near(ready: Sequence[Backend], place: Place) -> list[Backend]:
    """Narrow ready endpoints by their hints; without a hint on each, or a match, all stay."""
    if ready and all(one.nodes for one in ready):
        mine = [one for one in ready if place.node in one.nodes]
        if mine:
            return mine
    if ready and place.zone and all(one.zones for one in ready):
        mine = [one for one in ready if place.zone in one.zones]
        if mine:
            return mine
    return list(ready)
