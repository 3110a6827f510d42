"""Further nodes on one machine: their names, numbers and segment."""

from pathlib import Path

import pytest

from pinnace.cluster.further_nodes import FurtherNodes, free_segment
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ClusterError

HEAD = "Iface\tDestination\tGateway\n"


def test_nodes_are_numbered_and_named_in_turn(tmp_path: Path) -> None:
    """A number that is free again is given again; a name is given once."""
    nodes = FurtherNodes(ClusterPaths(tmp_path))
    assert [nodes.new().name, nodes.new("extra").name, nodes.new().name] == ["node01", "extra", "node03"]
    assert [node.number for node in nodes.all()] == [1, 2, 3]
    with pytest.raises(ClusterError, match="there is a node 'extra' already"):
        nodes.new("extra")
    assert nodes.get("absent") is None


def test_segment_is_one_that_no_route_leads_into() -> None:
    """Neither a route of the machine nor another cluster's choice."""
    assert free_segment(HEAD) == "172.30.0"
    assert free_segment(HEAD + "eth1\t00001EAC\t00000000\n", ["172.30.1"]) == "172.30.2"
