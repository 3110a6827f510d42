"""An agent that is killed, in the middle of whatever it does: its pods do not notice, the next one takes them over, and nothing is left over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd_config import ContainerdPaths
from pinnace.cluster.further_nodes import FurtherNodes
from pinnace.cluster.mounts import mount_points
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import is_locked, server_process
from support.clusters import RunningCluster, program
from support.kubectl import Kubectl
from support.several_nodes import REAL_NODES, agent_of, containers_on, lines_of
from support.waiting import eventually

pytestmark = REAL_NODES

NODE, PODS = "node02", 30
# Many pods that stay.
STAYING = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: staying}}
spec:
  replicas: {PODS}
  selector: {{matchLabels: {{app: staying}}}}
  template:
    metadata: {{labels: {{app: staying}}}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {{kubernetes.io/hostname: {NODE}}}
      containers: [{{name: main, image: "ikubernetes/demoapp:v1.0", resources: {{requests: {{cpu: 1m}}}}}}]
"""
# One that is replaced at every kill, so that each finds the agent at work.
MOVING = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: moving}}
spec:
  selector: {{matchLabels: {{app: moving}}}}
  template:
    metadata: {{labels: {{app: moving}}}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {{kubernetes.io/hostname: {NODE}}}
      volumes: [{{name: scratch, emptyDir: {{medium: Memory}}}}]
      containers: [{{name: main, image: "ikubernetes/demoapp:v1.0", volumeMounts: [{{name: scratch, mountPath: /scratch}}]}}]
"""


def held(cluster: RunningCluster) -> dict[str, int]:
    """How much of each thing that pods need the node has."""
    node = FurtherNodes(ClusterPaths(cluster.data_dir)).get(NODE)
    assert node is not None
    network = pod_network(node.root)
    addresses = ContainerdPaths(node.root / "containerd").cni_data / network.name
    return {
        "processes": len(containers_on(cluster, NODE)),
        "mounts": len(mount_points(Path("/proc/self/mountinfo").read_text(), node.root)),
        "devices": len(lines_of(*node.command(), "ip", "-o", "link", "show", "type", "veth")),
        "addresses": len(list(addresses.glob("*.*.*.*"))),
        "cgroups": len(list(Path("/sys/fs/cgroup").glob(f"**/{network.name}/**/pod*"))),
        "folders": len(list((node.root / "kubelet/pods").iterdir())),
    }


def paths_of_node(cluster: RunningCluster) -> ClusterPaths:
    return ClusterPaths(cluster.data_dir / "nodes" / NODE)


def kill(cluster: RunningCluster, pid: int) -> None:
    """Kill the agent; return when it has ended, as a start before that would find it alive."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_locked(paths_of_node(cluster)), lambda locked: not locked, every=0.01)


def runs(kubectl: Kubectl) -> dict[str, tuple[str, int]]:
    """Of each pod that stays: its container and how often it was restarted."""
    return {
        pod["metadata"]["name"]: (status["containerID"], status["restartCount"])
        for pod in kubectl.json("get", "pods", "-l", "app=staying")["items"]
        for status in pod["status"]["containerStatuses"]
    }


def kills_during_start(cluster: RunningCluster) -> None:
    """Start the agent, and kill it as soon as it is there."""
    paths = paths_of_node(cluster)
    words = [str(program()), "node", "start", NODE, "--name", cluster.name, "--data-dir", str(cluster.data_dir)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starting:
        pid = eventually(lambda: server_process(paths), every=0.02)
        assert pid is not None
        kill(cluster, pid)
        assert starting.wait() == 1


@pytest.fixture
def crowd(several: RunningCluster, kubectl: Kubectl) -> Iterator[Kubectl]:
    """A namespace with many pods, running, which are gone at the end, so that the next test finds the node as it was."""
    kubectl("create", "-f", "-", stdin=STAYING)
    kubectl("rollout", "status", "deployment/staying", "--timeout=120s")
    yield kubectl
    kubectl("delete", "deployments", "--all")
    eventually(lambda: kubectl.json("get", "pods")["items"], lambda left: not left, timeout=60)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kills", [pytest.param(10, id="10"), pytest.param(100, id="100", marks=pytest.mark.long)])
def test_agent_that_is_killed_again_and_again_keeps_its_pods(
    several: RunningCluster, crowd: Kubectl, capsys: pytest.CaptureFixture[str], kills: int
) -> None:
    """Killed at work and at its start by turns: the same processes, no restart, nothing left over, and the next agent answers for all."""
    processes, before = containers_on(several, NODE), runs(crowd)
    assert len(before) == PODS
    crowd("create", "-f", "-", stdin=MOVING)
    crowd("rollout", "status", "deployment/moving", "--timeout=60s")
    there = held(several)
    moved = {pod["metadata"]["uid"] for pod in crowd.json("get", "pods", "-l", "app=moving")["items"]}
    done = 0
    while done < kills:
        crowd("delete", "pods", "-l", "app=moving", "--wait=false")
        kill(several, agent_of(several, NODE))
        done += 1
        if done < kills:
            kills_during_start(several)
            done += 1
        several.pinnace("node", "start", NODE)
        assert runs(crowd) == before
    crowd("rollout", "status", "deployment/moving", "--timeout=60s")
    eventually(lambda: len(crowd.json("get", "pods", "-l", "app=moving")["items"]), lambda count: count == 1)
    assert not moved & {pod["metadata"]["uid"] for pod in crowd.json("get", "pods", "-l", "app=moving")["items"]}
    eventually(lambda: held(several), lambda now: now == there, timeout=60)
    assert processes <= containers_on(several, NODE)
    for name in list(before)[:3]:
        assert crowd("exec", name, "--", "hostname").strip() == name
    with capsys.disabled():
        print(f"\n{done} kills of an agent with {PODS} pods: same processes, no restarts, nothing left over")
