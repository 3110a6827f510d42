"""The pods' network as containerd is told about it."""

import json
from pathlib import Path

from pinnace.cluster import cni


def test_names_belong_to_one_folder_and_fit_the_kernel():
    """Two clusters on one machine share no bridge; an interface's name has at most 15 bytes."""
    one, other = cni.pod_network(Path("/a")), cni.pod_network(Path("/b"))
    assert {one.name, one.bridge}.isdisjoint({other.name, other.bridge})
    assert len(one.bridge) <= 15


def test_conflist_gives_addresses_of_the_nodes_range_and_keeps_them_in_the_cluster():
    """The subnet is the node's podCIDR, and host-local writes below the given folder."""
    config = json.loads(cni.conflist(cni.pod_network(Path("/a")), "10.244.3.0/24", Path("/a/networks")))
    bridge, portmap = config["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]
    assert bridge["ipam"]["dataDir"] == "/a/networks"
    assert (bridge["type"], portmap["type"], portmap["capabilities"]) == ("bridge", "portmap", {"portMappings": True})


def test_write_changes_the_file_only_when_the_range_does(tmp_path):
    """containerd reloads on every change of the folder, so an unchanged file is left alone; no second file appears."""
    network = cni.pod_network(tmp_path)
    assert cni.write(tmp_path / "net.d", tmp_path, network, "10.244.0.0/24")
    assert not cni.write(tmp_path / "net.d", tmp_path, network, "10.244.0.0/24")
    assert cni.write(tmp_path / "net.d", tmp_path, network, "10.244.1.0/24")
    assert [path.name for path in (tmp_path / "net.d").iterdir()] == ["10-pinnace.conflist"]


def test_the_pods_range_is_one_that_no_other_network_has():
    """The usual range, unless somebody else's route leads into it; the cluster's own bridge does not count."""
    head = "Iface\tDestination\tGateway\n"
    assert cni.free_range(head + "eth0\t00000000\t0102A8C0\n", "pin1") == "10.244.0.0/16"
    assert cni.free_range(head + "pin1\t0000F40A\t00000000\n", "pin1") == "10.244.0.0/16"
    assert cni.free_range(head + "pin2\t0000F40A\t00000000\n", "pin1") == "10.245.0.0/16"
