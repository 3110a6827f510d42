"""Which nodes pods are routed to, and who sees a pod's own address."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from pinnace.api.core_v1 import Node, NodeAddress, NodeSpec, NodeStatus, NodeSystemInfo
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.network.netlink import Place, hardware_address
from pinnace.network.pod_routes import masquerade, peers


def node(name: str, address: str, cidr: str, runtime: str = "containerd://1.6.20") -> Node:
    addresses = (NodeAddress(type="InternalIP", address=address),) if address else ()
    status = NodeStatus(addresses=addresses, node_info=NodeSystemInfo(container_runtime_version=runtime))
    return Node(metadata=ObjectMeta(name=name), spec=NodeSpec(pod_cidr=cidr), status=status)


@pytest.mark.parametrize(
    "left_out",
    [
        pytest.param(node("b", "", "10.244.1.0/24"), id="no address yet"),
        pytest.param(node("b", "192.0.2.2", ""), id="no range yet"),
        pytest.param(node("b", "192.0.2.2", "10.244.1.0/24", "simulated://1.0"), id="nobody is there"),
        pytest.param(node("b", "2001:db8::2", "fd00::/64"), id="of the other family"),
    ],
)
def test_nodes_that_cannot_be_reached_are_left_out(left_out: Node) -> None:
    """A node takes part once it has a range, an address, and a kernel."""
    found = peers([node("a", "192.0.2.1", "10.244.0.0/24"), left_out])
    assert found == {"a": Place(IPv4Network("10.244.0.0/24"), IPv4Address("192.0.2.1"))}


def test_pods_are_hidden_from_all_but_the_cluster() -> None:
    """Whoever is no pod and no node sees the node's address; only this node's pods are hidden here."""
    own = Place(IPv4Network("10.244.0.0/24"), IPv4Address("192.0.2.1"))
    other = Place(IPv4Network("10.244.1.0/24"), IPv4Address("192.0.2.2"))
    script = masquerade("t", own, [other])
    assert "elements = { 10.244.0.0/24, 10.244.1.0/24 }" in script
    assert "elements = { 192.0.2.1, 192.0.2.2 }" in script
    assert "ip saddr 10.244.0.0/24 ip daddr != @pods ip daddr != @nodes" in script


def test_ends_of_tunnels_have_addresses_of_their_own() -> None:
    """Local ones, which differ where the ranges do."""
    ranges = (IPv4Network("10.244.0.0/24"), IPv4Network("10.244.1.0/24"))
    assert [hardware_address(pods) for pods in ranges] == ["02:50:0a:f4:00:00", "02:50:0a:f4:01:00"]
