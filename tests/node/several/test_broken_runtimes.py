"""A containerd that dies or stands still below an agent, and a DNS that dies: the node says so, mends it, and keeps its pods."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pinnace.cluster.detached import command_lines
from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.several_nodes import REAL_NODES, containers_on, pinned, ready
from support.waiting import eventually

pytestmark = REAL_NODES

NODE = "node02"
# How long a runtime stands still, and within what time after that all is well.
HUNG_SECONDS, MENDED_SECONDS = 60.0, 60.0


def process_of(folder: Path, program: str) -> int:
    """The process of a node that has a file of its folder in its command line."""
    for pid, words in command_lines():
        if program in " ".join(words[:4]) and any(word.startswith(str(folder)) for word in words):
            return pid
    raise AssertionError(f"no {program} of {folder}")


def ready_condition(kubectl: Kubectl) -> dict[str, str]:
    conditions = kubectl.json("get", f"node/{NODE}")["status"]["conditions"]
    (one,) = [item for item in conditions if item["type"] == "Ready"]
    return dict(one)


def test_killed_containerd_and_dns_are_started_anew(several: RunningCluster, kubectl: Kubectl) -> None:
    """Nobody need look after them: pods run on as they were, new ones start, names are found, and the node is Ready all the time."""
    folder = several.data_dir / "nodes" / NODE
    kubectl("create", "-f", "-", stdin=pinned("stays", NODE))
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    before, since = containers_on(several, NODE), ready_condition(kubectl)["lastTransitionTime"]
    for program in ("containerd", "dns"):
        killed = process_of(folder / program, program)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: process_of(folder / program, program), lambda pid: pid != killed)  # noqa: B023 - called at once
    kubectl("create", "-f", "-", stdin=pinned("comes", NODE))
    kubectl("wait", "--for=condition=Ready", "pod/comes", "--timeout=60s")
    assert containers_on(several, NODE) > before
    assert kubectl("get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
    eventually(
        lambda: "10.96.0.1" in kubectl("exec", "stays", "--", "nslookup", "kubernetes.default.svc.cluster.local")
    )
    assert ready_condition(kubectl)["lastTransitionTime"] == since


@pytest.mark.long
def test_containerd_that_hangs_makes_the_node_not_ready_and_costs_no_pod(
    several: RunningCluster, kubectl: Kubectl
) -> None:
    """The node says what is the matter within the minute, its pods run on, and what was asked of it meanwhile is done after it."""
    kubectl("create", "-f", "-", stdin=pinned("stays", NODE))
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    before = containers_on(several, NODE)
    daemon = process_of(several.data_dir / "nodes" / NODE / "containerd", "containerd")
    os.kill(daemon, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        kubectl("create", "-f", "-", stdin=pinned("waits", NODE))
        told = eventually(lambda: ready_condition(kubectl), lambda one: one["status"] == "False", timeout=HUNG_SECONDS)
        assert (told["reason"], told["message"]) == ("KubeletNotReady", "container runtime is down")
        eventually(lambda: time.monotonic() - begun >= HUNG_SECONDS, timeout=HUNG_SECONDS + 5)
        assert containers_on(several, NODE) >= before
    finally:
        os.kill(daemon, signal.SIGCONT)
    eventually(lambda: ready(kubectl)[NODE], lambda status: status == "True", timeout=MENDED_SECONDS)
    kubectl("wait", "--for=condition=Ready", "pod/waits", "pod/stays", f"--timeout={MENDED_SECONDS:.0f}s")
    assert containers_on(several, NODE) >= before
    assert kubectl("get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
