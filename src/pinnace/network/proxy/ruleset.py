"""The proxy's table of one address family: its frame, and the smallest script from one state to the next.

The frame (base chains, maps, sets) is there once; each port of a Service adds a `Fragment`. A change of one port touches its own
chains and entries only, whatever else there is. Chains that nothing refers to any more are emptied in the transaction that drops
the last reference, and deleted in a later one, since the kernel still counts references that go in the same transaction.
Layout: upstream's pkg/proxy/nftables, in a table of the cluster's own.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from pinnace.network.proxy import rules
from pinnace.network.proxy.rules import Fragment
from pinnace.network.proxy.service_ports import PortName

# The packet mark that asks for masquerading, as upstream's bit 14.
MARK, NOT_MARK = "0x4000", "0xffffbfff"
# How the names of the pod bridges of all clusters on a machine begin.
BRIDGE_PREFIX = "pin"


class Frame(Struct, frozen=True):
    """What the table is made for; `family` is `ip` or `ip6`.

    `pod_cidr` is the range of the node's own pods, `node_addresses` those on which node ports are open, `service_cidrs` the ranges
    from which cluster addresses come. `bridge` is the bridge of the node's pods: what comes from another cluster's pods on this
    machine (a bridge whose name begins alike) is none of this table's business. `answers_bypass` says that answers between two pods of this node do not pass the kernel's
    connection tracking (a bridge without br_netfilter), so that such connections must be masqueraded.
    """

    table: str
    family: str
    pod_cidr: str = ""
    node_addresses: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    bridge: str = ""
    masquerade_all: bool = False
    answers_bypass: bool = False


class Ruleset:
    """The table as it should be, and what of it has been handed out as a script."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._fragments: dict[PortName, Fragment] = {}
        self._by_service: dict[tuple[str, str], dict[PortName, None]] = {}
        # Who wants an entry, in order: two Services may claim one external address, and then the first has it.
        self._claims: dict[tuple[str, str], dict[PortName, str]] = {}
        # Emptied chains and unused sets, each as what `delete` calls it.
        self._retired: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._fragments)

    def of_service(self, namespace: str, service: str) -> Iterable[PortName]:
        """Return the ports of a Service that have rules."""
        return tuple(self._by_service.get((namespace, service), ()))

    def full(self, fragments: Mapping[PortName, Fragment]) -> str:
        """Return the script that makes the table anew with these fragments, whatever was there."""
        self._fragments, self._by_service, self._claims, self._retired = {}, {}, {}, {}
        head = [f"add table {self._table}", f"delete table {self._table}", *_frame(self.frame)]
        return "\n".join([*head, *self._changes({**fragments}), ""])

    def update(self, changes: Mapping[PortName, Fragment | None]) -> str:
        """Return the script for changed ports (None: gone); empty when nothing is to be done."""
        lines = [*self._deletions(), *self._changes(changes)]
        return "\n".join([*lines, ""]) if lines else ""

    @property
    def has_retired(self) -> bool:
        """Whether emptied chains wait to be deleted by the next `update`."""
        return bool(self._retired)

    @property
    def _table(self) -> str:
        return f"{self.frame.family} {self.frame.table}"

    def _deletions(self) -> list[str]:
        retired, self._retired = self._retired, {}
        # Sets last: the chains that name them have to be gone.
        return [f"delete {kind} {self._table} {name}" for kind, name in sorted(retired)]

    def _changes(self, changes: Mapping[PortName, Fragment | None]) -> list[str]:
        chains: list[str] = []
        rule_lines: list[str] = []
        before: dict[tuple[str, str], str | None] = {}
        sets: list[str] = []
        for name, new in changes.items():
            old = self._replace(name, new)
            wanted = new or Fragment()
            sets += self._new_sets(old, wanted)
            self._retired |= {("set", one): None for one in old.sets if one not in wanted.sets}
            for chain, lines in wanted.chains.items():
                if old.chains.get(chain) == lines:
                    continue
                self._retired.pop(("chain", chain), None)
                chains += [f"add chain {self._table} {chain}", f"flush chain {self._table} {chain}"]
                rule_lines += (f"add rule {self._table} {chain} {line}" for line in lines)
            for chain in old.chains:
                if chain not in wanted.chains:
                    chains.append(f"flush chain {self._table} {chain}")
                    self._retired["chain", chain] = None
            self._claim(name, old, wanted, before)
        removed, added = self._entry_lines(before)
        # Entries go before chains that they lead to are emptied, and come after those are filled.
        return [*sets, *removed, *chains, *rule_lines, *added]

    def _replace(self, name: PortName, new: Fragment | None) -> Fragment:
        """Put a port's fragment in the place of the one it had, and return that."""
        old = self._fragments.pop(name, None)
        ports = self._by_service.setdefault((name.namespace, name.service), {})
        if new is not None:
            self._fragments[name] = new
            ports[name] = None
        elif old is not None:
            del ports[name]
        if not ports:
            del self._by_service[name.namespace, name.service]
        return old or Fragment()

    def _new_sets(self, old: Fragment, new: Fragment) -> Iterator[str]:
        kind = "ipv6_addr" if self.frame.family == "ip6" else "ipv4_addr"
        for name, seconds in new.sets.items():
            if ("set", name) in self._retired:
                del self._retired["set", name]
            if old.sets.get(name) != seconds:
                yield f"add set {self._table} {name} {{ type {kind}; flags dynamic,timeout; timeout {seconds}s; }}"

    def _claim(self, name: PortName, old: Fragment, new: Fragment, before: dict[tuple[str, str], str | None]) -> None:
        for key in {**old.entries, **new.entries}:
            claims = self._claims.setdefault(key, {})
            before.setdefault(key, next(iter(claims.values()), None))
            if key in new.entries:
                claims[name] = new.entries[key]
            else:
                claims.pop(name, None)
                if not claims:
                    del self._claims[key]

    def _entry_lines(self, before: Mapping[tuple[str, str], str | None]) -> tuple[list[str], list[str]]:
        removed, added = [], []
        for key, was in before.items():
            now = next(iter(self._claims.get(key, {}).values()), None)
            if was == now:
                continue
            place, element = key
            if was is not None:
                removed.append(f"delete element {self._table} {place} {{ {element} }}")
            if now is not None:
                value = f"{element} : {now}" if now else element
                added.append(f"add element {self._table} {place} {{ {value} }}")
        return removed, added


