"""Services and names with real packets: from pods, from the node, and from a network namespace that stands for the outside."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from pinnace.cluster.cni import pod_network
from support.clusters import RunningCluster, running_cluster
from support.kubectl import Kubectl, installed
from support.namespaces import fresh_namespace
from support.waiting import eventually

IMAGE = "ikubernetes/demoapp:v1.0"
DNS_ADDRESS = "10.96.0.10"
# A host beyond the node; the node's end of the cable must not be named as bridges of clusters are (`pin…`).
OUTSIDE, OUTSIDE_ADDRESS = "beyond", "198.51.100.2"
NEAR, NEAR_ADDRESS = "to-beyond", "198.51.100.1"
# curl's exit codes.
REFUSED, TIMED_OUT = 7, 28

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")


@dataclass(frozen=True)
class Shop:
    """A Deployment of two pods, a pod to call from, and their namespace."""

    cluster: RunningCluster
    kubectl: Kubectl
    node: str

    def expose(self, name: str, **spec: object) -> dict[str, object]:
        """Make a Service before the Deployment, and return its spec once every pod stands behind it."""
        given = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}], **spec}
        manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": given}
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
        if given["selector"] == {"app": "web"}:
            eventually(lambda: self.endpoints(name), lambda found: len(found) == 2)
        found: dict[str, object] = self.kubectl.json("get", "service", name)["spec"]
        return found

    def endpoints(self, service: str) -> list[str]:
        slices = self.kubectl.json("get", "endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
        return [address for one in slices for each in one["endpoints"] or () for address in each["addresses"]]

    def from_pod(self, url: str, pod: str = "client") -> str:
        return self.kubectl("exec", pod, "--", "wget", "-qO-", url)


def curl(url: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "curl", "-sS", "-m", "3", "--noproxy", "*", url], capture_output=True, text=True, check=False
    )


def is_served(url: str, *command: str) -> bool:
    """Whether a pod answers; without the rules, some router beyond the machine might."""
    return "ServerName: " in curl(url, *command).stdout


def server_of(answer: str) -> str:
    """The pod that answered."""
    return answer.split("ServerName: ")[1].split(",", maxsplit=1)[0]


def client_of(answer: str) -> str:
    """The address that the pod saw."""
    return answer.split("ClientIP: ")[1].split(",", maxsplit=1)[0]


@pytest.fixture(scope="module")
def shop(real: RunningCluster) -> Iterator[Shop]:
    """Two web pods and a client, made once."""
    program = installed()
    if program is None:
        pytest.skip("no kubectl on PATH")
    with fresh_namespace(program, real) as kubectl:
        kubectl("create", "deployment", "web", f"--image={IMAGE}", "--replicas=2")
        kubectl("run", "client", f"--image={IMAGE}")
        kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        eventually(lambda: kubectl("rollout", "status", "deployment/web", "--timeout=1s"))
        addresses = kubectl.json("get", "node")["items"][0]["status"]["addresses"]
        yield Shop(real, kubectl, next(one["address"] for one in addresses if one["type"] == "InternalIP"))


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def outside(shop: Shop) -> Iterator[tuple[str, ...]]:
    """A network namespace beyond the node, as the command that runs a program in it."""
    ip("netns", "add", OUTSIDE)
    try:
        ip("link", "add", NEAR, "type", "veth", "peer", "name", "far", "netns", OUTSIDE)
        ip("address", "add", f"{NEAR_ADDRESS}/30", "dev", NEAR)
        ip("link", "set", NEAR, "up")
        for arguments in (
            ("address", "add", f"{OUTSIDE_ADDRESS}/30", "dev", "far"),
            ("link", "set", "far", "up"),
            ("route", "add", "default", "via", NEAR_ADDRESS),
        ):
            ip("netns", "exec", OUTSIDE, "ip", *arguments)
        yield ("ip", "netns", "exec", OUTSIDE)
    finally:
        subprocess.run(["ip", "netns", "delete", OUTSIDE], check=False)


def test_cluster_ip_is_shared_by_the_pods(shop: Shop) -> None:
    """The node and a pod reach both pods behind one address, and a pod keeps its own address."""
    address = shop.expose("shared")["clusterIP"]
    eventually(lambda: is_served(f"http://{address}/"))
    from_node = {server_of(curl(f"http://{address}/").stdout) for _ in range(20)}
    answers = [shop.from_pod(f"http://{address}/") for _ in range(12)]
    assert len(from_node) == 2
    assert {server_of(answer) for answer in answers} == from_node
    client = shop.kubectl.json("get", "pod", "client")["status"]["podIP"]
    assert {client_of(answer) for answer in answers} == {client}


def test_pod_reaches_itself_through_its_service(shop: Shop) -> None:
    """A pod that is the only one behind a Service gets its own answer."""
    pod = shop.kubectl.json("get", "pod", "-l", "app=web")["items"][0]["metadata"]["name"]
    shop.kubectl("label", "pod", pod, "only=this")
    address = shop.expose("itself", selector={"only": "this"})["clusterIP"]
    eventually(lambda: shop.endpoints("itself"), lambda found: len(found) == 1)
    answer = eventually(lambda: shop.from_pod(f"http://{address}/", pod))
    assert server_of(answer) == pod


def test_service_without_endpoints_refuses(shop: Shop) -> None:
    """Nobody waits for a Service that nobody stands behind, nor for a port that it has not."""
    address = shop.expose("empty", selector={"app": "nothing"})["clusterIP"]
    eventually(lambda: curl(f"http://{address}/").returncode, lambda code: code == REFUSED, timeout=5)
    shared = shop.expose("one-port")["clusterIP"]
    eventually(lambda: is_served(f"http://{shared}/"))
    assert curl(f"http://{shared}:81/").returncode == REFUSED


def test_address_that_is_no_service_is_dropped(shop: Shop) -> None:
    """Traffic to an address of the range that no Service has goes nowhere."""
    assert curl("http://10.96.255.250/").returncode == TIMED_OUT


def test_node_port_answers_on_the_node_and_from_outside(shop: Shop, outside: tuple[str, ...]) -> None:
    """A NodePort leads to both pods; with policy Cluster they see an address of the node."""
    port = shop.expose("open", type="NodePort")["ports"][0]["nodePort"]
    url = f"http://{shop.node}:{port}/"
    eventually(lambda: is_served(url))
    answers = [curl(url, *outside).stdout for _ in range(20)]
    assert len({server_of(answer) for answer in answers}) == 2
    assert OUTSIDE_ADDRESS not in {client_of(answer) for answer in answers}


def test_external_traffic_policy_local_keeps_the_client(shop: Shop, outside: tuple[str, ...]) -> None:
    """With policy Local the pods see who really calls."""
    port = shop.expose("kept", type="NodePort", externalTrafficPolicy="Local")["ports"][0]["nodePort"]
    url = f"http://{shop.node}:{port}/"
    eventually(lambda: is_served(url, *outside))
    assert client_of(curl(url, *outside).stdout) == OUTSIDE_ADDRESS


def test_session_affinity_stays_with_a_pod(shop: Shop) -> None:
    """With ClientIP affinity one client meets one pod."""
    address = shop.expose("sticky", sessionAffinity="ClientIP")["clusterIP"]
    eventually(lambda: is_served(f"http://{address}/"))
    assert len({server_of(curl(f"http://{address}/").stdout) for _ in range(20)}) == 1


def test_udp_reaches_a_service(shop: Shop) -> None:
    """A Service of UDP is the cluster's own DNS; TCP leads there as well."""
    query = dns.message.make_query("kubernetes.default.svc.cluster.local", "A")
    by_udp = dns.query.udp(query, DNS_ADDRESS, timeout=3)
    by_tcp = dns.query.tcp(query, DNS_ADDRESS, timeout=3)
    assert [str(one) for one in by_udp.answer[0]] == [str(one) for one in by_tcp.answer[0]] == ["10.96.0.1"]


