"""Nodes of a cluster that a plain test has: stopped, started, added and removed by calls that wait."""

import pytest

from pinnace.api.core_v1 import Node
from pinnace.testing import SyncCluster


def status_of(cluster: SyncCluster, name: str) -> str:
    node = cluster.client.get(Node, name)
    return next(item.status for item in node.status.conditions if item.type == "Ready")


@pytest.mark.cluster(nodes=2)
def test_node_is_lost_and_comes_back(sync_cluster: SyncCluster) -> None:
    """A minute without a word makes it Unknown, and it is Ready again when it speaks."""
    sync_cluster.stop_node("node-1")
    sync_cluster.advance(seconds=65)
    assert status_of(sync_cluster, "node-1") == "Unknown"
    assert status_of(sync_cluster, "node-2") == "True"
    sync_cluster.start_node("node-1")
    sync_cluster.wait_ready(["node-1"])
    assert status_of(sync_cluster, "node-1") == "True"


def test_node_is_added_with_what_it_has_and_removed(sync_cluster: SyncCluster) -> None:
    """It is there when the call returns, as large as was said; and gone when the other one does."""
    sync_cluster.add_node("large", labels={"zone": "a"}, cpu="64", memory="256Gi")
    made = sync_cluster.client.get(Node, "large")
    assert (made.status.capacity["cpu"], made.metadata.labels["zone"]) == ("64", "a")
    sync_cluster.remove_node("large")
    assert [node.metadata.name for node in sync_cluster.client.list(Node).items] == ["node-1"]
