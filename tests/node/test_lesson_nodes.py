"""The lesson's first half on a real node, with the installed kubectl and with 1.20."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml

from support.kubectl import Kubectl
from support.waiting import eventually

# What upstream's kubelet and network report while all is well: condition → (status, reason, message).
CONDITIONS = {
    "NetworkUnavailable": ("False", None, None),
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}
POD = """
apiVersion: v1
kind: Pod
metadata: {name: chain}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "ikubernetes/demoapp:v1.0", resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {memory: 32Mi}}}
"""


@pytest.fixture
def node(kubectl: Kubectl) -> Any:
    """The only node, as the API shows it."""
    (only,) = kubectl.json("get", "nodes")["items"]
    return only


def test_node_is_listed_with_its_role(kubectl: Kubectl, node: Any) -> None:
    """Lines 1 and 2: one row, Ready, with the role of the node that has the control plane, alone and in the list."""
    name = node["metadata"]["name"]
    for arguments in (("node",), (f"node/{name}",)):
        header, row = kubectl("get", *arguments).splitlines()
        assert header.split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
        assert re.fullmatch(rf"{name} +Ready +control-plane +\S+ +v1\.36\.2\+pinnace\.\S+ *", row), row


def test_node_yaml_is_the_whole_object(kubectl: Kubectl, node: Any) -> None:
    """Lines 2 and 3: a /24 of its own, addresses, capacity, what is allocatable, conditions, images, the machine's facts."""
    name = node["metadata"]["name"]
    shown = yaml.safe_load(kubectl("get", f"node/{name}", "-o", "yaml"))
    assert (shown["kind"], shown["metadata"]["uid"]) == ("Node", node["metadata"]["uid"])
    assert ipaddress.ip_network(shown["spec"]["podCIDR"]).prefixlen == 24
    assert shown["spec"]["podCIDRs"] == [shown["spec"]["podCIDR"]]
    status = shown["status"]
    addresses = {address["type"]: address["address"] for address in status["addresses"]}
    assert addresses.keys() == {"InternalIP", "Hostname"}
    assert addresses["Hostname"] == name
    for amounts in (status["capacity"], status["allocatable"]):
        assert amounts.keys() >= {"cpu", "ephemeral-storage", "memory", "pods"}
        assert amounts["pods"] == "110"
    pages = {key for key in status["capacity"] if key.startswith("hugepages-")}
    assert pages == {key for key in status["allocatable"] if key.startswith("hugepages-")}
    assert any("docker.io/ikubernetes/demoapp:v1.0" in image["names"] for image in status["images"])
    assert all(image["sizeBytes"] > 0 for image in status["images"])
    info = status["nodeInfo"]
    assert info["containerRuntimeVersion"].startswith("containerd://")
    assert info["kubeletVersion"].startswith("v1.36.2+pinnace.")
    assert all(info[key] for key in ("architecture", "bootID", "kernelVersion", "machineID", "osImage", "systemUUID"))


def test_node_conditions_say_that_all_is_well(node: Any) -> None:
    """Line 3: upstream's conditions, each with its reason and message."""
    found = {item["type"]: item for item in node["status"]["conditions"]}
    assert found.keys() == CONDITIONS.keys()
    for kind, (status, reason, message) in CONDITIONS.items():
        assert found[kind]["status"] == status
        assert found[kind]["reason"] == (reason or found[kind]["reason"])
        assert found[kind]["message"] == (message or found[kind]["message"])


