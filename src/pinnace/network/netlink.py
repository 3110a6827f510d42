"""Routes to other nodes' pods in the kernel, written by netlink.

A Protocol, so that who decides about routes is tested without a kernel. Routes of one cluster on this machine are known by their
protocol and metric, so that those of nobody else are touched. In front of a router, packets to pods travel in VXLAN: the address of a
node's end of the tunnel is the first of its pod range, and its hardware address follows from that, so nodes need not tell them.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

# The routing protocol of these routes, as `ip route` shows it; upstream of 64 nobody has registered any.
PROTOCOL = 80
VXLAN_PORT = 8472
# Bytes of a packet in the tunnel, of 1500 less the headers around it.
_TUNNEL_MTU = 1450


class NetlinkFailed(Exception):
    """The kernel refused; the text is its own."""


class Place(Struct, frozen=True):
    """Where a range of pods is: on the node of this address."""

    pods: IPv4Network
    node: IPv4Address


class Netlink(Protocol):
    """One network namespace's routes."""

    @abstractmethod
    def route(self, own: Place, wanted: Iterable[Place]) -> None:
        """Have packets to pods of each place go to its node, and to no others of ours; `own` is this node's. Blocks for milliseconds.

        Raises:
            NetlinkFailed: the kernel refused; what it took stays.
        """


class _Route(Struct, frozen=True):
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

    def route(self, own: Place, wanted: Iterable[Place]) -> None:
        wanted = tuple(wanted)
        if not wanted and not self._was_used:
            return
        self._was_used = True
        with _open() as ip:
            routes = [self._route(ip, own, place) for place in wanted]
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
            behind = {one.pods for one in routes if one.by_tunnel}
            self._fill_tunnel(ip, [place for place in wanted if place.pods in behind])

    def _route(self, ip: Any, own: Place, to: Place) -> _Route:
        (found,) = ip.route("get", dst=str(to.node))
        # By another of our addresses it may be near; seen from there, ours is not, and both ends have to come to the same.
        if found.get("gateway") is None and found.get("prefsrc") == str(own.node):
            return _Route(to.pods, str(to.node), int(found.get("oif")), by_tunnel=False)
        return _Route(to.pods, str(to.pods.network_address), self._tunnel(ip, own), by_tunnel=True)

    def _present(self, ip: Any) -> Iterator[_Route]:
        tunnel = _index(ip, self._device)
        for found in ip.get_routes(family=2, proto=PROTOCOL, priority=self._metric):
            pods = IPv4Network(f"{found.get('dst')}/{found['dst_len']}")
            link = int(found.get("oif"))
            yield _Route(pods, str(found.get("gateway")), link, by_tunnel=link == tunnel)

    def _tunnel(self, ip: Any, own: Place) -> int:
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
            vxlan_local=str(own.node),
            address=hardware_address(own.pods),
            mtu=_TUNNEL_MTU,
        )
        made = _index(ip, self._device)
        if made is None:
            raise NetlinkFailed(f"no device {self._device}")
        ip.addr("add", index=made, address=str(own.pods.network_address), prefixlen=32)
        ip.link("set", index=made, state="up")
        return made

    def _fill_tunnel(self, ip: Any, ends: Sequence[Place]) -> None:
        tunnel = _index(ip, self._device)
        if tunnel is None:
            return
        if not ends:
            ip.link("del", index=tunnel)
            return
        wanted = {(hardware_address(place.pods), str(place.node)) for place in ends}
        entries = [one for one in ip.fdb("dump", ifindex=tunnel) if one["ifindex"] == tunnel and one.get("dst")]
        known = {(one.get("lladdr"), one.get("dst")) for one in entries}
        for address, node in known - wanted:
            ip.fdb("del", ifindex=tunnel, lladdr=address, dst=node)
        for address, node in wanted - known:
            ip.fdb("append", ifindex=tunnel, lladdr=address, dst=node)
        for place in ends:
            end, address = str(place.pods.network_address), hardware_address(place.pods)
            ip.neigh("replace", dst=end, lladdr=address, ifindex=tunnel, state="permanent")


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
