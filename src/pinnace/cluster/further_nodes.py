"""Further nodes on the server's machine: each in a network namespace of its own, joined to a bridge, as machines to a switch.

    machine ── bridge 172.30.n.1 ──┬── veth ── namespace of node01, 172.30.n.11
                                   └── veth ── namespace of node02, 172.30.n.12

So each has ports, routes and rules of its own, and can be cut off. A node's folder is like a cluster's, below `nodes/`; the namespace is
made at each start where it is missing, as it is after a reboot. Mounts and control groups are the machine's.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd_config import search_path
from pinnace.cluster.local_addresses import local_addresses
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ClusterError
from pinnace.network.nftables import NftCommand

_NAMESPACES = Path("/run/netns")
_FIRST_HOST = 11
_LAST_HOST = 250


class FurtherNode(Struct, frozen=True):
    """One further node: its number on the bridge, and its folder."""

    name: str
    number: int
    root: Path

    @property
    def paths(self) -> ClusterPaths:
        return ClusterPaths(self.root)

    @property
    def stopped(self) -> Path:
        """Says that its user has stopped it, so that `up` leaves it so."""
        return self.root / "stopped"

    @property
    def namespace(self) -> Path:
        return _NAMESPACES / f"{pod_network(self.root).name}-node"

    def command(self) -> list[str]:
        """Return the words that run what follows them in the node's network."""
        return [_tool("nsenter"), f"--net={self.namespace}", "--"]


