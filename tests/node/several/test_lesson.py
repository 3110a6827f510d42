"""What the lesson shows of several nodes: lines 1 to 4, and how they became members."""

from __future__ import annotations

import re

from support.kubectl import Kubectl
from support.several_nodes import NAMES, REAL_NODES, address_of

pytestmark = REAL_NODES


def test_nodes_are_listed_with_their_roles(kubectl: Kubectl) -> None:
    """Line 1: the first node shows that it has the control plane, the others no role, all are Ready."""
    header, *rows = kubectl("get", "node").splitlines()
    assert header.split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert [row.split()[:3] for row in rows] == [
        ["master01", "Ready", "control-plane"],
        ["node01", "Ready", "<none>"],
        ["node02", "Ready", "<none>"],
    ]


def test_each_node_has_a_range_and_an_address_of_its_own(kubectl: Kubectl) -> None:
    """Lines 2 and 3: no two nodes share addresses or a range for pods."""
    nodes = kubectl.json("get", "nodes")["items"]
    assert len({node["spec"]["podCIDR"] for node in nodes}) == len(nodes)
    assert all(re.fullmatch(r"10\.\d+\.\d+\.0/24", node["spec"]["podCIDR"]) for node in nodes)
    assert len({address_of(kubectl, name) for name in NAMES}) == len(NAMES)


def test_each_node_has_a_lease_of_its_own(kubectl: Kubectl) -> None:
    """Line 4: one lease a node, held by it and owned by its object."""
    uids = {node["metadata"]["name"]: node["metadata"]["uid"] for node in kubectl.json("get", "nodes")["items"]}
    leases = kubectl.json("get", "leases", "-n", "kube-node-lease")["items"]
    assert {lease["spec"]["holderIdentity"]: lease["metadata"]["ownerReferences"][0]["uid"] for lease in leases} == uids


def test_nodes_hold_certificates_that_were_asked_for(kubectl: Kubectl) -> None:
    """A further node joined by its token, and asked for the certificate of its server as itself; both were granted."""
    asked = {
        (request["spec"]["signerName"], request["spec"]["username"].partition(":")[2].partition(":")[0]): state
        for request in kubectl.json("get", "csr")["items"]
        for state in [[one["type"] for one in request["status"]["conditions"]]]
        if request["status"].get("certificate")
    }
    assert asked == {
        ("kubernetes.io/kube-apiserver-client-kubelet", "bootstrap"): ["Approved"],
        ("kubernetes.io/kubelet-serving", "node"): ["Approved"],
    }
