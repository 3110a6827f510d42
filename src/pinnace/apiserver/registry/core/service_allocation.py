"""Addresses and node ports of Services.

An address is taken by making the IPAddress object of its name: the one write that decides who has it. Node ports are taken if no
Service has them; those of Services that are being written are held in memory until they are stored. Both are chosen at random
from the upper part of their range, so that the lower part stays free for those who ask for a certain one. Upstream:
pkg/registry/core/service/ipallocator, portallocator.
"""

import ipaddress
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api.core_v1 import Service, ServicePort, ServiceSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.networking_v1 import IPAddress, IPAddressSpec, ParentReference, ServiceCIDR
from pinnace.apiserver.registry.core.service_fields import (
    HEADLESS,
    is_headless,
    needs_cluster_ip,
    needs_health_check_port,
    needs_node_port,
)
from pinnace.apiserver.registry.strategy import Begun, Context, Objects
from pinnace.component.identity import Identity
from pinnace.machinery.errors import AlreadyExists
from pinnace.machinery.field import FieldError, Path, invalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_CIDR = "10.96.0.0/12"
NODE_PORTS = range(30000, 32768)
# Ports below stay for those who name theirs: min(max(16, size / 32), 128).
STATIC_NODE_PORTS = 86
# Attempts at a random address before the range is walked through.
RANDOM_ATTEMPTS = 64
_SPEC = Path("spec")


class _Pending(Struct):
    """Node ports of Services that are being written, by protocol."""

    ports: set[tuple[str, int]] = field(default_factory=set)


# One for each server in the process.
_pending: WeakKeyDictionary[Objects, _Pending] = WeakKeyDictionary()


class _Allocation:
    """What one write of a Service takes; given back unless it is stored."""

    def __init__(self, ctx: Context, service: Service) -> None:
        self._ctx = ctx
        self._service = service
        self._addresses: list[str] = []
        self._ports: set[tuple[str, int]] = set()
        self._pending = _pending.setdefault(ctx.objects, _Pending())
        self._released: list[str] = []
        self.errors: list[FieldError] = []

    # ── addresses ──

    async def addresses(self, spec: ServiceSpec, keep: tuple[str, ...]) -> ServiceSpec:
        """Return the spec with its addresses; those in `keep` are its own already."""
        if not needs_cluster_ip(spec) or is_headless(spec):
            return spec
        networks = await _networks(self._ctx.objects)
        wanted = spec.cluster_ips
        if wanted:
            for address in wanted:
                if address not in keep:
                    await self._take(address, wanted, networks)
            return spec
        address = await self._any(networks[0])
        if not address:
            text = "failed to allocate a serviceIP: range is full"
            self.errors.append(invalid(_SPEC.child("clusterIPs"), [], text))
            return spec
        return replace(spec, cluster_ip=address, cluster_ips=(address,))

    async def _take(self, address: str, wanted: tuple[str, ...], networks: tuple[Network, ...]) -> None:
        if not any(_inside(address, network) for network in networks):
            listed = ", ".join(map(str, networks))
            text = f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. The range of valid IPs is {listed}"
        elif await self._reserve(address):
            return
        else:
            text = f"failed to allocate IP {address}: provided IP is already allocated"
        self.errors.append(invalid(_SPEC.child("clusterIPs"), wanted, text))

    async def _any(self, network: Network) -> str:
        if self._ctx.dry_run:
            return str(network.network_address)
        for address in _candidates(network, self._ctx.identity):
            if await self._ctx.objects.get(IPAddress, address) is None and await self._reserve(address):
                return address
        return ""

    async def _reserve(self, address: str) -> bool:
        """Make the address this Service's; False when it is another's."""
        objects, meta = self._ctx.objects, self._service.metadata
        if self._ctx.dry_run:
            return await objects.get(IPAddress, address) is None
        parent = ParentReference(resource="services", namespace=meta.namespace, name=meta.name)
        labels = {
            "ipaddress.kubernetes.io/ip-family": "IPv6" if ":" in address else "IPv4",
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }
        taken = IPAddress(metadata=ObjectMeta(name=address, labels=labels), spec=IPAddressSpec(parent_ref=parent))
        try:
            await objects.create(taken)
        except AlreadyExists:
            return False
        self._addresses.append(address)
        return True

    # ── ports ──

    async def ports(self, spec: ServiceSpec, keep: ServiceSpec | None) -> ServiceSpec:
        """Return the spec with its node ports."""
        own = set(_ports_of(keep)) if keep is not None else set()
        if not needs_node_port(spec) and not needs_health_check_port(spec):
            return spec
        used = await self._used() - own
        ports = list(spec.ports)
        if needs_node_port(spec):
            for index, port in enumerate(ports):
                at = _SPEC.child("ports").index(index).child("nodePort")
                ports[index] = replace(port, node_port=self._port(port, ports, used, own, at))
        spec = replace(spec, ports=tuple(ports))
        if needs_health_check_port(spec):
            probe = ServicePort(protocol="TCP", node_port=spec.health_check_node_port)
            chosen = self._port(probe, [], used, own, _SPEC.child("healthCheckNodePort"))
            spec = replace(spec, health_check_node_port=chosen)
        return spec

    def _port(
        self,
        port: ServicePort,
        ports: list[ServicePort],
        used: set[tuple[str, int]],
        own: set[tuple[str, int]],
        path: Path,
    ) -> int:
        number = port.node_port
        if not number:
            # One port of two protocols is one node port.
            twin = next((one.node_port for one in ports if one.port == port.port and one.node_port), 0)
            number = twin if twin and (port.protocol, twin) not in used else self._free_port(used)
            if not number:
                self.errors.append(invalid(path, number, "failed to allocate a nodePort: range is full"))
                return 0
        elif (port.protocol, number) in own:
            return number
        elif number not in NODE_PORTS:
            text = (
                "provided port is not in the valid range. The range of valid ports is "
                f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
            )
            self.errors.append(invalid(path, number, text))
            return number
        elif (port.protocol, number) in used:
            self.errors.append(invalid(path, number, "provided port is already allocated"))
            return number
        used.add((port.protocol, number))
        if not self._ctx.dry_run:
            self._ports.add((port.protocol, number))
            self._pending.ports.add((port.protocol, number))
        return number

    def _free_port(self, used: set[tuple[str, int]]) -> int:
        busy = {number for _, number in used}
        upper = NODE_PORTS[STATIC_NODE_PORTS:]
        start = int.from_bytes(self._ctx.identity.token_bytes(4), "big")
        for band in (upper, NODE_PORTS[:STATIC_NODE_PORTS]):
            for step in range(len(band)):
                number = band[(start + step) % len(band)]
                if number not in busy:
                    return number
        return 0

    async def _used(self) -> set[tuple[str, int]]:
        used = set(self._pending.ports)
        for service in await self._ctx.objects.list(Service):
            used.update(_ports_of(service.spec))
        return used

    # ── end ──

    def release_when_stored(self, addresses: tuple[str, ...]) -> None:
        """Give these addresses back as soon as the write is done."""
        self._released += addresses

    async def finish(self, stored: bool) -> None:  # noqa: FBT001
        """Keep what was taken, or give it back."""
        self._pending.ports -= self._ports
        for address in self._released if stored else self._addresses:
            await release(self._ctx, address)


