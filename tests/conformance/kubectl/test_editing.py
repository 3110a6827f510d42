"""Objects that are edited on the way: create --edit, --save-config, null, large numbers, preconditions, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.kubectl import Kubectl

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web", "image": "example.org/web:1"}]},
}
# More than any float holds exactly.
LARGEST = 9223372036854775807


@pytest.fixture
def replacing(tmp_path: Path) -> dict[str, str]:
    """The environment with an editor that puts `new` wherever it finds `old`."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/old/new/g "$1"\n')
    editor.chmod(0o755)
    return {"EDITOR": str(editor)}


def annotations(kubectl: Kubectl, what: str) -> dict[str, str]:
    """The annotations of an object."""
    found: dict[str, str] = kubectl.json("get", what)["metadata"].get("annotations", {})
    return found


def test_create_edits_first(kubectl_now: Kubectl, tmp_path: Path, replacing: dict[str, str]) -> None:
    """Several objects are edited at once and made as they were left; unchanged, none is made."""
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old"}, "spec": {"ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}},
    ]
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    said = kubectl_now("create", "--edit", "-f", str(file), env=replacing)
    assert said.splitlines() == ["service/new created", "configmap/new created"]
    said = kubectl_now.run("create", "--edit", "-f", str(file), env={"EDITOR": "cat"})
    assert "Edit cancelled, no changes made" in said.stderr + said.stdout
    assert "(NotFound)" in kubectl_now.run("get", "service", "old").stderr


def test_edit_shows_its_patch(kubectl_now: Kubectl, replacing: dict[str, str]) -> None:
    """--output-patch prints what is sent; several objects are edited as a List."""
    kubectl_now("create", "configmap", "cm", "--from-literal=a=old")
    said = kubectl_now("edit", "configmap", "cm", "--output-patch", env=replacing)
    assert 'Patch: {"data":{"a":"new"}}' in said
    assert "kind: List" in kubectl_now("edit", "configmaps", env={"EDITOR": "cat"})


def test_save_config_remembers_what_was_sent(kubectl_now: Kubectl, replacing: dict[str, str]) -> None:
    """create, replace, edit, run, expose and autoscale write the annotation when told, and else do not."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "old"}}
    kubectl_now("create", "-f", "-", stdin=json.dumps(settings))
    assert annotations(kubectl_now, "configmap/cm") == {}
    kubectl_now("edit", "configmap", "cm", "--save-config", env=replacing)
    kept = json.loads(annotations(kubectl_now, "configmap/cm")[LAST_APPLIED])
    assert kept["data"] == {"a": "new"}
    kubectl_now("replace", "-f", "-", "--save-config", stdin=json.dumps(settings))
    assert json.loads(annotations(kubectl_now, "configmap/cm")[LAST_APPLIED])["data"] == {"a": "old"}
    kubectl_now("run", "web", "--image=i", "--save-config")
    kubectl_now("expose", "pod", "web", "--port=80", "--save-config")
    kubectl_now("create", "deployment", "web", "--image=i", "--replicas=0", "--save-config")
    kubectl_now("autoscale", "deployment", "web", "--max=2", "--save-config")
    for what in ("pod/web", "service/web", "deployment/web", "hpa/web"):
        assert LAST_APPLIED in annotations(kubectl_now, what), what


def test_replace_renews_what_apply_remembers(kubectl: Kubectl) -> None:
    """An object that was applied keeps its annotation true when it is replaced; one that was not gets none."""
    settings: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1"}}
    kubectl("create", "-f", "-", stdin=json.dumps(settings))
    kubectl("replace", "-f", "-", stdin=json.dumps(settings))
    assert LAST_APPLIED not in annotations(kubectl, "configmap/cm")
    kubectl("apply", "-f", "-", stdin=json.dumps(settings))
    live = kubectl.json("get", "configmap", "cm")
    kubectl("replace", "-f", "-", stdin=json.dumps({**live, "data": {"a": "2"}}))
    assert json.loads(annotations(kubectl, "configmap/cm")[LAST_APPLIED])["data"] == {"a": "2"}


def test_replace_without_a_version_does_not_ask(kubectl_now: Kubectl) -> None:
    """A resourceVersion of 0 replaces whatever is there, of a kind without a namespace too; a dry run does not."""
    name = f"ns-{kubectl_now.namespace}"
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    body["spec"] = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/tmp/x"},
    }
    kubectl_now("create", "-f", "-", stdin=json.dumps(body))
    body["metadata"] |= {"annotations": {"a": "b"}, "resourceVersion": "0"}
    what = f"persistentvolume/{name}"
    assert kubectl_now("replace", "--dry-run=server", "-f", "-", stdin=json.dumps(body)).endswith("(server dry run)\n")
    assert "a" not in annotations(kubectl_now, what)
    kubectl_now("replace", "-f", "-", stdin=json.dumps(body))
    assert annotations(kubectl_now, what)["a"] == "b"
    kubectl_now("delete", what)


def test_patch_keeps_large_numbers(kubectl: Kubectl) -> None:
    """What no float can hold survives every patch and label of the object."""
    pod = json.loads(json.dumps(POD))
    pod["spec"] |= {"terminationGracePeriodSeconds": LARGEST, "activeDeadlineSeconds": 2147483647}
    kubectl("create", "-f", "-", stdin=json.dumps(pod))
    kubectl("patch", "pod", "web", "-p", '{"metadata":{"annotations":{"a":"b"}}}')
    kubectl("label", "pod", "web", "c=d")
    kubectl("annotate", "pod", "web", "e=f")
    spec = kubectl.json("get", "pod", "web")["spec"]
    assert (spec["terminationGracePeriodSeconds"], spec["activeDeadlineSeconds"]) == (LARGEST, 2147483647)
    kubectl("delete", "pod", "web", "--force", "--grace-period=0")


def test_patch_minds_the_version_it_is_given(kubectl_now: Kubectl) -> None:
    """A patch with the object's resourceVersion is done, with another it is a conflict; one that changes nothing says so."""
    kubectl_now("create", "configmap", "cm", "--from-literal=a=1")
    version = kubectl_now("get", "configmap", "cm", "-o", "jsonpath={.metadata.resourceVersion}")

    def patch(version: str) -> str:
        return json.dumps({"metadata": {"resourceVersion": version}, "data": {"a": "2"}})

    refused = kubectl_now.run("patch", "configmap", "cm", "-p", patch("1"))
    assert "please apply your changes to the latest version and try again" in refused.stderr
    assert kubectl_now("patch", "configmap", "cm", "-p", patch(version)) == "configmap/cm patched\n"
    assert kubectl_now("patch", "configmap", "cm", "-p", "data:\n  a: '2'\n") == "configmap/cm patched (no change)\n"
    wrong = kubectl_now.run("patch", "configmap", "cm", "-p", '{"metadata":{"labels":"invalid"}}')
    assert "cannot restore map from string" in wrong.stderr


