"""A cluster with real pods through what befalls it: interruptions at any moment, a reboot, its removal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.conftest import missing_for_real_pods
from pinnace.cluster import containerd_cleanup
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd_config import ContainerdPaths
from pinnace.cluster.detached import command_lines
from pinnace.cluster.mounts import mount_points
from support.commands import Commands
from support.kubectl import Kubectl, installed
from support.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing_for_real_pods()), reason=missing_for_real_pods()),
    pytest.mark.timeout(300),
]

# One pod with everything that leaves traces: a mapped port, a volume in memory, limits; and a Service in front of it.
TRACES = """
apiVersion: v1
kind: Pod
metadata: {name: traces, labels: {app: traces}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
  containers:
  - name: main
    image: ikubernetes/demoapp:v1.0
    ports: [{containerPort: 80, hostPort: 18095}]
    volumeMounts: [{name: memory, mountPath: /memory}]
    resources: {limits: {cpu: 100m, memory: 32Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: traces}
spec: {selector: {app: traces}, ports: [{port: 80}]}
"""


@dataclass(frozen=True, slots=True)
class Traces:
    """What one cluster has on this machine outside of its folder."""

    data_dir: Path

    def seen(self) -> dict[str, list[str]]:
        """Return what is there, by sort; a sort of which nothing is there is left out."""
        network = pod_network(self.data_dir)
        found = {
            "processes": [" ".join(words) for _, words in command_lines() if str(self.data_dir) in " ".join(words)],
            "mounts": mount_points(Path("/proc/self/mountinfo").read_text(), self.data_dir),
            "devices": [path.name for path in Path("/sys/class/net").iterdir() if path.name == network.bridge],
            "tables": [line for line in _lines("nft", "list", "tables") if network.name in line],
            "rules": [line for line in _lines("iptables-save") if network.name in line],
            "cgroups": [path for path in _folders("/sys/fs/cgroup") if network.name in path],
            "results": [str(path) for path in Path("/var/lib/cni/results").glob(f"{network.name}*")],
            "files": [str(self.data_dir)] if self.data_dir.exists() else [],
        }
        return {sort: listed for sort, listed in found.items() if listed}


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def _folders(root: str) -> list[str]:
    return [path for path, _, _ in os.walk(root)]


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    yield from Commands.fresh(tmp_path)


def up(commands: Commands) -> None:
    done = commands.run("up", "--port", "0")
    assert done.returncode == 0, done.stderr


def kubectl_of(commands: Commands) -> Kubectl:
    program = installed()
    assert program, "no kubectl on PATH"
    return Kubectl(program, commands.data_dir / "admin.kubeconfig")


def restarts(kubectl: Kubectl) -> int:
    """Return how often the pod was started anew; it has to be ready."""
    (found,) = kubectl.json("get", "pod", "traces")["status"]["containerStatuses"]
    assert found["ready"], found
    return int(found["restartCount"])


def test_delete_takes_every_trace_along(commands: Commands) -> None:
    """Processes, mounts, devices, tables, rules, cgroups, files and the kubeconfig's entries are there, and then they are not."""
    up(commands)
    traces, kubectl = Traces(commands.data_dir), kubectl_of(commands)
    eventually(lambda: kubectl("get", "serviceaccount", "default"))
    kubectl("create", "-f", "-", stdin=TRACES)
    assert eventually(lambda: restarts(kubectl), lambda count: count == 0) == 0
    there = eventually(traces.seen, lambda seen: len(seen) == 8)
    assert len(there["processes"]) >= 4  # server, containerd, two shims' worth of pods, DNS
    containers = {line["metadata"]["uid"] for line in kubectl.json("get", "pods", "-A")["items"]}
    assert commands.run("delete").returncode == 0
    assert traces.seen() == {}
    assert "cli-test" not in commands.kubeconfig.read_text()
    assert not [path for path in _folders("/run") for uid in containers if uid in path]
    assert commands.run("delete").returncode == 0


def test_up_finds_what_runs_and_changes_nothing(commands: Commands) -> None:
    """A second `up` leaves the server, containerd and every container as they are."""
    up(commands)
    kubectl = kubectl_of(commands)
    eventually(lambda: kubectl("get", "serviceaccount", "default"))
    kubectl("create", "-f", "-", stdin=TRACES)
    eventually(lambda: restarts(kubectl), lambda count: count == 0)
    before = sorted(pid for pid, words in command_lines() if str(commands.data_dir) in " ".join(words))
    up(commands)
    after = sorted(pid for pid, words in command_lines() if str(commands.data_dir) in " ".join(words))
    assert after == before


# What `up` makes on its way, in that order: a moment is when one of them appears.
MOMENTS = (
    "server.lock", "server.log", "pki/ca.crt", "store/state.db", "admin.kubeconfig",
    "containerd/config.toml", "containerd/containerd.sock", "kubelet", "server.json",
)  # fmt: skip

# Those that every run tries.
EARLY_MIDDLE_LATE = ("server.lock", "store/state.db", "containerd/containerd.sock")
at_each_moment = pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=() if moment in EARLY_MIDDLE_LATE else pytest.mark.long) for moment in MOMENTS],
)


