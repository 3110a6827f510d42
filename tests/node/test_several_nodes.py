"""Several real nodes on one machine: what the lesson shows of them, their pods' network, and nodes that fail, join and leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.conftest import missing_for_real_pods
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd_cleanup import container_processes
from pinnace.cluster.containerd_config import ContainerdPaths
from pinnace.cluster.further_nodes import FurtherNodes
from pinnace.cluster.mounts import mount_points
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import server_process
from support.clusters import RunningCluster, program, running_cluster
from support.kubectl import Kubectl
from support.namespaces import fresh_namespace
from support.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing_for_real_pods()), reason=missing_for_real_pods()),
    pytest.mark.timeout(300),
]

NAMES = ["master01", "node01", "node02"]
GRACE_SECONDS, MONITOR_SECONDS = 50, 5
# A pod of each node in the cluster's network and one in the node's own, and a Service before the first kind.
EVERYWHERE = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "ikubernetes/demoapp:v1.0"}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: host}
spec:
  selector: {matchLabels: {app: host}}
  template:
    metadata: {labels: {app: host}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "ikubernetes/demoapp:v1.0", env: [{name: PORT, value: "18097"}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, type: NodePort, ports: [{port: 80}]}
"""
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


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster of three nodes; what it leaves behind fails the last test."""
    with running_cluster("--nodes", "3", folder=tmp_path_factory.mktemp("n")) as cluster:
        data_dir = cluster.data_dir
        yield cluster
    assert traces(data_dir) == {}


@pytest.fixture
def kubectl(several: RunningCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    with fresh_namespace(several.kubectl().program, several) as bound:
        yield bound


@pytest.fixture(scope="module")
def everywhere(several: RunningCluster) -> Iterator[Kubectl]:
    """A namespace with a pod of each kind on every node."""
    with fresh_namespace(several.kubectl().program, several) as bound:
        bound("create", "-f", "-", stdin=EVERYWHERE)
        for name in ("web", "host"):
            bound("rollout", "status", f"daemonset/{name}", "--timeout=60s")
        yield bound


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


def containers_on(cluster: RunningCluster, node: str) -> set[int]:
    return set(container_processes(ContainerdPaths(cluster.data_dir / "nodes" / node / "containerd").socket))


@contextmanager
def cut_off(address: str) -> Iterator[None]:
    """Drop every packet from and to an address while the body runs."""
    table = "cut" + address.replace(".", "-")
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority -300; ip {side} {address} drop; }}\n"
        for hook, side in (("prerouting", "saddr"), ("output", "daddr"), ("forward", "daddr"))
    )
    subprocess.run(["nft", "-f", "-"], input=f"table ip {table} {{\n{chains}}}\n", text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "ip", table], check=True)


# ── the lesson ──


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


# ── the pods' network ──


def test_pods_of_all_nodes_reach_each_other_under_their_own_addresses(everywhere: Kubectl) -> None:
    """Whoever is called sees the caller's own address, on the same node and on others; so do nodes."""
    pods, hosts = pods_of(everywhere, "web"), pods_of(everywhere, "host")
    assert sorted(pods) == NAMES
    for caller in pods.values():
        name, address = caller["metadata"]["name"], caller["status"]["podIP"]
        for called in pods.values():
            told = fetch(everywhere, name, called["status"]["podIP"])
            assert f"ClientIP: {address}, ServerName: {called['metadata']['name']}" in told
        for node, called in hosts.items():
            told = fetch(everywhere, name, called["status"]["hostIP"], 18097)
            assert f"ClientIP: {address}," in told, f"{name} on {node}: {told}"


def test_services_and_names_work_on_every_node(everywhere: Kubectl) -> None:
    """A Service answers by its name and on every node's port, whoever asks from wherever; DNS and the API are reached as well."""
    service = everywhere.json("get", "service", "web")["spec"]
    for caller in pods_of(everywhere, "web").values():
        name = caller["metadata"]["name"]
        assert service["clusterIP"] in everywhere(
            "exec", name, "--", "nslookup", f"web.{everywhere.namespace}.svc.cluster.local"
        )
        assert "demoapp" in fetch(everywhere, name, service["clusterIP"])
        everywhere("exec", "-i", name, "--", "sh", "-c", "nc -w 3 10.96.0.1 443 < /dev/null")
        for node in NAMES:
            assert "demoapp" in fetch(everywhere, name, address_of(everywhere, node), service["ports"][0]["nodePort"])


def test_the_api_server_reaches_the_kubelets_of_all_nodes(everywhere: Kubectl) -> None:
    """Logs and commands work wherever a pod runs."""
    for node, pod in pods_of(everywhere, "web").items():
        name = pod["metadata"]["name"]
        assert everywhere("exec", name, "--", "hostname").strip() == name, node
        everywhere("logs", name)


# ── nodes that fail ──


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


def test_agent_that_is_killed_again_and_again_keeps_its_pods(several: RunningCluster, everywhere: Kubectl) -> None:
    """After each kill the same processes, no restart, and the next agent answers for them."""
    name = pods_of(everywhere, "web")["node02"]["metadata"]["name"]
    before = containers_on(several, "node02")
    for _ in range(2):
        os.kill(agent_of(several, "node02"), signal.SIGKILL)
        several.pinnace("node", "start", "node02")
    assert containers_on(several, "node02") == before
    shown = pods_of(everywhere, "web")["node02"]
    assert (shown["metadata"]["name"], shown["status"]["containerStatuses"][0]["restartCount"]) == (name, 0)
    assert everywhere("exec", name, "--", "hostname").strip() == name


