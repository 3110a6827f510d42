"""Objects from files: apply with its kin, diff, kustomize, replace, patch, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "example.org/web:1", env: [{name: A, value: a}]}
      - {name: side, image: "example.org/side:1"}
"""
KUSTOMIZATION = """
namePrefix: dev-
labels: [{pairs: {team: blue}}]
images: [{name: example.org/web, newTag: "2"}]
configMapGenerator:
- {name: settings, literals: [colour=red]}
resources: [web.yaml]
"""


def test_apply_keeps_what_others_own(kubectl: Kubectl) -> None:
    """A second apply changes and removes what it said before, and leaves what somebody else wrote."""
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    kubectl("scale", "deployment/web", "--replicas=2")
    kubectl("annotate", "deployment", "web", "note=mine")
    changed = (
        DEPLOYMENT.replace("  replicas: 1\n", "").replace("web:1", "web:2").replace(", env: [{name: A, value: a}]", "")
    )
    assert kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"
    made = kubectl.json("get", "deployment", "web")
    containers = made["spec"]["template"]["spec"]["containers"]
    assert made["metadata"]["annotations"]["note"] == "mine"
    assert [(one["name"], one["image"]) for one in containers] == [
        ("web", "example.org/web:2"),
        ("side", "example.org/side:1"),
    ]
    assert "env" not in containers[0]
    assert kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/web unchanged\n"
    without = changed.replace('\n      - {name: side, image: "example.org/side:1"}', "")
    kubectl("apply", "-f", "-", stdin=without)
    assert len(kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"]) == 1


def test_apply_adopts_with_a_warning(kubectl: Kubectl) -> None:
    """What was created otherwise is applied to after a warning about the missing annotation."""
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    done = kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT)
    assert done.code == 0
    assert "missing the kubectl.kubernetes.io/last-applied-configuration annotation" in done.stderr


def test_apply_last_applied_can_be_seen_and_set(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """view-last-applied prints what apply remembers, set-last-applied replaces it."""
    kubectl_now("apply", "-f", "-", stdin=DEPLOYMENT)
    assert "image: example.org/web:1" in kubectl_now("apply", "view-last-applied", "deployment/web")
    file = tmp_path / "web.yaml"
    file.write_text(DEPLOYMENT.replace("web:1", "web:7"))
    assert "configured" in kubectl_now("apply", "set-last-applied", "-f", str(file))
    assert "image: example.org/web:7" in kubectl_now("apply", "view-last-applied", "deployment/web")
    assert kubectl_now.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"].endswith(
        "1"
    )


def test_apply_prunes_what_left_the_files(kubectl_now: Kubectl) -> None:
    """--prune deletes objects of the label that the files no longer hold."""
    maps = [
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "one"}}})
        for name in ("a", "b")
    ]
    allow = ("--prune", "-l", "set=one", "--prune-allowlist=core/v1/ConfigMap")
    kubectl_now("apply", "-f", "-", *allow, stdin="\n".join(maps))
    assert "configmap/b pruned" in kubectl_now("apply", "-f", "-", *allow, stdin=maps[0])
    assert kubectl_now("get", "configmaps", "-l", "set=one", "-o", "name") == "configmap/a\n"


@pytest.mark.parametrize("strategy", ["client", "server"])
def test_apply_dry_run_changes_nothing(kubectl: Kubectl, strategy: str) -> None:
    """A dry run says what would happen."""
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    said = kubectl("apply", "-f", "-", f"--dry-run={strategy}", stdin=DEPLOYMENT.replace("web:1", "web:2"))
    assert said == f"deployment.apps/web configured ({'server dry run' if strategy == 'server' else 'dry run'})\n"
    assert kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"].endswith("1")


def test_apply_refuses_a_wrong_type_and_an_immutable_field(kubectl_now: Kubectl) -> None:
    """Errors name the object, the field and the reason."""
    done = kubectl_now.run("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 1", "replicas: many"))
    assert done.code == 1
    assert "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" in done.stderr
    kubectl_now("apply", "-f", "-", stdin=DEPLOYMENT)
    moved = DEPLOYMENT.replace("{app: web}", "{app: other}")
    done = kubectl_now.run("apply", "-f", "-", stdin=moved)
    assert done.code == 1
    assert "field is immutable" in done.stderr