def interrupted(commands: Commands, command: str, *arguments: str, moment: str, gone: bool = False) -> int:
    """Start a command, press Ctrl-C when a file appears, or is gone, and return how it ended."""
    path = commands.data_dir / moment
    running = subprocess.Popen(
        commands.words(command, *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=commands.environment,
    )
    eventually(lambda: path.exists() is not gone or running.poll() is not None, every=0.001)
    running.send_signal(signal.SIGINT)
    return running.wait(timeout=60)


@at_each_moment
def test_interrupted_up_leaves_what_every_command_can_handle(commands: Commands, moment: str) -> None:
    """Wherever Ctrl-C meets it: the status can be asked, the next `up` ends well, and `delete` leaves nothing."""
    interrupted(commands, "up", "--port", "0", moment=moment)
    assert commands.run("status", "-o", "json").returncode in {0, 1}
    up(commands)
    assert "Ready" in kubectl_of(commands)("get", "nodes")
    assert commands.run("delete").returncode == 0
    assert Traces(commands.data_dir).seen() == {}


@at_each_moment
def test_delete_right_after_an_interrupted_up_leaves_nothing(commands: Commands, moment: str) -> None:
    """Somebody who changes their mind is rid of it at once."""
    interrupted(commands, "up", "--port", "0", moment=moment)
    done = commands.run("delete")
    assert done.returncode == 0, done.stderr
    assert Traces(commands.data_dir).seen() == {}


@pytest.mark.parametrize("command", ["down", "delete"])
@pytest.mark.parametrize("moment", ["server.json", "containerd/containerd.sock"])
def test_interrupted_end_can_be_ended(commands: Commands, command: str, moment: str) -> None:
    """Ctrl-C while a cluster goes down, or away: the next `up` brings it back, the next `delete` takes it away."""
    up(commands)
    interrupted(commands, command, moment=moment, gone=True)
    up(commands)
    assert "Ready" in kubectl_of(commands)("get", "nodes")
    interrupted(commands, command, moment=moment, gone=True)
    assert commands.run("delete").returncode == 0
    assert Traces(commands.data_dir).seen() == {}


def power_off(commands: Commands) -> None:
    """Leave of a cluster what a machine has after a reboot: its files, and nothing that lived in the kernel."""
    paths, network = ContainerdPaths(commands.data_dir / "containerd"), pod_network(commands.data_dir)
    ours = [pid for pid, words in command_lines() if str(commands.data_dir) in " ".join(words)]
    for pid in (*ours, *containerd_cleanup.container_processes(paths.socket)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: "processes" not in Traces(commands.data_dir).seen())
    subprocess.run(
        ["umount", "--lazy", *mount_points(Path("/proc/self/mountinfo").read_text(), commands.data_dir)], check=True
    )
    subprocess.run(["ip", "link", "delete", network.bridge], check=True)
    subprocess.run(["nft", "delete", "table", "ip", network.name], check=True)
    paths.boot_id.write_text("another boot")


def test_up_after_a_reboot_brings_every_pod_back(commands: Commands) -> None:
    """Objects are as they were, and their containers run again, each counted as restarted."""
    up(commands)
    kubectl = kubectl_of(commands)
    eventually(lambda: kubectl("get", "serviceaccount", "default"))
    kubectl("create", "-f", "-", stdin=TRACES)
    eventually(lambda: restarts(kubectl), lambda count: count == 0)
    uid = kubectl.json("get", "pod", "traces")["metadata"]["uid"]
    power_off(commands)
    up(commands)
    kubectl = kubectl_of(commands)
    assert eventually(lambda: restarts(kubectl), lambda count: count > 0, timeout=60) >= 1
    pod = kubectl.json("get", "pod", "traces")
    assert pod["metadata"]["uid"] == uid
    state = json.loads(commands.run("status", "-o", "json").stdout)
    assert state["running"] is True
