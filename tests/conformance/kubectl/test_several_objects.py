"""kubectl on files of several objects and on folders: every command does all of them, and one bad file does not hide the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.kubectl import Kubectl

TEMPLATE = {
    "metadata": {"labels": {"app": "mock"}},
    "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "example.org/mock:1"}]},
}


def service(name: str) -> dict[str, object]:
    spec = {"ports": [{"port": 99}], "selector": {"app": "mock"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def controller(name: str) -> dict[str, object]:
    spec = {"replicas": 1, "selector": {"app": "mock"}, "template": TEMPLATE}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name}, "spec": spec}


def as_list(kind: str, *items: object) -> str:
    return json.dumps({"apiVersion": "v1", "kind": kind, "items": items})


@pytest.mark.parametrize(
    ("documents", "names"),
    [
        pytest.param(
            "# YAML\n" + "\n---\n".join(json.dumps(one) for one in (service("a"), controller("b"))),
            ["service/a", "replicationcontroller/b"],
            id="yaml-documents",
        ),
        pytest.param(
            json.dumps(service("a")) + json.dumps(controller("b")),
            ["service/a", "replicationcontroller/b"],
            id="json-documents",
        ),
        pytest.param(
            as_list("List", service("a"), controller("b")), ["service/a", "replicationcontroller/b"], id="list"
        ),
        pytest.param(as_list("ServiceList", service("a"), service("b")), ["service/a", "service/b"], id="typed-list"),
    ],
)
def test_commands_do_all_objects_of_a_file(kubectl_now: Kubectl, documents: str, names: list[str]) -> None:
    """create, get, label, annotate, patch, replace and delete answer for each object, in the file's order."""

    def said(*command: str) -> list[str]:
        return kubectl_now(*command, "-f", "-", stdin=documents).splitlines()

    assert said("create") == [f"{name} created" for name in names]
    assert said("get", "-o", "name") == names
    assert said("label", "seen=yes") == [f"{name} labeled" for name in names]
    assert said("annotate", "note=yes") == [f"{name} annotated" for name in names]
    assert said("patch", "-p", '{"metadata":{"labels":{"more":"yes"}}}') == [f"{name} patched" for name in names]
    shown = kubectl_now("get", *names, "-o", "jsonpath={.items[*].metadata.labels.more}")
    assert shown == "yes yes"
    assert len(said("delete")) == len(names)
    assert kubectl_now("get", "services,replicationcontrollers", "-o", "name") == ""


def test_replace_and_edit_all_objects_of_a_file(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """replace --force makes each anew, edit hands all to the editor at once, describe shows all, a watch is refused."""
    file = tmp_path / "objects.yaml"
    file.write_text(as_list("List", service("a"), controller("b")))
    what = ("-f", str(file))
    kubectl_now("create", *what)
    assert kubectl_now("describe", *what).count("Name:") == 2
    assert "watch is only supported on individual resources" in kubectl_now.run("get", *what, "--watch").stderr
    assert kubectl_now("replace", "--force", "--cascade=background", *what).splitlines()[-2:] == [
        "service/a replaced",
        "replicationcontroller/b replaced",
    ]
    kubectl_now("label", *what, "state=replaced")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/state: replaced/state: edited/" "$1"\n')
    editor.chmod(0o755)
    assert kubectl_now("edit", *what, env={"EDITOR": str(editor)}).splitlines() == [
        "service/a edited",
        "replicationcontroller/b edited",
    ]
    assert kubectl_now("get", *what, "-o", "jsonpath={.items[*].metadata.labels.state}") == "edited edited"


def test_commands_walk_a_folder_past_its_bad_file(kubectl: Kubectl, tmp_path: Path) -> None:
    """-R takes every file below; the one without a kind is complained about, with exit code 1, after the others are done."""
    for name, kind in (("one", "kind"), ("two", "kind"), ("bad", "ind")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "map.yaml").write_text(f"apiVersion: v1\n{kind}: ConfigMap\nmetadata: {{name: {name}}}\n")
    created = kubectl.run("create", "-R", "-f", str(tmp_path))
    assert created.code == 1
    assert created.stdout.splitlines() == ["configmap/one created", "configmap/two created"]
    assert "kind not set" in created.stderr
    for command in (("label", "a=b"), ("annotate", "a=b"), ("get", "-o", "name"), ("describe",), ("delete",)):
        done = kubectl.run(*command, "-R", "-f", str(tmp_path))
        assert done.code == 1
        assert "one" in done.stdout
        assert "two" in done.stdout
        assert "Object 'Kind' is missing" in done.stderr


@pytest.mark.parametrize("fails", ["no-such-kind", "no-such-namespace", "invalid"])
def test_apply_does_what_can_be_done(kubectl_now: Kubectl, fails: str) -> None:
    """An object that cannot be applied is named, and those around it are applied nevertheless."""
    bad = {
        "no-such-kind": {"apiVersion": "example.com/v1", "kind": "Bogus", "metadata": {"name": "bad"}},
        "no-such-namespace": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "bad", "namespace": "nowhere"},
        },
        "invalid": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "BAD"}},
    }[fails]
    words = {
        "no-such-kind": 'no matches for kind "Bogus" in version "example.com/v1"',
        "no-such-namespace": 'does not match the namespace "',
        "invalid": 'The Secret "BAD" is invalid',
    }[fails]
    done = kubectl_now.run("apply", "-f", "-", stdin=as_list("List", service("a"), bad, service("b")))
    assert done.code == 1
    assert words in done.stderr
    assert done.stdout.splitlines() == ["service/a created", "service/b created"]