class FurtherNodes:
    """All further nodes of the cluster in one folder."""

    def __init__(self, cluster: ClusterPaths) -> None:
        self._root = cluster.nodes
        network = pod_network(cluster.root)
        mark = network.name.removeprefix("pinnace-")
        self._table, self._bridge, self._link = f"{network.name}-nodes", f"nod{mark}", f"nv{mark}"

    def all(self) -> list[FurtherNode]:
        """Return the nodes that there are, by number."""
        found = self._root.glob("*/number")
        nodes = (FurtherNode(path.parent.name, int(path.read_text()), path.parent) for path in found)
        return sorted(nodes, key=lambda node: node.number)

    def get(self, name: str) -> FurtherNode | None:
        """Return the node of a name, None when there is none."""
        return next((node for node in self.all() if node.name == name), None)

    def found(self, name: str) -> FurtherNode:
        """Return the node of a name.

        Raises:
            ClusterError: there is none.
        """
        node = self.get(name)
        if node is None:
            raise ClusterError(f"there is no further node {name!r} on this machine")
        return node

    def new(self, name: str = "") -> FurtherNode:
        """Make the folder of a new node; without a name it gets the next of `node01`, `node02`, ….

        Raises:
            ClusterError: there is one of this name, or no room for more.
        """
        there = self.all()
        taken = {node.number for node in there}
        number = next((one for one in range(1, _LAST_HOST - _FIRST_HOST + 2) if one not in taken), None)
        if number is None:
            raise ClusterError(f"{len(there)} nodes are as many as one machine holds")
        made = FurtherNode(name or f"node{number:02}", number, self._root / (name or f"node{number:02}"))
        if made.root.exists():
            raise ClusterError(f"there is a node {made.name!r} already: `pinnace node start {made.name}` starts it")
        made.paths.make()
        (made.root / "number").write_text(f"{number}\n", encoding="ascii")
        return made

    def connect(self, node: FurtherNode, pod_range: str) -> None:
        """Make a node's network, as far as it is missing; packets to `pod_range`, where all pods are, keep their senders.

        Raises:
            ClusterError: it cannot be made.
        """
        segment, machine = self._segment(), next(iter(local_addresses()), "")
        if not machine:
            raise ClusterError("further nodes need a machine with an address: it has no default route")
        if not _is_link(self._bridge):
            _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "replace", f"{segment}.1/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        # As the node that it is the machine speaks to these under the address that it has as one.
        _ip(
            "route",
            "replace",
            f"{segment}.0/24",
            "dev",
            self._bridge,
            "proto",
            "kernel",
            "scope",
            "link",
            "src",
            machine,
        )
        self._masquerade(segment, pod_range)
        inside, outside = "eth0", f"{self._link}{node.number}"
        if not node.namespace.exists():
            _ip("netns", "add", node.namespace.name)
        within = ("-n", node.namespace.name)
        if not _is_link(outside):
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", node.namespace.name)
        _ip("link", "set", outside, "master", self._bridge, "up")
        _ip(*within, "link", "set", "lo", "up")
        _ip(*within, "address", "replace", f"{segment}.{_FIRST_HOST - 1 + node.number}/24", "dev", inside)
        _ip(*within, "link", "set", inside, "up")
        _ip(*within, "route", "replace", "default", "via", f"{segment}.1")
        # The machine's own address is on the bridge as well: no router stands between its pods and these.
        _ip(*within, "route", "replace", f"{machine}/32", "dev", inside)

    def disconnect(self, node: FurtherNode) -> list[str]:
        """Take a node's network away; return what could not be. Harmless when there is none."""
        left = []
        if _is_link(f"{self._link}{node.number}"):
            left += _complaints("link", "delete", f"{self._link}{node.number}")
        if node.namespace.exists():
            left += _complaints("netns", "delete", node.namespace.name)
        return left

    def remove_bridge(self) -> list[str]:
        """Take away what all further nodes share; return what could not be."""
        left = _complaints("link", "delete", self._bridge) if _is_link(self._bridge) else []
        nft = NftCommand.find()
        if nft is not None:
            left += _run([nft.path, "-f", "-"], f"add table ip {self._table}\ndelete table ip {self._table}\n")
        return left

    def _segment(self) -> str:
        """Return the first three numbers of the bridge's addresses: chosen once, by the routes that there were."""
        chosen = self._root / "segment"
        if not chosen.exists():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            routes = Path("/proc/net/route").read_text(encoding="ascii")
            chosen.write_text(free_segment(routes, _segments_of_others(self._root)), encoding="ascii")
        return chosen.read_text(encoding="ascii").strip()

    def _masquerade(self, segment: str, pod_range: str) -> None:
        nft = NftCommand.find()
        if nft is None:
            raise ClusterError("further nodes need nft: see `pinnace doctor`")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
        script = f"""add table ip {self._table}
delete table ip {self._table}
table ip {self._table} {{
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {segment}.0/24 ip daddr != {{ {segment}.0/24, {pod_range} }} masquerade
	}}
}}
"""
        if complaint := _run([nft.path, "-f", "-"], script):
            raise ClusterError(complaint[0])


def free_segment(routes: str, taken: Iterable[str] = ()) -> str:
    """Return `172.30.n` such that no route of this machine leads into it, from the text of `/proc/net/route`."""
    used = {".".join(map(str, bytes.fromhex(line.split("\t")[1])[::-1][:3])) for line in routes.splitlines()[1:]}
    used |= set(taken)
    return next((f"172.30.{third}" for third in range(256) if f"172.30.{third}" not in used), "172.31.255")


def _segments_of_others(root: Path) -> list[str]:
    return [path.read_text(encoding="ascii").strip() for path in root.parent.parent.glob("*/nodes/segment")]


def _is_link(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


def _ip(*arguments: str) -> None:
    if complaint := _complaints(*arguments):
        raise ClusterError(complaint[0])


def _complaints(*arguments: str) -> list[str]:
    return _run([_tool("ip"), *arguments])


def _run(words: list[str], text: str = "") -> list[str]:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    return [f"{' '.join(words)}: {done.stderr.strip()}"] if done.returncode != 0 else []


def _tool(name: str) -> str:
    found = shutil.which(name, path=search_path())
    if found is None:
        raise ClusterError(f"further nodes need {name}, which is not installed")
    return os.fspath(found)
