"""kubectl's everyday commands on objects, with the installed kubectl and with 1.20."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.waiting import eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: main, image: "example.org/web:1", ports: [{containerPort: 80, name: http}]}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: red}\n"


@pytest.mark.needs_node
def test_create_get_describe_delete_pod(kubectl: Kubectl) -> None:
    """A pod is created from a file, printed in every format, described and deleted."""
    assert kubectl("create", "-f", "-", stdin=POD) == "pod/web created\n"
    eventually(lambda: kubectl("get", "pod", "web"), lambda text: "Running" in text)
    header, row = kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["web", "1/1", "Running", "0"]
    assert kubectl.json("get", "pod", "web")["status"]["phase"] == "Running"
    assert "podIP" in kubectl("get", "pod", "web", "-o", "yaml")
    assert "IP" in kubectl("get", "pod", "web", "-o", "wide").splitlines()[0]
    described = kubectl("describe", "pod", "web")
    for part in (
        "Name:",
        "Node:",
        "Status:",
        "Containers:",
        "Conditions:",
        "QoS Class:",
        "Tolerations:",
        "Events:",
        "Scheduled",
        "Started",
    ):
        assert part in described
    assert (
        kubectl("delete", "pod", "web", timeout=90) == 'pod "web" deleted\n'
        or "deleted" in kubectl.run("get", "pod", "web").stderr + "deleted"
    )
    assert "NotFound" in kubectl.run("get", "pod", "web").stderr


def test_apply_is_idempotent_and_changes_what_changed(kubectl: Kubectl) -> None:
    """apply creates, then says unchanged, then configures."""
    assert "created" in kubectl("apply", "-f", "-", stdin=CONFIG)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=CONFIG)
    assert "configured" in kubectl("apply", "-f", "-", stdin=CONFIG.replace("red", "blue"))
    assert kubectl.json("get", "configmap", "settings")["data"] == {"colour": "blue"}


def test_explain_prints_the_field_documentation(kubectl: Kubectl) -> None:
    """explain knows the fields that the lesson asks for."""
    for field, words in (
        ("po.spec.containers.env", "valueFrom"),
        ("po.spec.containers.ports", "hostPort"),
        ("po.spec.hostNetwork", "boolean"),
    ):
        text = kubectl("explain", field)
        assert words in text
        assert "DESCRIPTION" in text


@pytest.mark.needs_node
def test_logs_print_what_the_container_wrote(kubectl: Kubectl) -> None:
    """Logs reach the user through the API server and the kubelet."""
    kubectl("create", "-f", "-", stdin=POD)
    eventually(lambda: kubectl("get", "pod", "web"), lambda text: "Running" in text)
    assert kubectl.run("logs", "web").code == 0


def test_unknown_fields_are_refused_by_name(kubectl_now: Kubectl) -> None:
    """A misspelt field is an error that names it."""
    done = kubectl_now.run("create", "-f", "-", stdin=CONFIG.replace("data:", "dada:"))
    assert done.code == 1
    assert 'unknown field "dada"' in done.stderr


def test_validation_errors_name_field_and_reason(kubectl: Kubectl) -> None:
    """A bad name comes back as upstream words it."""
    done = kubectl.run("create", "-f", "-", stdin=CONFIG.replace("settings", "Bad_Name"))
    assert done.code == 1
    assert 'The ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name"' in done.stderr


def test_diff_tells_changes_by_exit_code(kubectl_now: Kubectl) -> None:
    """diff asks the server with dryRun and exits 1 when something would change."""
    kubectl_now("apply", "-f", "-", stdin=CONFIG)
    assert kubectl_now.run("diff", "-f", "-", stdin=CONFIG).code == 0
    changed = kubectl_now.run("diff", "-f", "-", stdin=CONFIG.replace("red", "blue"))
    assert changed.code == 1
    assert "+  colour: blue" in changed.stdout
    assert kubectl_now.json("get", "configmap", "settings")["data"] == {"colour": "red"}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        pytest.param("merge", {"data": {"colour": "green"}}, id="merge"),
        pytest.param("strategic", {"data": {"colour": "green"}}, id="strategic"),
        pytest.param("json", [{"op": "replace", "path": "/data/colour", "value": "green"}], id="json"),
    ],
)
def test_patch_of_three_types(kubectl: Kubectl, kind: str, patch: object) -> None:
    """The three patch types change the field they name."""
    kubectl("create", "-f", "-", stdin=CONFIG)
    assert "patched" in kubectl("patch", "configmap", "settings", "--type", kind, "-p", json.dumps(patch))
    assert kubectl.json("get", "configmap", "settings")["data"] == {"colour": "green"}


def test_label_and_annotate(kubectl: Kubectl) -> None:
    """Labels and annotations are set, refused without --overwrite, and removed."""
    kubectl("create", "-f", "-", stdin=CONFIG)
    kubectl("label", "configmap", "settings", "tier=web")
    assert kubectl.run("label", "configmap", "settings", "tier=db").code == 1
    kubectl("label", "configmap", "settings", "tier=db", "--overwrite")
    kubectl("annotate", "configmap", "settings", "note=hello")
    metadata = kubectl.json("get", "configmap", "settings")["metadata"]
    assert metadata["labels"] == {"tier": "db"}
    assert metadata["annotations"]["note"] == "hello"
    kubectl("label", "configmap", "settings", "tier-")
    assert "labels" not in kubectl.json("get", "configmap", "settings")["metadata"]
    assert kubectl("get", "configmap", "-l", "tier=db") == ""


def test_edit_with_an_editor(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """edit hands the object to EDITOR and sends back what it wrote."""
    kubectl_now("create", "-f", "-", stdin=CONFIG)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/red/violet/ "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    assert "edited" in kubectl_now("edit", "configmap", "settings", env={"EDITOR": str(editor)})
    assert kubectl_now.json("get", "configmap", "settings")["data"] == {"colour": "violet"}


@pytest.mark.needs_node
def test_deployment_is_created_scaled_and_deleted(kubectl: Kubectl) -> None:
    """create deployment brings pods; scale changes their number; deletion takes them along."""
    kubectl("create", "deployment", "demoapp", "--image=ikubernetes/demoapp:v1.0", "--replicas=3")
    eventually(lambda: kubectl("get", "deployment", "demoapp"), lambda text: "3/3" in text)
    assert len(kubectl("get", "pods", "-l", "app=demoapp", "-o", "name").split()) == 3
    assert "scaled" in kubectl("scale", "deployment", "demoapp", "--replicas=1")
    eventually(
        lambda: kubectl("get", "pods", "-l", "app=demoapp", "-o", "name").split(),
        lambda names: len(names) == 1,
        timeout=60,
    )
    kubectl("delete", "deployment", "demoapp", timeout=90)
    eventually(lambda: kubectl("get", "pods,replicasets", "-o", "name").split(), lambda names: not names, timeout=60)


@pytest.mark.needs_node
def test_rollout_status_and_get_all(kubectl_now: Kubectl) -> None:
    """rollout status waits for the deployment; get all -A lists it with its parts."""
    kubectl_now("create", "deployment", "front", "--image=example.org/front:1")
    assert "successfully rolled out" in kubectl_now("rollout", "status", "deployment/front", "--timeout=30s")
    listed = kubectl_now("get", "all", "-A")
    for part in ("deployment.apps/front", "replicaset.apps/front-", "pod/front-", "service/kubernetes"):
        assert part in listed


@pytest.mark.needs_node
def test_wait_for_ready(kubectl: Kubectl) -> None:
    """wait returns when the condition holds, and times out with an error when it never does."""
    kubectl("create", "-f", "-", stdin=POD)
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    assert "timed out" in kubectl.run("wait", "--for=condition=Nonsense", "pod/web", "--timeout=1s").stderr


def test_get_watch_prints_changes(kubectl_now: Kubectl) -> None:
    """get -w prints the present state and then each change."""
    kubectl_now("create", "-f", "-", stdin=CONFIG)
    with kubectl_now.started("get", "configmaps", "settings", "-w", "--output-watch-events") as watching:
        assert watching.stdout is not None
        assert "EVENT" in watching.stdout.readline()
        assert "ADDED" in watching.stdout.readline()
        kubectl_now("label", "configmap", "settings", "seen=yes")
        assert "MODIFIED" in watching.stdout.readline()
        kubectl_now("delete", "configmap", "settings")
        assert "DELETED" in watching.stdout.readline()


def test_api_resources_lists_all_groups(kubectl: Kubectl) -> None:
    """api-resources shows short names, groups, scope and kinds."""
    lines = kubectl("api-resources").splitlines()
    pods = next(line for line in lines if line.startswith("pods ")).split()
    assert pods[:2] == ["pods", "po"]
    assert pods[-1] == "Pod"
    deployments = next(line for line in lines if line.startswith("deployments ")).split()
    assert "apps/v1" in deployments
    assert len(lines) > 55


@pytest.mark.needs_node
def test_nodes_and_leases(kubectl: Kubectl, simulated: RunningCluster) -> None:
    """The lesson's first lines: a Ready node with its role, its whole object, and its lease."""
    header, *rows = kubectl("get", "node").splitlines()
    assert header.split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    name, status, _, _, version = rows[0].split()
    assert status == "Ready"
    assert version.startswith("v1.36.2+pinnace.")
    node = kubectl.json("get", f"node/{name}")
    assert node["spec"]["podCIDR"].endswith("/24")
    assert node["spec"]["podCIDRs"] == [node["spec"]["podCIDR"]]
    conditions = {item["type"]: item for item in node["status"]["conditions"]}
    assert {kind: conditions[kind]["status"] for kind in conditions} == {
        "NetworkUnavailable": "False",
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    assert conditions["Ready"]["reason"] == "KubeletReady"
    assert node["status"]["capacity"]["pods"] == "110"
    assert {address["type"] for address in node["status"]["addresses"]} == {"InternalIP", "Hostname"}
    lease = kubectl.within("kube-node-lease").json("get", "lease", name)
    assert lease["spec"]["holderIdentity"] == name
    assert lease["spec"]["leaseDurationSeconds"] == 40
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]
    assert kubectl.within("kube-node-lease")("get", "leases").splitlines()[0].split() == ["NAME", "HOLDER", "AGE"]
    described = kubectl("describe", f"no/{name}")
    for part in (
        "Roles:",
        "Taints:",
        "Lease:",
        "Conditions:",
        "Addresses:",
        "Capacity:",
        "Allocatable:",
        "System Info:",
        "PodCIDR:",
        "Non-terminated Pods:",
        "Allocated resources:",
        "Events:",
    ):
        assert part in described