def _frame(frame: Frame) -> Iterator[str]:
    table = f"{frame.family} {frame.table}"
    address = "ipv6_addr" if frame.family == "ip6" else "ipv4_addr"
    yield f"add table {table}"
    triple = f"{address} . inet_proto . inet_service"
    yield f"add set {table} {rules.CLUSTER_IPS} {{ type {address}; }}"
    yield f"add set {table} nodeport-ips {{ type {address}; }}"
    yield f"add set {table} {rules.HAIRPIN} {{ type {address} . {address} . inet_proto . inet_service; }}"
    for name in (rules.SERVICE_IPS, rules.NO_ENDPOINT_SERVICES, rules.FIREWALL_IPS):
        yield f"add map {table} {name} {{ type {triple} : verdict; }}"
    for name in (rules.SERVICE_NODEPORTS, rules.NO_ENDPOINT_NODEPORTS):
        yield f"add map {table} {name} {{ type inet_proto . inet_service : verdict; }}"
    for name in _INNER_CHAINS:
        yield f"add chain {table} {name}"
    for name, hook in _BASE_CHAINS:
        yield f"add chain {table} {name} {{ type {hook}; }}"
    for name, lines in _frame_rules(frame).items():
        for line in lines:
            yield f"add rule {table} {name} {line}"
    for one in frame.node_addresses:
        yield f"add element {table} nodeport-ips {{ {one} }}"


_INNER_CHAINS = (
    rules.MARK_CHAIN,
    rules.REJECT_CHAIN,
    "services",
    "masquerading",
    "cluster-ips-check",
    "firewall-check",
    "service-endpoints-check",
    "nodeport-endpoints-check",
)
_BASE_CHAINS = (
    ("filter-prerouting-pre-dnat", "filter hook prerouting priority -110"),
    ("filter-output-pre-dnat", "filter hook output priority -110"),
    ("filter-input", "filter hook input priority 0"),
    ("filter-forward", "filter hook forward priority 0"),
    ("filter-output", "filter hook output priority 0"),
    ("nat-prerouting", "nat hook prerouting priority -100"),
    ("nat-output", "nat hook output priority -100"),
    ("nat-postrouting", "nat hook postrouting priority 100"),
)


def _frame_rules(frame: Frame) -> dict[str, list[str]]:
    ip = frame.family
    to_service = f"{ip} daddr . meta l4proto . th dport"
    new_to = "ct state new jump"
    checks = [f"{new_to} service-endpoints-check", f"{new_to} cluster-ips-check"]
    guard = [f'iifname "{BRIDGE_PREFIX}*" iifname != "{frame.bridge}" return'] if frame.bridge else []
    outside = f"{ip} saddr != {frame.pod_cidr} " if frame.pod_cidr and not frame.masquerade_all else ""
    masquerading = [
        f"meta mark & {MARK} != 0 meta mark set meta mark & {NOT_MARK} masquerade fully-random",
        f"ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport @{rules.HAIRPIN} masquerade fully-random",
    ]
    if frame.answers_bypass and frame.pod_cidr:
        within = f"{ip} saddr {frame.pod_cidr} {ip} daddr {frame.pod_cidr}"
        masquerading.append(f"ct status dnat {within} masquerade fully-random")
    check = [f"{ip} daddr @{rules.CLUSTER_IPS} reject"]
    if frame.service_cidrs:
        check.append(f"{ip} daddr {{ {', '.join(frame.service_cidrs)} }} drop")
    return {
        "filter-prerouting-pre-dnat": [*guard, f"{new_to} firewall-check"],
        "filter-output-pre-dnat": [f"{new_to} firewall-check"],
        "filter-input": [*guard, f"{new_to} nodeport-endpoints-check", f"{new_to} service-endpoints-check"],
        "filter-forward": [*guard, *checks],
        "filter-output": checks,
        "nat-prerouting": [*guard, "jump services"],
        "nat-output": ["jump services"],
        "nat-postrouting": ["jump masquerading"],
        rules.MARK_CHAIN: [f"meta mark set meta mark | {MARK}"],
        rules.REJECT_CHAIN: ["reject"],
        "masquerading": masquerading,
        "cluster-ips-check": check,
        "firewall-check": [f"{to_service} vmap @{rules.FIREWALL_IPS}"],
        "service-endpoints-check": [f"{to_service} vmap @{rules.NO_ENDPOINT_SERVICES}"],
        "nodeport-endpoints-check": [
            f"{ip} daddr @nodeport-ips meta l4proto . th dport vmap @{rules.NO_ENDPOINT_NODEPORTS}"
        ],
        "services": [
            f"{outside}{ip} daddr @{rules.CLUSTER_IPS} jump {rules.MARK_CHAIN}",
            f"{to_service} vmap @{rules.SERVICE_IPS}",
            f"{ip} daddr @nodeport-ips meta l4proto . th dport vmap @{rules.SERVICE_NODEPORTS}",
        ],
    }
