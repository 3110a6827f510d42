"""Nodes that fall silent, and come back: line 6 of the lesson."""

from __future__ import annotations

import os
import signal
import time

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.several_nodes import REAL_NODES, address_of, agent_of, containers_on, cut_off, pinned, ready
from support.waiting import eventually

GRACE_SECONDS, MONITOR_SECONDS = 50, 5
LOST = ("node01", "node02")
# One pod that is on a node as long as there is that node, and leaves it soon when it is lost.
MOVING = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: from-{node}, labels: {{test: moving}}}}
spec:
  selector: {{matchLabels: {{app: from-{node}}}}}
  template:
    metadata: {{labels: {{app: from-{node}, test: moving}}}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}}
      affinity:
        nodeAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - {{weight: 100, preference: {{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]}}}}
      containers: [{{name: main, image: "ikubernetes/demoapp:v1.0"}}]
"""

pytestmark = REAL_NODES


def test_nodes_that_are_lost_lose_their_pods_and_return(several: RunningCluster, kubectl: Kubectl) -> None:
    """Line 6: with its agent killed, and with its network cut, a node is NotReady after the grace period, and its pods move.

    Containers on the node whose agent was killed go on as the same processes, and an agent that is started again takes them over.
    """
    kubectl("create", "-f", "-", stdin=pinned("stays", "node01"))
    for node in LOST:
        kubectl("create", "-f", "-", stdin=MOVING.format(node=node))
        kubectl("rollout", "status", f"deployment/from-{node}", "--timeout=60s")
    assert nodes_of(kubectl) == set(LOST)
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    before = containers_on(several, "node01")
    assert before
    restarts = kubectl("get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
    with cut_off(address_of(kubectl, "node02")):
        os.kill(agent_of(several, "node01"), signal.SIGKILL)
        lost = time.monotonic()
        seen = eventually(lambda: ready(kubectl), lambda now: now["node01"] == now["node02"] == "Unknown", timeout=90)
        waited = time.monotonic() - lost
        # The last renewal was up to 10 s before.
        assert GRACE_SECONDS - 12 <= waited <= GRACE_SECONDS + MONITOR_SECONDS + 10, waited
        assert seen["master01"] == "True"
        taints = {
            node["metadata"]["name"]: node["spec"].get("taints", []) for node in kubectl.json("get", "nodes")["items"]
        }
        for name in LOST:
            assert "node.kubernetes.io/unreachable" in {taint["key"] for taint in taints[name]}
        assert containers_on(several, "node01") >= before
        # Nodes of a zone are given up at one in ten seconds.
        eventually(lambda: nodes_of(kubectl, leaving=True), lambda left: left == set(LOST), timeout=45)
        for node in LOST:
            kubectl("rollout", "status", f"deployment/from-{node}", "--timeout=60s")
        assert nodes_of(kubectl) == {"master01"}
    several.pinnace("node", "start", "node01")
    eventually(lambda: ready(kubectl), lambda now: set(now.values()) == {"True"}, timeout=60)
    eventually(
        lambda: [node["spec"].get("taints", []) for node in kubectl.json("get", "nodes")["items"]],
        lambda taints: not any(taints),
        timeout=20,
    )
    eventually(lambda: nodes_of(kubectl, leaving=True), lambda left: not left, timeout=60)
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=30s")
    assert kubectl("get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == restarts
    assert kubectl("exec", "stays", "--", "hostname").strip() == "stays"


def nodes_of(kubectl: Kubectl, *, leaving: bool = False) -> set[str]:
    """The nodes of those pods that may move: of those that are to stay where they are, or of those that are leaving."""
    pods = kubectl.json("get", "pods", "-l", "test=moving")["items"]
    return {pod["spec"].get("nodeName", "") for pod in pods if ("deletionTimestamp" in pod["metadata"]) is leaving}
