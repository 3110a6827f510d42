"""Networks that fail in part: packets that are lost, moments without any, and a direction that is dead, in real time."""

from __future__ import annotations

import time

import pytest

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.several_nodes import REAL_NODES, TO, address_of, containers_on, cut_off, pinned, ready
from support.waiting import eventually

pytestmark = [*REAL_NODES, pytest.mark.long]

NODE = "node02"
# Of a network that comes and goes: how long it is looked at, how often it is away, for how long, and what else it loses.
FLAPPING_SECONDS, PERIOD_SECONDS, AWAY_SECONDS, LOST_PERCENT = 120.0, 20.0, 3.0, 30
# A silence that is longer than any that TCP or an agent takes for a moment's.
DEAD_SECONDS = 75.0


def wait_until(moment: float) -> None:
    eventually(lambda: time.monotonic() >= moment, timeout=moment - time.monotonic() + 5)


def test_node_of_a_bad_network_is_ready_all_the_time(kubectl: Kubectl) -> None:
    """With a third of its packets lost, and none at all for moments, a node neither becomes NotReady nor loses a pod."""
    kubectl("create", "-f", "-", stdin=pinned("stays", NODE))
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    address = address_of(kubectl, NODE)

    def since() -> str:
        conditions = kubectl.json("get", f"node/{NODE}")["status"]["conditions"]
        (one,) = [item for item in conditions if item["type"] == "Ready"]
        assert one["status"] == "True"
        return str(one["lastTransitionTime"])

    before, end = since(), time.monotonic() + FLAPPING_SECONDS
    with cut_off(address, percent=LOST_PERCENT):
        while (begun := time.monotonic()) < end:
            with cut_off(address):
                wait_until(begun + AWAY_SECONDS)
            wait_until(begun + PERIOD_SECONDS)
            assert since() == before
    assert kubectl("get", "pod", "stays", "-o", "jsonpath={.metadata.deletionTimestamp}") == ""
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=30s")


def test_node_that_hears_nothing_goes_on_and_catches_up(several: RunningCluster, kubectl: Kubectl) -> None:
    """While nothing reaches it, a node is given up and its pods run on; soon after the healing it does what it missed."""
    kubectl("create", "-f", "-", stdin=pinned("stays", NODE))
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    processes = containers_on(several, NODE)
    with cut_off(address_of(kubectl, NODE), TO):
        begun = time.monotonic()
        kubectl("create", "-f", "-", stdin=pinned("missed", NODE))
        eventually(lambda: ready(kubectl)[NODE], lambda status: status == "Unknown", timeout=90)
        wait_until(begun + DEAD_SECONDS)
        assert containers_on(several, NODE) >= processes
    eventually(lambda: ready(kubectl)[NODE], lambda status: status == "True", timeout=30)
    kubectl("wait", "--for=condition=Ready", "pod/missed", "--timeout=30s")
    assert containers_on(several, NODE) >= processes
    assert kubectl("get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