def test_set_selector_minds_the_version_it_is_given(kubectl: Kubectl) -> None:
    """set selector --resource-version changes that version of a Service and no other."""
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    version = kubectl("get", "service", "web", "-o", "jsonpath={.metadata.resourceVersion}")
    kubectl("set", "selector", "service", "web", "tier=front", f"--resource-version={version}")
    refused = kubectl.run("set", "selector", "service", "web", "tier=back", "--resource-version=1")
    assert "(Conflict)" in refused.stderr
    assert kubectl.json("get", "service", "web")["spec"]["selector"] == {"tier": "front"}


def test_apply_says_null_to_remove(kubectl_now: Kubectl) -> None:
    """A null in the manifest removes what was there, whoever put it."""
    settings: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1"}}
    kubectl_now("apply", "-f", "-", stdin=json.dumps(settings))
    kubectl_now("label", "configmap", "cm", "by=hand")
    settings["metadata"]["labels"] = {"by": None, "mine": "yes"}
    settings["data"] = {"a": None, "b": "2"}
    kubectl_now("apply", "-f", "-", stdin=json.dumps(settings))
    live = kubectl_now.json("get", "configmap", "cm")
    assert (live["metadata"]["labels"], live["data"]) == ({"mine": "yes"}, {"b": "2"})


def test_apply_by_force_puts_back_what_it_cannot_replace(kubectl_now: Kubectl) -> None:
    """A manifest of an old version is a conflict, which --force meets with deletion; when it is invalid, too, the old object returns."""
    settings: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1"}}
    kubectl_now("apply", "-f", "-", stdin=json.dumps(settings))
    settings["metadata"]["resourceVersion"] = "1"
    settings["data"] = {"not a key": "2"}
    refused = kubectl_now.run("apply", "-f", "-", "--force", stdin=json.dumps(settings))
    assert "Invalid value" in refused.stderr
    assert kubectl_now.json("get", "configmap", "cm")["data"] == {"a": "1"}


def test_secrets_take_plain_strings(kubectl: Kubectl) -> None:
    """stringData is written over data and never read back."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"k1": "djE=", "k2": ""},
        "stringData": {"k2": "v2"},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(secret))
    made = kubectl.json("get", "secret", "s")
    assert (made["data"], "stringData" in made) == ({"k1": "djE=", "k2": "djI="}, False)


def test_objects_come_back_from_their_own_output(kubectl: Kubectl) -> None:
    """What get prints can be replaced by itself, and created anew after it was deleted: addresses and versions are no hindrance."""
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    dumped = kubectl("get", "service", "web", "-o", "yaml")
    assert kubectl("replace", "-f", "-", stdin=dumped) == "service/web replaced\n"
    kubectl("delete", "service", "web")
    kubectl("create", "-f", "-", stdin=json.dumps(without_version(kubectl, dumped)))
    assert kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}") in dumped


def without_version(kubectl: Kubectl, dumped: str) -> Any:
    """The object without its resourceVersion, which create refuses."""
    body = json.loads(kubectl("create", "-f", "-", "--dry-run=client", "-o", "json", stdin=dumped))
    del body["metadata"]["resourceVersion"]
    return body


def test_local_changes_reach_no_server(kubectl: Kubectl) -> None:
    """--local changes what is printed; the object, which is not even there, stays as it is."""
    manifest = json.dumps(POD)
    assert "a: b" in kubectl("label", "--local", "-f", "-", "a=b", "-o", "yaml", stdin=manifest)
    assert "a: b" in kubectl("annotate", "--local", "-f", "-", "a=b", "-o", "yaml", stdin=manifest)
    patched = kubectl(
        "patch", "--local", "-f", "-", "-p", '{"spec":{"restartPolicy":"Never"}}', "-o", "yaml", stdin=manifest
    )
    assert "restartPolicy: Never" in patched
    assert "image: other" in kubectl("set", "image", "--local", "-f", "-", "web=other", "-o", "yaml", stdin=manifest)
    assert "(NotFound)" in kubectl.run("get", "pod", "web").stderr