def test_apply_picks_objects_by_label(kubectl_now: Kubectl) -> None:
    """-l applies only what carries the label in the file."""
    picked = {**service("a"), "metadata": {"name": "a", "labels": {"pick": "me"}}}
    said = kubectl_now("apply", "-l", "pick=me", "-f", "-", stdin=as_list("List", picked, service("b")))
    assert said == "service/a created\n"


def test_apply_clears_what_the_server_filled_in(kubectl: Kubectl) -> None:
    """Another strategy and another source of a volume take the place of the old ones with their defaults."""
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "mock"}},
            "template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "volumes": [{"name": "v", "emptyDir": {}}]}},
        },
    }
    text = json.dumps(deployment)
    kubectl("apply", "-f", "-", stdin=text)
    changed = text.replace('"emptyDir": {}', '"hostPath": {"path": "/tmp"}')
    changed = changed.replace('"replicas": 0', '"replicas": 0, "strategy": {"type": "Recreate"}')
    kubectl("apply", "-f", "-", stdin=changed)
    spec = kubectl.json("get", "deployment", "web")["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["template"]["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/tmp", "type": ""}}]


def test_apply_by_force_makes_immutable_fields_anew(kubectl_now: Kubectl) -> None:
    """A change that the server refuses is made by --force, with deletion and creation."""
    body = service("a")
    kubectl_now("apply", "-f", "-", stdin=json.dumps(body))
    given = kubectl_now("get", "service", "a", "-o", "jsonpath={.spec.clusterIP}")
    headless = json.dumps({**body, "spec": {"ports": [{"port": 99}], "clusterIP": "None"}})
    refused = kubectl_now.run("apply", "-f", "-", stdin=headless)
    assert refused.code == 1
    assert "may not change once set" in refused.stderr
    assert kubectl_now("get", "service", "a", "-o", "jsonpath={.spec.clusterIP}") == given
    kubectl_now("apply", "--force", "-f", "-", stdin=headless)
    assert kubectl_now("get", "service", "a", "-o", "jsonpath={.spec.clusterIP}") == "None"


def test_edit_in_its_ways(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """A subresource, JSON, the applied configuration, and nothing changed."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "$WORDS" "$1"\n')
    editor.chmod(0o755)

    def edit(words: str, *arguments: str) -> str:
        return kubectl_now(*arguments, env={"EDITOR": str(editor), "WORDS": words})

    kubectl_now("create", "ingress", "in", "--default-backend=web:80")
    address = "s/loadBalancer: {}/loadBalancer: {ingress: [{ip: 10.0.0.1}]}/"
    edit(address, "edit", "ingress", "in")
    assert kubectl_now.json("get", "ingress", "in")["status"] == {"loadBalancer": {}}
    assert edit(address, "edit", "ingress", "in", "--subresource=status") == "ingress.networking.k8s.io/in edited\n"
    assert kubectl_now.json("get", "ingress", "in")["status"] == {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    kubectl_now("apply", "-f", "-", stdin=json.dumps(controller("b")))
    edit('s/"replicas": 1/"replicas": 0/', "edit", "rc", "b", "-o", "json")
    assert kubectl_now.json("get", "rc", "b")["spec"]["replicas"] == 0
    edit("s/replicas: 1/replicas: 2/", "apply", "edit-last-applied", "rc/b")
    assert "replicas: 2" in kubectl_now("apply", "view-last-applied", "rc/b")
    assert kubectl_now.json("get", "rc", "b")["spec"]["replicas"] == 0
    done = kubectl_now.run("edit", "rc", "b", env={"EDITOR": "true"})
    assert (done.code, done.stderr) == (0, "Edit cancelled, no changes made.\n")
