"""How pods of a node get their network: the CNI configuration that containerd reads, and names that belong to one cluster alone.

`bridge` joins pods to the node, `host-local` gives addresses from the node's podCIDR, `portmap` opens hostPorts. The file is written
once the node has its podCIDR; until then containerd says that the network is not ready, and so does the node. Two clusters on one
machine share neither bridge nor addresses: both names come from the cluster's folder. Upstream: containernetworking's SPEC, 0.4.0.
"""

import hashlib
import json
import os
from pathlib import Path

from msgspec import Struct

CNI_VERSION = "0.4.0"


class PodNetwork(Struct, frozen=True):
    """The names of a cluster's pod network on this machine: `bridge` and `tunnel` fit into the kernel's 15 bytes, `metric` into 31 bits."""

    name: str
    bridge: str
    tunnel: str
    metric: int

    @property
    def masquerading(self) -> str:
        """The nftables table by which pods leave the cluster."""
        return f"{self.name}-pods"


def pod_network(root: Path) -> PodNetwork:
    """Return the names that belong to the cluster in this folder."""
    mark = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
    # Far behind all metrics that people use, so that a route of theirs to the same range goes first.
    metric = 1 << 30 | int(mark, 16) >> 2
    return PodNetwork(name=f"pinnace-{mark}", bridge=f"pin{mark}", tunnel=f"vx{mark}", metric=metric)


def free_range(routes: str, own: PodNetwork) -> str:
    """Return a range for pods that no route of this machine but our own leads into, from the text of `/proc/net/route`.

    10.244.0.0/16 unless another cluster of this machine, or its network, has that; the last one when all are taken.
    """
    taken = set()
    for line in routes.splitlines()[1:]:
        fields = line.split("\t")
        interface, destination, metric = fields[0], fields[1], fields[6]
        if interface not in {own.bridge, own.tunnel} and metric != str(own.metric):
            taken.add(tuple(bytes.fromhex(destination)[::-1][:2]))
    return next((f"10.{second}.0.0/16" for second in range(244, 255) if (10, second) not in taken), "10.255.0.0/16")


def conflist(network: PodNetwork, pod_cidr: str, data_dir: Path, *, masquerade: bool) -> str:
    """Return the configuration for a node whose pods live in `pod_cidr`.

    `masquerade` hides pods behind their node from everybody outside of that range, other nodes of the cluster included.
    """
    bridge = {
        "type": "bridge",
        "bridge": network.bridge,
        "isDefaultGateway": True,
        "ipMasq": masquerade,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": pod_cidr}]], "dataDir": str(data_dir)},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return json.dumps({"cniVersion": CNI_VERSION, "name": network.name, "plugins": [bridge, portmap]}, indent=2)


def write(folder: Path, data_dir: Path, network: PodNetwork, pod_cidr: str, *, masquerade: bool) -> bool:
    """Put the configuration where containerd finds it; tell whether that changed anything."""
    path, text = folder / "10-pinnace.conflist", conflist(network, pod_cidr, data_dir, masquerade=masquerade)
    if path.exists() and path.read_text() == text:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")  # a name that containerd does not take for a configuration
    temporary.write_text(text)
    temporary.replace(path)
    return True
