"""Nodes that fall silent, and come back: line 6 of the lesson."""

from __future__ import annotations

import json
import os
import signal
import time

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.several_nodes import REAL_NODES, address_of, agent_of, containers_on, cut_off, ready
from support.waiting import eventually

GRACE_SECONDS, MONITOR_SECONDS = 50, 5
# Pods that leave a lost node soon, and one that stays.
MOVING = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: moving}
spec:
  replicas: 4
  selector: {matchLabels: {app: moving}}
  template:
    metadata: {labels: {app: moving}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: moving}}}
      containers: [{name: main, image: "ikubernetes/demoapp:v1.0"}]
"""

pytestmark = REAL_NODES


def test_nodes_that_are_lost_lose_their_pods_and_return(several: RunningCluster, kubectl: Kubectl) -> None:
    """Line 6: with its agent killed, and with its network cut, a node is NotReady after the grace period, and its pods move.

    Containers on the node whose agent was killed go on as the same processes, and an agent that is started again takes them over.
    """
    stay = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stays"}}
    container = {"name": "main", "image": "ikubernetes/demoapp:v1.0"}
    tolerate = [{"operator": "Exists"}]
    stay["spec"] = {"nodeName": "node01", "containers": [container], "tolerations": tolerate}
    kubectl("create", "-f", "-", stdin=json.dumps(stay))
    kubectl("create", "-f", "-", stdin=MOVING)
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    kubectl("rollout", "status", "deployment/moving", "--timeout=60s")
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
        for name in ("node01", "node02"):
            assert "node.kubernetes.io/unreachable" in {taint["key"] for taint in taints[name]}
        assert containers_on(several, "node01") >= before
        eventually(lambda: deletions(kubectl), lambda gone: gone >= {"node01", "node02"}, timeout=45)
    several.pinnace("node", "start", "node01")
    eventually(lambda: ready(kubectl), lambda now: set(now.values()) == {"True"}, timeout=60)
    eventually(
        lambda: [node["spec"].get("taints", []) for node in kubectl.json("get", "nodes")["items"]],
        lambda taints: not any(taints),
        timeout=20,
    )
    kubectl("rollout", "status", "deployment/moving", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=30s")
    assert kubectl("get", "pod", "stays", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == restarts
    assert kubectl("exec", "stays", "--", "hostname").strip() == "stays"


def deletions(kubectl: Kubectl) -> set[str]:
    """The nodes that pods of the Deployment are leaving."""
    pods = kubectl.json("get", "pods", "-l", "app=moving")["items"]
    return {pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" in pod["metadata"]}
