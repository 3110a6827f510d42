"""The pods' network as containerd is told about it."""

import json
from pathlib import Path

from pinnace.cluster import cni


def test_names_belong_to_one_folder_and_fit_the_kernel():
    """Two clusters on one machine share no bridge; an interface's name has at most 15 bytes."""
    one, other = cni.pod_network(Path("/a")), cni.pod_network(Path("/b"))
    assert {one.name, one.bridge, one.tunnel, one.metric}.isdisjoint({
        other.name,
        other.bridge,
        other.tunnel,
        other.metric,
    })
    assert max(map(len, (one.bridge, one.tunnel))) <= 15
    assert 0 < one.metric < 1 << 31


def test_conflist_gives_addresses_of_the_nodes_range_and_keeps_them_in_the_cluster():
    """The subnet is the node's podCIDR, and host-local writes below the given folder."""
    network = cni.pod_network(Path("/a"))
    config = json.loads(cni.conflist(network, "10.244.3.0/24", Path("/a/networks"), masquerade=False))
    bridge, portmap = config["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]
    assert bridge["ipam"]["dataDir"] == "/a/networks"
    assert (bridge["type"], portmap["type"], portmap["capabilities"]) == ("bridge", "portmap", {"portMappings": True})


def test_write_changes_the_file_only_when_the_range_does(tmp_path):
    """containerd reloads on every change of the folder, so an unchanged file is left alone; no second file appears."""
    network = cni.pod_network(tmp_path)
    assert cni.write(tmp_path / "net.d", tmp_path, network, "10.244.0.0/24", masquerade=False)
    assert not cni.write(tmp_path / "net.d", tmp_path, network, "10.244.0.0/24", masquerade=False)
    assert cni.write(tmp_path / "net.d", tmp_path, network, "10.244.1.0/24", masquerade=False)
    assert [path.name for path in (tmp_path / "net.d").iterdir()] == ["10-pinnace.conflist"]


def test_the_pods_range_is_one_that_no_other_network_has():
    """The usual range, unless somebody else's route leads into it; the cluster's own bridge and routes do not count."""
    own = cni.pod_network(Path("/a"))

    def found(*rows: tuple[str, str, int]) -> str:
        head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
        lines = (f"{link}\t{destination}\t00000000\t0001\t0\t0\t{metric}\t0\n" for link, destination, metric in rows)
        return cni.free_range(head + "".join(lines), own)

    assert found(("eth0", "00000000", 0)) == "10.244.0.0/16"
    assert found((own.bridge, "0000F40A", 0)) == "10.244.0.0/16"
    assert found(("eth0", "0001F40A", own.metric)) == "10.244.0.0/16"
    assert found(("pin2", "0000F40A", 0)) == "10.245.0.0/16"
