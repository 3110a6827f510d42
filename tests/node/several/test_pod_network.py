"""The network of pods on several nodes: everyone reaches everyone, under their own addresses."""

from __future__ import annotations

from support.kubectl import Kubectl
from support.several_nodes import NAMES, REAL_NODES, address_of, fetch, pods_of

pytestmark = REAL_NODES


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
