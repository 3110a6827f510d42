"""Keeps the kernel's rules in step with Services and their endpoints, on one node.

A change marks its Service; the loop takes all that is marked and writes it as one transaction per address family. A transaction
that is refused, a change of the node itself, and an hour gone by make the table anew. Between changes the table is compared with
what was written, so that a flushed or edited one is found within `CHECK_SECONDS`. Rules stay when the proxy ends: what runs goes
on running. Upstream: pkg/proxy/nftables `proxier.go`, pkg/proxy/runner.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Never

from msgspec import Struct

from pinnace.api.core_v1 import Node, Service
from pinnace.api.discovery_v1 import EndpointSlice
from pinnace.api.networking_v1 import ServiceCIDR
from pinnace.client import InformerFactory
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.machinery.meta import key as key_of
from pinnace.network.nftables import Nftables, NftablesError
from pinnace.network.proxy.endpoints import SERVICE_LABEL, Backend, Place, backends, choose
from pinnace.network.proxy.rules import Fragment, Locality, fragment
from pinnace.network.proxy.ruleset import Frame, Ruleset
from pinnace.network.proxy.service_ports import PortName, family_of, service_ports

# Looks at the kernel's table for strange hands.
CHECK_SECONDS = 15.0
# Everything is written anew, whatever is believed to be there.
REBUILD_SECONDS = 3600.0
RETRY_SECONDS = 1.0
# Changes that come together are written together.
GATHER_SECONDS = 0.01
ZONE_LABEL = "topology.kubernetes.io/zone"
_FAMILIES = {4: "ip", 6: "ip6"}
_BY_SERVICE = "service"
_CLIENTS = re.compile(r"\n\tset affinity-[^\n]*\n(?:\t\t[^\n]*\n)*?\t}\n")
_log = get_logger("proxy")


class NodeFacts(Struct, frozen=True):
    """What the proxy is told about its node; the rest is on the Node object.

    `table` is the name of its nftables table, `bridge` that of the pods' bridge.
    """

    node: str
    table: str
    bridge: str = ""
    answers_bypass: bool = False


class Proxier:
    """The service proxy of a node; a component."""

    def __init__(self, informers: InformerFactory, clock: Clock, nftables: Nftables, facts: NodeFacts) -> None:
        self._clock = clock
        self._nftables = nftables
        self._facts = facts
        self._informers = informers
        self._services = informers.informer(Service)
        self._slices = informers.informer(EndpointSlice)
        self._nodes = informers.informer(Node, field_selector=f"metadata.name={facts.node}")
        self._cidrs = informers.informer(ServiceCIDR)
        self._slices.cache.add_index(_BY_SERVICE, _services_of)
        self._dirty: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._place = Place(facts.node)
        self._built_for: dict[int, Frame] = {}
        self._rulesets: dict[int, Ruleset] = {}
        self._written: dict[int, str] = {}
        self._synced = asyncio.Event()
        self._services.add_handler(self._mark, lambda _, new: self._mark(new), self._mark)
        self._slices.add_handler(self._mark_slice, lambda _, new: self._mark_slice(new), self._mark_slice)
        self._nodes.add_handler(lambda _: self._woken.set(), lambda _, __: self._woken.set())
        self._cidrs.add_handler(*(lambda *_: self._woken.set() for _ in range(3)))

    async def wait_synced(self) -> None:
        """Wait until the rules have been written once."""
        await self._synced.wait()

    async def run(self) -> Never:
        """Keep the rules in step for ever."""
        await self._informers.wait_synced()
        rebuilt, checked = -REBUILD_SECONDS, self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            frames, place = self._frames(), self._find_place()
            stale = now - rebuilt >= REBUILD_SECONDS or (frames, place) != (self._built_for, self._place)
            try:
                if stale:
                    self._place = place
                    await self._rebuild(frames)
                    self._built_for, rebuilt = frames, now
                else:
                    await self._update()
            except NftablesError as error:
                _log.warning("rules refused", reason=str(error))
                rebuilt = -REBUILD_SECONDS
                await self._clock.sleep(RETRY_SECONDS)
                continue
            self._synced.set()
            # However often something changes: a busy node would otherwise never be looked at.
            await self._wait_change(CHECK_SECONDS - (self._clock.monotonic() - checked))
            if self._clock.monotonic() - checked >= CHECK_SECONDS:
                checked = self._clock.monotonic()
                if not await self._is_as_written():
                    _log.warning("the rules were changed by somebody else; writing them anew", table=self._facts.table)
                    rebuilt = -REBUILD_SECONDS

    # ── what has changed ──

    def _mark(self, service: Service) -> None:
        self._dirty[key_of(service)] = None
        self._woken.set()

    def _mark_slice(self, one: EndpointSlice) -> None:
        for key in _services_of(one):
            self._dirty[key] = None
        self._woken.set()

    async def _wait_change(self, seconds: float) -> None:
        """Wait for a change, for so long at most."""
        try:
            async with self._clock.timeout(max(seconds, 0.0)):
                await self._woken.wait()
        except TimeoutError:
            return
        await self._clock.sleep(GATHER_SECONDS)
        self._woken.clear()

    # ── what should be ──

    def _node(self) -> Node:
        return self._nodes.cache.get(self._facts.node) or Node()

    def _find_place(self) -> Place:
        return Place(self._facts.node, self._node().metadata.labels.get(ZONE_LABEL, ""))

    def _frames(self) -> dict[int, Frame]:
        """Return the frames of the families that the node has."""
        node = self._node()
        pod_cidrs = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
        addresses = tuple(one.address for one in node.status.addresses if one.type == "InternalIP")
        service_cidrs = sorted(cidr for one in self._cidrs.cache.list() for cidr in one.spec.cidrs)
        families = {4, *map(family_of, (*pod_cidrs, *addresses))}
        return {
            family: Frame(
                table=self._facts.table,
                family=_FAMILIES[family],
                pod_cidr=next((one for one in pod_cidrs if family_of(one) == family), ""),
                node_addresses=tuple(one for one in addresses if family_of(one) == family),
                service_cidrs=tuple(one for one in service_cidrs if family_of(one) == family),
                bridge=self._facts.bridge,
                answers_bypass=self._facts.answers_bypass,
            )
            for family in sorted(families)
        }

    def _fragments(self, key: str, frames: Mapping[int, Frame]) -> dict[PortName, Fragment]:
        """Return what a Service needs, by port."""
        service = self._services.cache.get(key)
        if service is None:
            return {}
        found: dict[PortName, tuple[Backend, ...]] | None = None
        out = {}
        for port in service_ports(service):
            frame = frames.get(port.name.family)
            if frame is None:
                continue
            if found is None:
                found = backends(self._slices.cache.by_index(_BY_SERVICE, key))
            choice = choose(port, found.get(port.name, ()), self._place)
            out[port.name] = fragment(port, choice, Locality(self._facts.node, frame.pod_cidr))
        return out

    # ── writing ──

    async def _rebuild(self, frames: Mapping[int, Frame]) -> None:
        self._dirty.clear()
        rulesets = {family: Ruleset(frame) for family, frame in frames.items()}
        fragments: dict[int, dict[PortName, Fragment]] = {family: {} for family in frames}
        for key in self._services.cache.keys():  # noqa: SIM118 - a Cache is no mapping
            for name, one in self._fragments(key, frames).items():
                fragments[name.family][name] = one
        for family, ruleset in rulesets.items():
            await self._nftables.apply(ruleset.full(fragments[family]))
        self._rulesets = rulesets
        self._written.clear()
        _log.info("rules written", table=self._facts.table, ports=sum(map(len, rulesets.values())))

    async def _update(self) -> None:
        dirty, self._dirty = self._dirty, {}
        frames = {family: ruleset.frame for family, ruleset in self._rulesets.items()}
        wanted: dict[PortName, Fragment | None] = {}
        for key in dirty:
            namespace, _, service = key.partition("/")
            for ruleset in self._rulesets.values():
                wanted |= dict.fromkeys(ruleset.of_service(namespace, service))
            wanted |= self._fragments(key, frames)
        for family, ruleset in self._rulesets.items():
            script = ruleset.update({name: one for name, one in wanted.items() if name.family == family})
            if script:
                await self._nftables.apply(script)
                self._written.pop(family, None)

    async def _is_as_written(self) -> bool:
        """Compare the kernel's tables with what they were after the last change; they are looked at for the first time now."""
        for family, ruleset in self._rulesets.items():
            text = _CLIENTS.sub("\n", await self._nftables.list_table(ruleset.frame.family, ruleset.frame.table))
            if self._written.setdefault(family, text) != text or not text:
                return False
        return True


def _services_of(one: EndpointSlice) -> Iterable[str]:
    service = one.metadata.labels.get(SERVICE_LABEL, "")
    return (f"{one.metadata.namespace}/{service}",) if service else ()