def test_kustomize_builds_applies_and_deletes(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """-k works for apply, diff, get and delete as -f does."""
    (tmp_path / "kustomization.yaml").write_text(KUSTOMIZATION)
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)
    folder = str(tmp_path)
    assert "image: example.org/web:2" in kubectl_now("kustomize", folder)
    assert kubectl_now.run("diff", "-k", folder).code == 1
    made = kubectl_now("apply", "-k", folder).splitlines()
    assert made[1] == "deployment.apps/dev-web created"
    assert made[0].startswith("configmap/dev-settings-")
    assert kubectl_now.run("diff", "-k", folder).code == 0
    assert kubectl_now("get", "-k", folder, "-o", "name").splitlines()[1] == "deployment.apps/dev-web"
    assert kubectl_now("get", "deployment", "-l", "team=blue", "-o", "name") == "deployment.apps/dev-web\n"
    assert kubectl_now("delete", "-k", folder).count("deleted") == 2


def test_replace_takes_the_whole_object(kubectl_now: Kubectl) -> None:
    """replace puts; an old resourceVersion is a conflict; what is not there is not made."""
    kubectl_now("create", "configmap", "cm", "--from-literal=a=1")
    old = kubectl_now.json("get", "configmap", "cm")
    assert kubectl_now("replace", "-f", "-", stdin=json.dumps({**old, "data": {"b": "2"}})) == "configmap/cm replaced\n"
    assert kubectl_now.json("get", "configmap", "cm")["data"] == {"b": "2"}
    done = kubectl_now.run("replace", "-f", "-", stdin=json.dumps({**old, "data": {"c": "3"}}))
    assert done.code == 1
    assert "the object has been modified; please apply your changes to the latest version and try again" in done.stderr
    missing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nothing"}}
    assert "(NotFound)" in kubectl_now.run("replace", "-f", "-", stdin=json.dumps(missing)).stderr


def test_replace_by_force_makes_anew(kubectl_now: Kubectl) -> None:
    """--force deletes and creates: another uid, and fields that cannot be changed are."""
    kubectl_now("run", "web", "--image=example.org/web:1")
    pod = kubectl_now.json("get", "pod", "web")
    changed = {**pod, "spec": {**pod["spec"], "hostname": "other"}}
    assert "may not change fields other than" in kubectl_now.run("replace", "-f", "-", stdin=json.dumps(changed)).stderr
    said = kubectl_now("replace", "--force", "--grace-period=0", "-f", "-", stdin=json.dumps(changed))
    assert said.endswith("pod/web replaced\n")
    now = kubectl_now.json("get", "pod", "web")
    assert now["spec"]["hostname"] == "other"
    assert now["metadata"]["uid"] != pod["metadata"]["uid"]


def test_patch_reaches_subresources(kubectl_now: Kubectl) -> None:
    """--subresource patches status and scale, and the object's own path leaves status alone."""
    kubectl_now("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl_now("rollout", "status", "deployment/web", "--timeout=30s")
    scale = ("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    assert kubectl_now(*scale) == "scale.autoscaling/web patched\n"
    assert kubectl_now.json("get", "deployment", "web")["spec"]["replicas"] == 3
    pvc = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl_now("create", "-f", "-", stdin=json.dumps(pvc))
    change = '{"status":{"capacity":{"storage":"1Gi"}}}'
    kubectl_now("patch", "pvc", "c", "--type=merge", "-p", change)
    assert "capacity" not in kubectl_now.json("get", "pvc", "c")["status"]
    kubectl_now("patch", "pvc", "c", "--subresource=status", "--type=merge", "-p", change)
    assert kubectl_now.json("get", "pvc", "c")["status"]["capacity"] == {"storage": "1Gi"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["-p", "{"], "unexpected end", id="json"),
        pytest.param(["--type=json", "-p", '[{"op":"remove","path":"/data/z"}]'], "the request is invalid", id="path"),
        pytest.param(
            ["--type=json", "-p", '[{"op":"test","path":"/data/a","value":"2"}]'], "the request is invalid", id="test"
        ),
        pytest.param(["-p", '{"metadata":{"name":"b"}}'], "name of the object", id="name"),
        pytest.param(["-p", '{"dada":{}}'], "patched (no change)", id="unknown-field-is-dropped"),
    ],
)
def test_patch_says_what_is_wrong(kubectl_now: Kubectl, options: list[str], words: str) -> None:
    """A patch that cannot be read, applied or stored is refused with its reason."""
    kubectl_now("create", "configmap", "cm", "--from-literal=a=1")
    done = kubectl_now.run("patch", "configmap", "cm", *options)
    assert words.lower() in (done.stdout + done.stderr).lower()