def ask(name: str) -> tuple[str, list[str]]:
    """The code and the addresses that the cluster's DNS gives for a name."""
    answer = dns.query.udp(dns.message.make_query(name, "A"), DNS_ADDRESS, timeout=3)
    return dns.rcode.to_text(answer.rcode()), sorted(str(one) for rrset in answer.answer for one in rrset)


def test_pod_resolves_names_as_its_resolver_is_set_up(shop: Shop) -> None:
    """A short name is looked for in the pod's own namespace first."""
    address = shop.expose("named")["clusterIP"]
    settings = shop.kubectl("exec", "client", "--", "cat", "/etc/resolv.conf")
    namespace = shop.kubectl.namespace
    assert f"nameserver {DNS_ADDRESS}" in settings
    assert f"search {namespace}.svc.cluster.local svc.cluster.local cluster.local" in settings
    assert "options ndots:5" in settings
    eventually(lambda: str(address) in shop.kubectl.run("exec", "client", "--", "nslookup", "named").stdout, timeout=5)


def test_names_follow_services_and_endpoints(shop: Shop) -> None:
    """A headless Service's name means its ready pods, and goes with the Service."""
    shop.expose("headless", clusterIP="None")
    name = f"headless.{shop.kubectl.namespace}.svc.cluster.local"
    eventually(lambda: ask(name), lambda found: found == ("NOERROR", sorted(shop.endpoints("headless"))), timeout=5)
    shop.kubectl("delete", "service", "headless")
    eventually(lambda: ask(name), lambda found: found == ("NXDOMAIN", []), timeout=5)


