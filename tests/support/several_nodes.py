"""A cluster of several real nodes on one machine: what its tests ask it, and what it may leave behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.conftest import missing_for_real_pods
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd_cleanup import container_processes
from pinnace.cluster.containerd_config import ContainerdPaths
from pinnace.cluster.mounts import mount_points
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import server_process
from support.clusters import RunningCluster
from support.kubectl import Kubectl

# Where real nodes cannot be had, their tests are skipped.
REAL_NODES = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing_for_real_pods()), reason=missing_for_real_pods()),
    pytest.mark.timeout(300),
]
NAMES = ["master01", "node01", "node02"]


def traces(data_dir: Path) -> dict[str, list[str]]:
    """What a cluster has on this machine outside of its folder; a sort of which nothing is there is left out."""
    roots = (data_dir, *(data_dir / "nodes" / name for name in (*NAMES, "extra")))
    marks = {pod_network(root).name.removeprefix("pinnace-") for root in roots}

    def marked(lines: list[str]) -> list[str]:
        return [line for line in lines if any(mark in line for mark in marks)]

    found = {
        "processes": [line for line in lines_of("ps", "-eo", "args") if str(data_dir) in line],
        "mounts": mount_points(Path("/proc/self/mountinfo").read_text(), data_dir),
        "devices": marked([path.name for path in Path("/sys/class/net").iterdir()]),
        "namespaces": marked(lines_of("ip", "netns", "list")),
        "tables": marked(lines_of("nft", "list", "tables")),
        "rules": marked(lines_of("iptables-save")),
        "routes": [line for line in lines_of("ip", "route") if f"metric {pod_network(data_dir).metric}" in line],
        "cgroups": marked([str(path) for path in Path("/sys/fs/cgroup").glob("**/pinnace-*")]),
        "results": marked([str(path) for path in Path("/var/lib/cni/results").glob("*")]),
        "files": [str(data_dir)] if data_dir.exists() else [],
    }
    return {sort: listed for sort, listed in found.items() if listed}


def lines_of(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def ready(kubectl: Kubectl) -> dict[str, str]:
    """The status of the Ready condition, by node."""
    return {
        node["metadata"]["name"]: {one["type"]: one["status"] for one in node["status"]["conditions"]}.get("Ready", "")
        for node in kubectl.json("get", "nodes")["items"]
    }


def address_of(kubectl: Kubectl, node: str) -> str:
    shown = kubectl.json("get", f"node/{node}")
    return next(one["address"] for one in shown["status"]["addresses"] if one["type"] == "InternalIP")


def pods_of(kubectl: Kubectl, app: str) -> dict[str, dict[str, Any]]:
    """Pods of one label, by node."""
    return {pod["spec"]["nodeName"]: pod for pod in kubectl.json("get", "pods", "-l", f"app={app}")["items"]}


def fetch(kubectl: Kubectl, pod: str, host: str, port: int = 80) -> str:
    """What a server tells a pod: who the client is, and who itself."""
    ask = f"printf 'GET /cgi-bin/index.cgi HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {host} {port}"
    return kubectl("exec", "-i", pod, "--", "sh", "-c", ask).splitlines()[-1]


def agent_of(cluster: RunningCluster, node: str) -> int:
    found = server_process(ClusterPaths(cluster.data_dir / "nodes" / node))
    assert found is not None, f"no agent of {node}"
    return found


def pinned(name: str, node: str) -> str:
    """A pod on a node, which stays there whatever is said of the node."""
    container = {"name": "main", "image": "ikubernetes/demoapp:v1.0"}
    spec = {"nodeName": node, "containers": [container], "tolerations": [{"operator": "Exists"}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def containers_on(cluster: RunningCluster, node: str) -> set[int]:
    return set(container_processes(ContainerdPaths(cluster.data_dir / "nodes" / node / "containerd").socket))


# Which packets a cut drops: those from an address, and those to it; as hooks, and the side of a packet that is looked at there.
FROM, TO = (("prerouting", "saddr"),), (("output", "daddr"), ("forward", "daddr"))


@contextmanager
def cut_off(address: str, sides: tuple[tuple[str, str], ...] = (*FROM, *TO), *, percent: int = 100) -> Iterator[None]:
    """Drop packets from and to an address while the body runs: all of them, or a share by chance."""
    table = f"cut{percent}-" + address.replace(".", "-")
    some = f"numgen random mod 100 < {percent}" if percent < 100 else ""
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority -300; ip {side} {address} {some} drop; }}\n"
        for hook, side in sides
    )
    subprocess.run(["nft", "-f", "-"], input=f"table ip {table} {{\n{chains}}}\n", text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "ip", table], check=True)