def test_label_and_annotate_many(kubectl: Kubectl) -> None:
    """By selector, by --all, listed, with a precondition, and refused when they are no labels."""
    for name in ("a", "b"):
        kubectl("create", "configmap", name)
    assert "configmap/b labeled" in kubectl("label", "configmaps", "a", "b", "tier=web")
    kubectl("label", "configmaps", "-l", "tier=web", "seen=yes")
    assert len(kubectl("get", "configmaps", "-l", "seen=yes", "-o", "name").split()) == 2
    kubectl("annotate", "configmaps", "--all", "note=hello")
    assert kubectl("get", "configmap", "a", "-o", "jsonpath={.metadata.annotations.note}") == "hello"
    done = kubectl.run("label", "configmap", "a", "x=y", "--resource-version=1")
    assert done.code == 1
    assert "the object has been modified" in done.stderr
    assert "invalid label value" in kubectl.run("label", "configmap", "a", "x=not_/valid").stderr
    kubectl("annotate", "configmap", "a", "note-")
    assert kubectl("get", "configmap", "a", "-o", "jsonpath={.metadata.annotations}") == ""


def test_delete_in_every_way(kubectl: Kubectl) -> None:
    """By name, selector, file, field and all; what is not there is an error unless it may be missing."""
    for name in ("a", "b", "c", "d"):
        kubectl("create", "configmap", name, "--from-literal=k=v")
    kubectl("label", "configmap", "b", "gone=soon")
    assert kubectl("delete", "configmap", "a").startswith('configmap "a" deleted')
    kubectl("delete", "configmap", "-l", "gone=soon")
    kubectl("delete", "configmap", "--field-selector=metadata.name=c")
    assert "dry run" in kubectl("delete", "configmap", "d", "--dry-run=server")
    assert kubectl("delete", "-f", "-", stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"}}')
    assert 'configmaps "d" not found' in kubectl.run("delete", "configmap", "d").stderr
    assert kubectl("delete", "configmap", "d", "--ignore-not-found") == ""
    kubectl("delete", "configmaps", "--all")
    # The controller brings this one back.
    eventually(
        lambda: kubectl("get", "configmaps", "-o", "name"), lambda names: names == "configmap/kube-root-ca.crt\n"
    )


def test_delete_a_running_pod_gracefully_or_at_once(kubectl: Kubectl) -> None:
    """A pod goes after its grace period; with force it is gone from the server at once."""
    for name in ("a", "b"):
        kubectl("run", name, "--image=example.org/web:1")
    kubectl("wait", "--for=condition=Ready", "pod/a", "pod/b", "--timeout=30s")
    kubectl("delete", "pod", "a", "--grace-period=1", "--timeout=30s")
    done = kubectl.run("delete", "pod", "b", "--force", "--grace-period=0")
    assert "mmediate deletion does not wait for confirmation" in done.stderr
    assert kubectl("get", "pods", "-o", "name") == ""


def test_edit_refuses_and_reopens(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """An edit that the server refuses is shown again with the reason, and kept in a file when it is given up."""
    kubectl_now("create", "configmap", "cm", "--from-literal=a=1")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/  a: .*/  a: [1]/" "$1"\n')
    editor.chmod(0o755)
    done = kubectl_now.run("edit", "configmap", "cm", env={"EDITOR": str(editor)})
    assert done.code == 1
    assert kubectl_now.json("get", "configmap", "cm")["data"] == {"a": "1"}