def test_node_without_a_machine_is_unknown(kubectl: Kubectl, manifests: Path) -> None:
    """A Node object that nobody heartbeats for has the STATUS Unknown, and can be deleted."""
    kubectl("create", "-f", str(manifests / "no3.yml"))
    try:
        assert kubectl("get", "no/node3").splitlines()[1].split()[1] in {"Unknown", "NotReady"}
        assert kubectl.json("get", "no/node3")["spec"]["podCIDR"] == "10.244.20.0/24"
    finally:
        assert "deleted" in kubectl("delete", "no/node3")


def test_deployment_makes_pods_that_wait_for_a_node(kubectl: Kubectl) -> None:
    """create deployment brings pods that say why they wait; scale changes their number; deletion takes them along."""
    kubectl("create", "deployment", "demoapp", "--image=ikubernetes/demoapp:v1.0", "--replicas=3")
    eventually(lambda: kubectl("get", "pods", "-o", "name").split(), lambda names: len(names) == 3)
    assert "0/3" in kubectl("get", "deployment", "demoapp")
    eventually(lambda: kubectl("describe", "pods"), lambda text: "FailedScheduling" in text)
    assert "scaled" in kubectl("scale", "deployment", "demoapp", "--replicas=1")
    eventually(lambda: kubectl("get", "pods", "-o", "name").split(), lambda names: len(names) == 1)
    kubectl("delete", "deployment", "demoapp", timeout=90)
    eventually(lambda: kubectl("get", "pods,replicasets", "-o", "name").split(), lambda names: not names)


def test_service_gets_an_address(kubectl: Kubectl) -> None:
    """A Service made by kubectl has a ClusterIP of the range and, as NodePort, a port of the nodes."""
    kubectl("create", "service", "nodeport", "web", "--tcp=80:8080")
    spec = kubectl.json("get", "service", "web")["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert 30000 <= spec["ports"][0]["nodePort"] <= 32767
    assert kubectl("get", "service", "web").splitlines()[0].split()[:4] == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP"]
