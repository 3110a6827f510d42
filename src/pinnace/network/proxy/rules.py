"""The nftables rules of one port of a Service, as a value.

Pure: a port, its endpoints and the facts of the node give chains with their rules, entries of the table's maps, and sets for
affinity. What a port is made of changes as a whole; `ruleset` turns a difference between two such values into one transaction.
Names of chains are upstream's: a hash, so that long names stay apart, and the port's name for whoever reads them. Upstream:
pkg/proxy/nftables `proxier.go`.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from pinnace.network.proxy.endpoints import Backend, Choice
from pinnace.network.proxy.service_ports import ServicePort

NAME_LIMIT = 240
# Chains and maps of the table that the rules of ports refer to.
MARK_CHAIN, REJECT_CHAIN = "mark-for-masquerade", "reject-chain"
SERVICE_IPS, SERVICE_NODEPORTS = "service-ips", "service-nodeports"
NO_ENDPOINT_SERVICES, NO_ENDPOINT_NODEPORTS = "no-endpoint-services", "no-endpoint-nodeports"
FIREWALL_IPS, CLUSTER_IPS, HAIRPIN = "firewall-ips", "cluster-ips", "hairpin-connections"


class Fragment(Struct, frozen=True):
    """What one port adds to the table.

    `chains` maps a chain's name to its rules; `entries` are (map or set, key) with a verdict, empty for sets; `sets` are sets of
    clients with their seconds.
    """

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    entries: Mapping[tuple[str, str], str] = field(default_factory=dict)
    sets: Mapping[str, int] = field(default_factory=dict)


class Locality(Struct, frozen=True):
    """What rules depend on besides Services: the node's name and the range of its own pods, of one family."""

    node: str
    pod_cidr: str = ""


def chain_name(prefix: str, name: str) -> str:
    """Return the name of a chain: `service-ABCD2345-default/web/tcp/http`."""
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:8]
    full = f"{digest}-{name}"
    return f"{prefix}-" + (full if len(full) <= NAME_LIMIT else full[: NAME_LIMIT - 3] + "...")


def fragment(port: ServicePort, choice: Choice, where: Locality) -> Fragment:
    """Return what a port needs, given where its traffic may go."""
    if not choice.any:
        return Fragment(entries=dict(_refusals(port, f"goto {REJECT_CHAIN}", f"goto {REJECT_CHAIN}")))
    return _Builder(port, choice, where).build()