async def begin_create(ctx: Context, service: Service) -> Begun[Service]:
    """Allocate what a new Service needs."""
    allocation = _Allocation(ctx, service)
    spec = await allocation.addresses(service.spec, ())
    spec = await allocation.ports(spec, None)
    return Begun(replace(service, spec=spec), allocation.errors, allocation.finish)


async def begin_update(ctx: Context, new: Service, old: Service) -> Begun[Service]:
    """Allocate what a changed Service needs beyond what it has, and give back what it needs no more."""
    allocation = _Allocation(ctx, new)
    before = tuple(address for address in old.spec.cluster_ips if address != HEADLESS)
    spec = await allocation.addresses(new.spec, before)
    spec = await allocation.ports(spec, old.spec)
    allocation.release_when_stored(tuple(address for address in before if address not in spec.cluster_ips))
    return Begun(new if spec == new.spec else replace(new, spec=spec), allocation.errors, allocation.finish)


async def after_delete(ctx: Context, service: Service) -> None:
    """Give back the addresses of a Service that is gone."""
    for address in service.spec.cluster_ips:
        if address != HEADLESS:
            await release(ctx, address)


async def release(ctx: Context, address: str) -> None:
    """Delete the object that holds an address."""
    await ctx.objects.delete(IPAddress, address)


async def _networks(objects: Objects) -> tuple[Network, ...]:
    cidrs = [text for one in await objects.list(ServiceCIDR) for text in one.spec.cidrs]
    return tuple(ipaddress.ip_network(text) for text in cidrs or [DEFAULT_CIDR])


def _inside(address: str, network: Network) -> bool:
    parsed = ipaddress.ip_address(address)
    if parsed not in network or parsed == network.network_address:
        return False
    return parsed.version == 6 or parsed != network.broadcast_address


def _candidates(network: Network, identity: Identity) -> Iterator[str]:
    """Return addresses of the upper band in random order, then all in turn."""
    # Without the network's own address and, in IPv4, the broadcast address.
    size = min(network.num_addresses, 1 << 16 if network.version == 6 else network.num_addresses) - 2
    static = min(max(16, size // 16), 256, size)
    base = int(network.network_address) + 1
    make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    if size > static:
        for _ in range(RANDOM_ATTEMPTS):
            offset = int.from_bytes(identity.token_bytes(6), "big") % (size - static)
            yield str(make(base + static + offset))
    for offset in [*range(static, size), *range(static)]:
        yield str(make(base + offset))


def _ports_of(spec: ServiceSpec) -> Iterator[tuple[str, int]]:
    for port in spec.ports:
        if port.node_port:
            yield port.protocol, port.node_port
    if spec.health_check_node_port:
        yield "TCP", spec.health_check_node_port
