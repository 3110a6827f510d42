"""Revisions of workloads in kubectl's hands: what is kept, what goes back, what is refused; and what counts as a change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually


def workload(kind: str, image: str = "example.org/web:1", **spec: Any) -> str:
    """A manifest of a deployment or one of its kin."""
    return json.dumps({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "web", "image": image}]},
            },
            **spec,
        },
    })


def revisions(kubectl: Kubectl) -> list[str]:
    """The revisions that history lists."""
    return [line.split()[0] for line in kubectl("rollout", "history", "deployment/web").splitlines()[2:] if line]


def test_revisions_move_up_when_they_come_back(kubectl: Kubectl) -> None:
    """A template that returns takes a new number, and its replica set remembers the old ones; a paused one stays where it is."""
    kubectl("apply", "-f", "-", stdin=workload("Deployment"))
    eventually(lambda: revisions(kubectl), lambda seen: seen == ["1"])
    assert "skipped rollback" in kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl("apply", "-f", "-", stdin=workload("Deployment", "example.org/web:2"))
    eventually(lambda: revisions(kubectl), lambda seen: seen == ["1", "2"])
    assert "example.org/web:1" in kubectl("rollout", "undo", "deployment/web", "--dry-run=client")
    assert "(server dry run)" in kubectl("rollout", "undo", "deployment/web", "--dry-run=server")
    assert revisions(kubectl) == ["1", "2"]
    for left in (["2", "3"], ["3", "4"], ["4", "5"]):
        kubectl("rollout", "undo", "deployment/web")
        eventually(lambda: revisions(kubectl), lambda seen, left=left: seen == left)
    kubectl("rollout", "pause", "deployment/web")
    assert "cannot rollback a paused deployment" in kubectl.run("rollout", "undo", "deployment/web").stderr
    kubectl("rollout", "resume", "deployment/web")
    described = kubectl("describe", "deployment", "web")
    newest = described.partition("NewReplicaSet:")[2].split()[0]
    annotations = kubectl.json("get", "replicaset", newest)["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "5"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1,3"
    outdated = kubectl.run("rollout", "status", "deployment/web", "--revision=3")
    assert outdated.code == 1
    assert "desired revision (3) is different from the running revision (5)" in outdated.stderr


def test_revisions_are_printed_by_templates(kubectl_now: Kubectl) -> None:
    """The commands of rollout print the object as told."""
    kubectl_now("apply", "-f", "-", stdin=workload("Deployment", replicas=0))
    eventually(lambda: revisions(kubectl_now))
    for command in ("pause", "history", "resume", "restart"):
        said = kubectl_now("rollout", command, "deployment/web", "--template={{.metadata.name}}:")
        assert said == "web:", command


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_revisions_of_other_sets_keep_the_command(kubectl: Kubectl, kind: str) -> None:
    """What --record writes on the set is found on its revision; a dry run of undo changes nothing."""
    spec = {"serviceName": "web", "replicas": 0} if kind == "StatefulSet" else {}
    kubectl("apply", "-f", "-", "--record", stdin=workload(kind, **spec))
    what = f"{kind.lower()}/web"
    eventually(
        lambda: kubectl("get", "controllerrevisions", "-o", "jsonpath={.items[*].metadata.annotations}"),
        lambda text: "--record" in text,
    )
    kubectl("apply", "-f", "-", "--record", stdin=workload(kind, "example.org/web:2", **spec))
    eventually(lambda: kubectl("get", "controllerrevisions", "-o", "name").split(), lambda names: len(names) == 2)
    kubectl("rollout", "undo", what, "--dry-run=server")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", what, "-o", image) == "example.org/web:2"


@pytest.mark.parametrize("kind", ["ReplicaSet", "DaemonSet"])
def test_generation_counts_changes_of_the_spec(kubectl_now: Kubectl, kind: str) -> None:
    """Each `set` is one generation; an apply of the same, a dry run and a label are none."""
    manifest = workload(kind)
    kubectl_now("apply", "-f", "-", stdin=manifest)
    what = f"{kind.lower()}/web"

    def generation() -> int:
        return int(kubectl_now("get", what, "-o", "jsonpath={.metadata.generation}"))

    kubectl_now("apply", "-f", "-", stdin=manifest)
    kubectl_now("label", what, "a=b")
    kubectl_now("set", "resources", what, "--limits=cpu=1", "--dry-run=server")
    assert generation() == 1
    changes = (
        ("image", what, "*=example.org/web:2"),
        ("env", what, "A=b"),
        ("resources", what, "--limits=cpu=200m"),
        ("serviceaccount", what, "robot"),
    )
    for expected, change in enumerate(changes, start=2):
        kubectl_now("set", *change)
        assert generation() == expected, change


def test_set_keeps_to_the_container_it_is_told(kubectl_now: Kubectl) -> None:
    """Of two containers one, all, or none that is there; some keys of a map; from a file."""
    two = json.loads(workload("Deployment", replicas=0))
    two["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "example.org/side:1"})
    kubectl_now("create", "-f", "-", stdin=json.dumps(two))
    kubectl_now("create", "configmap", "settings", "--from-literal=key-1=a", "--from-literal=key-2=b")
    kubectl_now("set", "resources", "deployment/web", "--limits=cpu=100m")
    kubectl_now("set", "resources", "-f", "-", "-c=side", "--limits=cpu=300m", stdin=json.dumps(two))
    assert kubectl_now("get", "deployment/web", "-o", "jsonpath={..limits.cpu}") == "100m 300m"
    assert kubectl_now.run("set", "resources", "deployment/web", "-c=other", "--limits=cpu=1").code == 1
    assert "unable to find container" in kubectl_now.run("set", "image", "deployment/web", "other=i").stderr
    kubectl_now("set", "env", "deployment/web", "--keys=key-2", "--from=configmap/settings")
    kubectl_now("set", "env", "deployment/web", "ONLY=here", "-c=web")
    names = kubectl_now("get", "deployment/web", "-o", "jsonpath={.spec.template.spec.containers[*].env[*].name}")
    assert names.split() == ["KEY_2", "ONLY", "KEY_2"]
    assert kubectl_now("set", "image", "deployments", "--all", "*=example.org/all:1").endswith("image updated\n")
    assert kubectl_now("set", "image", "deployment/web", "*=example.org/all:1") == ""


def test_scale_several_at_once(kubectl: Kubectl) -> None:
    """By name, by label, all of them, from a file; a dry run changes none."""
    for name in ("a", "b"):
        kubectl("create", "deployment", name, "--image=i")
        kubectl("label", "deployment", name, "run=hello")
    kubectl("create", "deployment", "c", "--image=i")

    def wanted() -> str:
        return kubectl("get", "deployments", "-o", "jsonpath={.items[*].spec.replicas}")

    kubectl("scale", "deployment", "--all", "--replicas=3", "--dry-run=server")
    assert wanted() == "1 1 1"
    kubectl("scale", "deployment", "-l", "run=hello", "--replicas=2")
    assert wanted() == "2 2 1"
    kubectl("scale", "deployment/b", "deployment/c", "--replicas=4")
    assert wanted() == "2 4 4"


def test_delete_takes_what_belongs_to_it_along(kubectl: Kubectl) -> None:
    """A replication controller goes with its pods, or leaves them behind."""
    controller = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "old"},
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"labels": {"app": "old"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]},
            },
        },
    }
    kubectl("create", "-f", "-", stdin=json.dumps(controller))
    described = eventually(lambda: kubectl("describe", "rc", "old"), lambda text: "SuccessfulCreate" in text)
    assert "Replicas:     2 current / 2 desired" in described
    assert "Expected replicas to be 5, was 2" in (
        kubectl.run("scale", "rc/old", "--current-replicas=5", "--replicas=1").stderr
    )
    kubectl("delete", "rc", "old", "--cascade=orphan")
    left = kubectl("get", "pods", "-l", "app=old", "-o", "name").split()
    assert len(left) == 2
    kubectl("create", "-f", "-", stdin=json.dumps(controller))
    eventually(lambda: kubectl("get", "rc", "old", "-o", "jsonpath={.status.replicas}"), lambda number: number == "2")
    assert kubectl("get", "pods", "-l", "app=old", "-o", "name").split() == left
    kubectl("delete", "rc", "old")
    eventually(lambda: kubectl("get", "pods", "-l", "app=old", "-o", "name"), lambda names: not names)