# ── nodes that join and leave ──


def test_node_is_added_stopped_started_and_removed(several: RunningCluster, kubectl: Kubectl) -> None:
    """A node of its user's naming comes and goes; when it is removed, nothing of it stays."""
    several.pinnace("node", "add", "extra")
    assert ready(kubectl)["extra"] == "True"
    nodes = FurtherNodes(ClusterPaths(several.data_dir))
    extra = nodes.get("extra")
    assert extra is not None
    several.pinnace("node", "stop", "extra")
    assert not containers_on(several, "extra")
    assert "a node 'extra' already" in several.pinnace("node", "add", "extra", check=False)
    several.pinnace("node", "start", "extra")
    assert not extra.stopped.exists()
    cidr = kubectl("get", "node", "extra", "-o", "jsonpath={.spec.podCIDR}")
    assert any(line.startswith(cidr) for line in lines_of("ip", "route"))
    several.pinnace("node", "remove", "extra")
    assert "extra" not in ready(kubectl)
    assert not extra.root.exists()
    assert not extra.namespace.exists()
    eventually(lambda: [line for line in lines_of("ip", "route") if line.startswith(cidr)], lambda left: not left)
    eventually(
        lambda: kubectl("get", "endpointslices", "-n", "kube-system", "-o", "name"),
        lambda names: "kube-dns-extra" not in names,
    )


@pytest.fixture
def elsewhere() -> Iterator[list[str]]:
    """A network namespace that stands for another machine, behind this one as its router; gives the words to run in it."""
    name, near = "pinnace-test-far", "to-far"
    ip = shutil.which("ip") or "ip"
    words = [
        f"netns add {name}",
        f"link add {near} type veth peer name eth0 netns {name}",
        f"address add 198.51.100.9/30 dev {near}",
        f"link set {near} up",
        f"-n {name} link set lo up",
        f"-n {name} address add 198.51.100.10/30 dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} route add default via 198.51.100.9",
    ]
    try:
        for line in words:
            subprocess.run([ip, *line.split()], check=True)
        yield [shutil.which("nsenter") or "nsenter", f"--net=/run/netns/{name}", "--"]
    finally:
        subprocess.run([ip, "link", "delete", near], check=False)
        subprocess.run([ip, "netns", "delete", name], check=False)


def test_agent_on_another_machine_joins_by_its_token(
    several: RunningCluster, everywhere: Kubectl, elsewhere: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The printed command makes another machine a node, whose pods others reach though a router stands between.

    A wrong token, a wrong authority and a taken name are refused, each in one line that says which.
    """
    joining = several.pinnace("token", "create").split()[1:]
    data_dir = tmp_path_factory.mktemp("far") / "agent"
    far = [*elsewhere, str(program())]

    def refusal(*arguments: str) -> str:
        words = [*far, *joining, "--node-name", "far", "--data-dir", str(data_dir), *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done.stderr
        return done.stderr

    assert "does not know the token aaaaaa" in refusal("--token", "aaaaaa.0123456789abcdef")
    assert "not the cluster that you mean" in refusal("--ca-hash", "sha256:" + "0" * 64)
    assert 'a Node with name "node01"' in refusal("--node-name", "node01")
    words = [*far, *joining, "--node-name", "far", "--data-dir", str(data_dir)]
    log = (data_dir.parent / "far.log").open("wb")
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually(lambda: ready(everywhere).get("far"), lambda now: now == "True", timeout=60)
        everywhere("rollout", "status", "daemonset/web", "--timeout=60s")
        pods = pods_of(everywhere, "web")
        there, here = pods["far"], pods["node01"]
        for caller, called in ((there, here), (here, there), (there, pods["master01"]), (pods["master01"], there)):
            told = fetch(everywhere, caller["metadata"]["name"], called["status"]["podIP"])
            assert f"ClientIP: {caller['status']['podIP']}," in told
        assert everywhere("exec", there["metadata"]["name"], "--", "hostname").strip() == there["metadata"]["name"]
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()
        done = subprocess.run(
            [*far, "delete", "--name", "far", "--data-dir", str(data_dir)], capture_output=True, text=True, check=False
        )
        everywhere("delete", "node", "far", "--ignore-not-found")
    assert done.returncode == 0, done.stderr


def test_tokens_are_listed_without_their_secrets_and_deleted(several: RunningCluster) -> None:
    """Who sees the list cannot join by it; a deleted token is gone from it."""
    token = several.pinnace("token", "create", "--description", "for a test").split()[5]
    listed = several.pinnace("token", "list")
    assert token.partition(".")[0] in listed
    assert token.partition(".")[2] not in listed
    several.pinnace("token", "delete", token)
    assert token.partition(".")[0] not in several.pinnace("token", "list")
    assert "there is no token" in several.pinnace("token", "delete", token, check=False)


def test_down_and_up_bring_all_nodes_back(several: RunningCluster, kubectl: Kubectl) -> None:
    """Stopped together, resumed together: each node has its name, range and address again."""
    before = {
        name: (address_of(kubectl, name), kubectl.json("get", f"node/{name}")["spec"]["podCIDR"]) for name in NAMES
    }
    several.pinnace("down")
    assert not [line for line in lines_of("ps", "-eo", "args") if str(several.data_dir) in line]
    several.pinnace("up", "--port", "0")
    eventually(lambda: ready(kubectl), lambda now: now == dict.fromkeys(NAMES, "True"))
    after = {
        name: (address_of(kubectl, name), kubectl.json("get", f"node/{name}")["spec"]["podCIDR"]) for name in NAMES
    }
    assert after == before
