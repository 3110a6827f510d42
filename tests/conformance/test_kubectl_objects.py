"""kubectl's everyday commands on objects, with the installed kubectl and with 1.20."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

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
