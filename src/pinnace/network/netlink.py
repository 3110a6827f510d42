"""Routes to other nodes' pods in the kernel, written by netlink.

A Protocol, so that who decides about routes is tested without a kernel. Routes of one cluster on this machine are known by their
protocol and metric, so that those of nobody else are touched. In front of a router, packets to pods travel in VXLAN: the address of a
node's end of the tunnel is the first of its pod range, and its hardware address follows from that, so nodes need not tell them.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Protocol

# The routing protocol of these routes, as `ip route` shows it; upstream of 64 nobody has registered any.
PROTOCOL = 80
VXLAN_PORT = 8472


class NetlinkFailed(Exception):
    """The kernel refused; the text is its own."""


class Netlink(Protocol):
    """One network namespace's routes."""

    @abstractmethod
    def route(self, own: IPv4Network, wanted: Mapping[IPv4Network, IPv4Address]) -> None:
        """Have packets to each range go to its node, and to no others of ours; `own` are this node's pods. Blocks for milliseconds.

        Raises:
            NetlinkFailed: the kernel refused; what it took stays.
        """


@dataclass(frozen=True, slots=True)
class _Route:
    pods: IPv4Network
    gateway: str
    link: int
    by_tunnel: bool


class KernelRoutes(Netlink):
    """The kernel's own; `metric` and `device` belong to one cluster on this machine, `network_id` to the cluster everywhere."""

    def __init__(self, metric: int, device: str, network_id: int) -> None:
        self._metric, self._device, self._network_id = metric, device, network_id
        # A node that is and was alone has nothing to look for.
        self._was_used = _has_routes(metric)

    def route(self, own: IPv4Network, wanted: Mapping[IPv4Network, IPv4Address]) -> None:
        if not wanted and not self._was_used:
            return
        self._was_used = True
        with _open() as ip:
            routes = [self._route(ip, own, pods, node) for pods, node in wanted.items()]
            have = set(self._present(ip))
            for old in have - set(routes):
                ip.route("del", dst=str(old.pods), priority=self._metric, proto=PROTOCOL)
            for new in set(routes) - have:
                ip.route(
                    "replace",
                    dst=str(new.pods),
                    gateway=new.gateway,
                    oif=new.link,
                    priority=self._metric,
                    proto=PROTOCOL,
                    flags=["onlink"] if new.by_tunnel else [],
                )
            self._fill_tunnel(ip, {pods: wanted[pods] for pods in (one.pods for one in routes if one.by_tunnel)})

    def _route(self, ip: Any, own: IPv4Network, pods: IPv4Network, node: IPv4Address) -> _Route:
        (found,) = ip.route("get", dst=str(node))
        if found.get("gateway") is None:
            return _Route(pods, str(node), int(found.get("oif")), by_tunnel=False)
        return _Route(pods, str(pods.network_address), self._tunnel(ip, own, found), by_tunnel=True)

    def _present(self, ip: Any) -> Iterator[_Route]:
        tunnel = _index(ip, self._device)
        for found in ip.get_routes(family=2, proto=PROTOCOL, priority=self._metric):
            pods = IPv4Network(f"{found.get('dst')}/{found['dst_len']}")
            link = int(found.get("oif"))
            yield _Route(pods, str(found.get("gateway")), link, by_tunnel=link == tunnel)

    def _tunnel(self, ip: Any, own: IPv4Network, towards: Any) -> int:
        """Return the VXLAN device, made where there is none."""
        there = _index(ip, self._device)
        if there is not None:
            return there
        ip.link(
            "add",
            ifname=self._device,
            kind="vxlan",
            vxlan_id=self._network_id,
            vxlan_port=VXLAN_PORT,
            vxlan_learning=False,
            vxlan_link=towards.get("oif"),
            vxlan_local=towards.get("prefsrc"),
            address=hardware_address(own),
        )
        made = _index(ip, self._device)
        if made is None:
            raise NetlinkFailed(f"no device {self._device}")
        ip.addr("add", index=made, address=str(own.network_address), prefixlen=32)
        ip.link("set", index=made, state="up")
        return made

    def _fill_tunnel(self, ip: Any, ends: Mapping[IPv4Network, IPv4Address]) -> None:
        tunnel = _index(ip, self._device)
        if tunnel is None:
            return
        if not ends:
            ip.link("del", index=tunnel)
            return
        wanted = {(hardware_address(pods), str(node)) for pods, node in ends.items()}
        for entry in ip.fdb("dump", ifindex=tunnel):
            known = (entry.get("lladdr"), entry.get("dst"))
            if entry["ifindex"] == tunnel and known[1] and known not in wanted:
                ip.fdb("del", ifindex=tunnel, lladdr=known[0], dst=known[1])
        for pods, node in ends.items():
            address = hardware_address(pods)
            ip.neigh("replace", dst=str(pods.network_address), lladdr=address, ifindex=tunnel, state="permanent")
            ip.fdb("replace", ifindex=tunnel, lladdr=address, dst=str(node))


def withdraw(metric: int, device: str) -> list[str]:
    """Take out every route and the tunnel of one cluster; return what could not be."""
    if not _has_routes(metric) and not Path(f"/sys/class/net/{device}").exists():
        return []
    try:
        with _open() as ip:
            for found in list(ip.get_routes(family=2, proto=PROTOCOL, priority=metric)):
                dst = f"{found.get('dst')}/{found['dst_len']}"
                ip.route("del", dst=dst, priority=metric, proto=PROTOCOL)
            tunnel = _index(ip, device)
            if tunnel is not None:
                ip.link("del", index=tunnel)
    except NetlinkFailed as error:
        return [f"routes: {error}"]
    return []


def hardware_address(pods: IPv4Network) -> str:
    """Return the hardware address of a node's end of the tunnel: a local one, with the first address of its pods in it."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x50, *pods.network_address.packed))


def _has_routes(metric: int) -> bool:
    lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split("\t")[6] == str(metric) for line in lines)


def _index(ip: Any, name: str) -> int | None:
    return next(iter(ip.link_lookup(ifname=name)), None)


@contextmanager
def _open() -> Iterator[Any]:
    # 13 MiB and a third of a second, which a node that is alone does without.
    from pyroute2 import IPRoute  # noqa: PLC0415
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415

    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise NetlinkFailed(str(error)) from error
