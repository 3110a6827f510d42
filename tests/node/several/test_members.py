"""Nodes that join and leave: added and removed by commands, joined from another machine, stopped and resumed with their cluster."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from pinnace.cluster.further_nodes import FurtherNodes
from pinnace.cluster.paths import ClusterPaths
from support.clusters import RunningCluster, program
from support.kubectl import Kubectl
from support.several_nodes import NAMES, REAL_NODES, address_of, containers_on, fetch, lines_of, pods_of, ready
from support.waiting import eventually

pytestmark = REAL_NODES


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


def is_seen(kubectl: Kubectl, caller: dict[str, Any], called: dict[str, Any]) -> bool:
    """Whether a pod that calls another is seen under its own address."""
    told = fetch(kubectl, caller["metadata"]["name"], called["status"]["podIP"])
    return f"ClientIP: {caller['status']['podIP']}," in told


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

    A wrong token, one that has expired, a wrong authority and a taken name are refused, each in one line that says which.
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
    expiring = several.pinnace("token", "create", "--ttl", "0.0003").split()[5]
    eventually(lambda: several.pinnace("token", "list"), lambda listed: expiring.partition(".")[0] not in listed)
    assert f"does not know the token {expiring.partition('.')[0]}: has it expired?" in refusal("--token", expiring)
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
            # The other nodes learn of the new one's pods a moment after it is Ready.
            eventually(partial(is_seen, everywhere, caller, called))
        assert everywhere("exec", there["metadata"]["name"], "--", "hostname").strip() == there["metadata"]["name"]
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()
        done = subprocess.run(
            [*far, "delete", "--name", "far", "--data-dir", str(data_dir)], capture_output=True, text=True, check=False
        )
        everywhere("delete", "node", "far", "--ignore-not-found")
        # Nobody ends the pods of a node that is gone: their collector would get to them in a minute.
        everywhere("delete", "pods", "--field-selector", "spec.nodeName=far", "--force", "--grace-period=0")
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