def renewed(kubectl: Kubectl, name: str) -> datetime:
    """Return when the node's lease was renewed last, and see that the text has microseconds."""
    text = kubectl.json("get", "lease", name)["spec"]["renewTime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    return datetime.fromisoformat(text)


def test_lease_belongs_to_its_node(kubectl: Kubectl, node: Any) -> None:
    """Line 4: one lease for the node, held by it, owned by it, for 40 s."""
    leases, name = kubectl.within("kube-node-lease"), node["metadata"]["name"]
    header, row = leases("get", "leases").splitlines()
    assert header.split() == ["NAME", "HOLDER", "AGE"]
    assert row.split()[:2] == [name, name]
    lease = leases.json("get", "lease", name)
    assert lease["spec"]["holderIdentity"] == name
    assert lease["spec"]["leaseDurationSeconds"] == 40
    (owner,) = lease["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}


def test_lease_is_renewed_and_the_node_left_alone(kubectl_now: Kubectl) -> None:
    """Lines 4 and 5: the renewTime moves by 10 s, and the Node object is not written for that."""
    leases = kubectl_now.within("kube-node-lease")
    (node,) = kubectl_now.json("get", "nodes")["items"]
    name = node["metadata"]["name"]
    first = renewed(leases, name)
    second = eventually(lambda: renewed(leases, name), lambda moment: moment > first)
    before = kubectl_now.json("get", "node", name)["metadata"]["resourceVersion"]
    third = eventually(lambda: renewed(leases, name), lambda moment: moment > second)
    assert timedelta(seconds=9) < third - second < timedelta(seconds=20)
    after = kubectl_now.json("get", "node", name)["metadata"]["resourceVersion"]
    assert after == before


def test_describe_tells_everything_about_a_node(kubectl: Kubectl, node: Any) -> None:
    """Line 8: every section, the pods with what they ask for, sums with percentages."""
    kubectl("create", "-f", "-", stdin=POD)
    eventually(lambda: kubectl("get", "pod", "chain"), lambda text: "Running" in text)
    text = kubectl("describe", f"no/{node['metadata']['name']}")
    sections = (
        "Roles: control-plane", "Labels:", "Annotations:", "Taints: <none>", "Unschedulable: false", "Lease:",
        "HolderIdentity:", "RenewTime:", "Conditions:", "Addresses:", "Capacity:", "Allocatable:", "System Info:",
        "PodCIDR:", "PodCIDRs:", "Non-terminated Pods:", "Allocated resources:", "Events:",
    )  # fmt: skip
    words = re.sub(r" +", " ", text)
    assert [part for part in sections if part not in words] == []
    pods = text.partition("Non-terminated Pods:")[2].partition("Allocated resources:")[0]
    row = next(line for line in pods.splitlines() if "chain" in line)
    assert re.search(r"chain +100m \(\d+%\) +0 \(0%\) +16Mi \(\d+%\) +32Mi \(\d+%\)", row), row
    assert re.search(r"^  memory +\d+Mi \(\d+%\) +\d+Mi \(\d+%\)$", text, re.MULTILINE)


def stages(text: str) -> list[str]:
    """Return what a watch printed as JSON, as the stages of one pod's life in the order of its events."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        event, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        pod = event["object"]
        status = pod["status"]
        ready = {item["type"]: item["status"] for item in status.get("conditions", ())}.get("Ready") == "True"
        if event["type"] == "DELETED":
            found.append("deleted")
        elif "deletionTimestamp" in pod["metadata"]:
            found.append("terminating")
        elif status["phase"] == "Running" and ready:
            found.append("running")
        else:
            found.append("bound" if pod["spec"].get("nodeName") else "stored")
    return list(dict.fromkeys(found))


def test_chain_of_a_pod_can_be_watched(kubectl_now: Kubectl) -> None:
    """Line 16: stored, bound by the scheduler, started and reported by the kubelet, and backwards; events name who did what."""
    with kubectl_now.started("get", "pods", "-w", "-o", "json", "--output-watch-events") as watching:
        assert watching.stdout is not None
        kubectl_now("create", "-f", "-", stdin=POD)
        kubectl_now("wait", "--for=condition=Ready", "pod/chain", "--timeout=60s")
        kubectl_now("delete", "pod", "chain")
        watching.terminate()
        assert stages(watching.stdout.read()) == ["stored", "bound", "running", "terminating", "deleted"]
    events = kubectl_now.json("get", "events")["items"]
    did = {event["reason"]: event["source"].get("component") or event["reportingComponent"] for event in events}
    assert did.items() >= {"Scheduled": "default-scheduler", "Created": "kubelet", "Started": "kubelet"}.items()
