"""Addresses and node ports of Services, given out from what no Service has (upstream pkg/registry/core/service).

What is taken is read from the stored Services, so that nothing can leak; what requests under way have been given is held beside it
until they end. The lower part of each range is for those who ask by name: dynamic choices take it last.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from pinnace.api.core_v1 import Service
from pinnace.apiserver.registry.strategy import Context

SERVICE_RANGE = ipaddress.ip_network("10.96.0.0/16")
PORTS = range(30000, 32768)
HEADLESS = "None"


class Allocator:
    """What is promised to requests under way; one server has one."""

    def __init__(self) -> None:
        self._addresses: set[str] = set()
        self._ports: set[tuple[str, int]] = set()

    async def taken(self, ctx: Context, but: Service | None) -> tuple[set[str], set[tuple[str, int]]]:
        """Return the addresses and (protocol, port) pairs that are not free; `but` is the Service that may keep its own."""
        addresses, ports = set(self._addresses), set(self._ports)
        for service in await ctx.objects.list(Service):
            if but is not None and service.metadata.uid == but.metadata.uid:
                continue
            addresses.update(item for item in service.spec.cluster_ips if item != HEADLESS)
            ports.update((port.protocol, port.node_port) for port in service.spec.ports if port.node_port)
        return addresses, ports

    def hold(self, addresses: Iterable[str], ports: Iterable[tuple[str, int]]) -> None:
        """Keep others from taking these until they are released."""
        self._addresses.update(addresses)
        self._ports.update(ports)

    def release(self, addresses: Iterable[str], ports: Iterable[tuple[str, int]]) -> None:
        """Leave it to the stored Services to say that these are taken."""
        self._addresses.difference_update(addresses)
        self._ports.difference_update(ports)


def free_address(taken: set[str], chance: int) -> str | None:
    """Return an address that nobody has, beginning at a random place of the upper part; None when all are taken."""
    size = SERVICE_RANGE.num_addresses
    static = min(max(16, size // 16), 256)
    upper = range(static + 1, size - 1)
    for offset in _from(upper, chance):
        candidate = str(SERVICE_RANGE[offset])
        if candidate not in taken:
            return candidate
    return next((text for offset in range(2, static + 1) if (text := str(SERVICE_RANGE[offset])) not in taken), None)


def free_port(taken: set[int], chance: int) -> int | None:
    """Return a node port that nobody has, beginning at a random place of the upper part; None when all are taken."""
    static = min(max(16, len(PORTS) // 32), 128)
    upper = PORTS[static:]
    found = next((port for port in _from(upper, chance) if port not in taken), None)
    return found if found is not None else next((port for port in PORTS[:static] if port not in taken), None)


def _from(numbers: range, chance: int) -> Iterator[int]:
    start = chance % len(numbers)
    yield from numbers[start:]
    yield from numbers[:start]


def address_error(text: str, taken: set[str]) -> str:
    """Return what is wrong with an address that a Service asks for; empty when nothing is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    if address not in SERVICE_RANGE:
        return f"failed to allocate IP {text}: the provided IP ({text}) is not in the valid range. The range of valid IPs is {SERVICE_RANGE}"
    return f"failed to allocate IP {text}: provided IP is already allocated" if text in taken else ""