class _Builder:
    def __init__(self, port: ServicePort, choice: Choice, where: Locality) -> None:
        self._port = port
        self._choice = choice
        self._where = where
        self._family = "ip6" if port.name.family == 6 else "ip"
        name = str(port.name)
        self._cluster = chain_name("service", name)
        self._local = chain_name("local", name)
        self._external = chain_name("external", name)
        self._firewall = chain_name("firewall", name)
        self._chains: dict[str, tuple[str, ...]] = {}
        self._entries: dict[tuple[str, str], str] = {}
        self._sets: dict[str, int] = {}

    def build(self) -> Fragment:
        port, choice = self._port, self._choice
        uses_cluster = not port.internal_local or port.takes_external
        if uses_cluster and choice.cluster:
            self._chains[self._cluster] = self._balanced(choice.cluster)
        if choice.local:
            self._chains[self._local] = self._balanced(choice.local)
        inner = (self._local if choice.local else "") if port.internal_local else self._cluster
        if inner:
            self._entries[SERVICE_IPS, _key(port.cluster_ip, port)] = f"goto {inner}"
        else:
            self._entries[NO_ENDPOINT_SERVICES, _key(port.cluster_ip, port)] = "drop"
        self._entries[CLUSTER_IPS, port.cluster_ip] = ""
        if port.takes_external:
            self._add_external()
        self._add_firewall()
        self._add_hairpins()
        return Fragment(self._chains, self._entries, self._sets)

    def _balanced(self, chosen: Sequence[Backend]) -> tuple[str, ...]:
        """Return the rules that spread connections over endpoints."""
        protocol = self._port.name.protocol
        count = len(chosen)
        if not self._port.affinity_seconds:
            targets = ", ".join(f"{index} : {one.address} . {one.port}" for index, one in enumerate(chosen))
            to = f"numgen random mod {count} map {{ {targets} }}"
            return (f"meta l4proto {protocol} dnat {self._family} addr . port to {to}",)
        rules = []
        chains = [self._endpoint(one) for one in chosen]
        for chain, clients in chains:
            rules.append(f"{self._family} saddr @{clients} goto {chain}")
        verdicts = ", ".join(f"{index} : goto {chain}" for index, (chain, _) in enumerate(chains))
        return (*rules, f"numgen random mod {count} vmap {{ {verdicts} }}")

    def _endpoint(self, one: Backend) -> tuple[str, str]:
        """Add the chain of an endpoint that remembers its clients; return its name and that of the set of clients."""
        name = f"{self._port.name}__{one.address.replace(':', '.')}/{one.port}"
        chain, clients = chain_name("endpoint", name), chain_name("affinity", name)
        self._sets[clients] = self._port.affinity_seconds
        target = f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"
        self._chains[chain] = (
            f"update @{clients} {{ {self._family} saddr }}",
            f"meta l4proto {self._port.name.protocol} dnat to {target}",
        )
        return chain, clients

    def _add_external(self) -> None:
        port = self._port
        rules: list[str] = []
        if port.external_local:
            if self._where.pod_cidr:
                rules.append(f"{self._family} saddr {self._where.pod_cidr} goto {self._cluster}")
            rules += [f"fib saddr type local jump {MARK_CHAIN}", f"fib saddr type local goto {self._cluster}"]
            if self._choice.local:
                rules.append(f"goto {self._local}")
        else:
            rules += [f"jump {MARK_CHAIN}", f"goto {self._cluster}"]
        self._chains[self._external] = tuple(rules)
        for address in (*port.external_ips, *port.load_balancer_ips):
            self._entries[SERVICE_IPS, _key(address, port)] = f"goto {self._external}"
        if port.node_port:
            self._entries[SERVICE_NODEPORTS, _node_key(port)] = f"goto {self._external}"
        if port.external_local and not self._choice.local:
            # What the external chain did not take on came from outside, where only endpoints of this node count.
            for key, verdict in _refusals(port, "", "drop"):
                if verdict:
                    self._entries[key] = verdict

    def _add_firewall(self) -> None:
        port = self._port
        if not port.source_ranges or not port.load_balancer_ips:
            return
        allowed = ", ".join(port.source_ranges)
        self._chains[self._firewall] = (f"{self._family} saddr != {{ {allowed} }} drop",)
        for address in port.load_balancer_ips:
            self._entries[FIREWALL_IPS, _key(address, port)] = f"goto {self._firewall}"

    def _add_hairpins(self) -> None:
        """Let an endpoint of this node reach itself: its answer must not go to its own address directly."""
        for one in self._choice.cluster:
            if one.node == self._where.node:
                key = f"{one.address} . {one.address} . {self._port.name.protocol} . {one.port}"
                self._entries[HAIRPIN, key] = ""


def _key(address: str, port: ServicePort) -> str:
    return f"{address} . {port.name.protocol} . {port.port}"


def _node_key(port: ServicePort) -> str:
    return f"{port.name.protocol} . {port.node_port}"


def _refusals(port: ServicePort, inner: str, outer: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the entries that refuse traffic to a port: to its cluster address, and to those that are known outside."""
    yield (NO_ENDPOINT_SERVICES, _key(port.cluster_ip, port)), inner
    if inner:
        yield (CLUSTER_IPS, port.cluster_ip), ""
    for address in (*port.external_ips, *port.load_balancer_ips):
        yield (NO_ENDPOINT_SERVICES, _key(address, port)), outer
    if port.node_port:
        yield (NO_ENDPOINT_NODEPORTS, _node_key(port)), outer