def test_traffic_leaves_a_pod_that_goes(shop: Shop) -> None:
    """When a pod goes and another comes, the Service leads to the new one."""
    address = shop.expose("moving")["clusterIP"]
    eventually(lambda: is_served(f"http://{address}/"))
    before = shop.endpoints("moving")
    shop.kubectl("delete", "pod", "-l", "app=web", "--wait=false", "--grace-period=1")
    eventually(lambda: shop.endpoints("moving"), lambda found: len(found) == 2 and not set(found) & set(before))
    eventually(lambda: all(is_served(f"http://{address}/") for _ in range(6)))


def test_rules_that_somebody_removed_come_back(shop: Shop) -> None:
    """A table that is gone is written anew."""
    address = shop.expose("mended")["clusterIP"]
    eventually(lambda: is_served(f"http://{address}/"))
    table = pod_network(shop.cluster.data_dir).name
    subprocess.run(["nft", "delete", "table", "ip", table], check=True)
    listing = ["nft", "list", "table", "ip", table]
    eventually(lambda: subprocess.run(listing, capture_output=True, check=False).returncode == 0, timeout=35)
    eventually(lambda: is_served(f"http://{address}/"))


@pytest.mark.usefixtures("real")  # which skips where there are no real pods
def test_traffic_and_names_outlive_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """While the server is dead Services and names go on; a new server takes both over; nothing is left after a delete."""
    with running_cluster(folder=tmp_path_factory.mktemp("outlive")) as cluster:
        kubectl = cluster.kubectl()
        kubectl("create", "deployment", "web", f"--image={IMAGE}")
        kubectl("expose", "deployment", "web", "--port=80")
        address = kubectl.json("get", "service", "web")["spec"]["clusterIP"]
        eventually(lambda: is_served(f"http://{address}/"))
        name = "web.default.svc.cluster.local"
        eventually(lambda: ask(name), lambda found: found == ("NOERROR", [address]))
        state = json.loads((cluster.data_dir / "server.json").read_text())
        before = dns_process(cluster)
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(state["pid"])], check=True)
        assert kubectl.run("get", "nodes").code != 0
        asked = 0
        for _ in range(50):
            assert is_served(f"http://{address}/")
            assert ask(name) == ("NOERROR", [address])
            asked += 1
        print(f"{asked} requests and {asked} questions while the server was dead")
        cluster.pinnace("up", "--port", state["server"].rpartition(":")[2])
        assert is_served(f"http://{address}/")
        assert dns_process(cluster) == before
        table = pod_network(cluster.data_dir).name
    assert table not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert dns_process(cluster) == []


def dns_process(cluster: RunningCluster) -> list[str]:
    """The numbers of the processes that answer names for a cluster."""
    mark = str(Path(cluster.data_dir) / "dns/kubeconfig")
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout.split()
