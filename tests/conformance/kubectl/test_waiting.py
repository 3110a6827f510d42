"""kubectl wait and kubectl events: until something holds, and what happened meanwhile."""

from __future__ import annotations

import json

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually


def test_wait_for_conditions_and_values(kubectl_now: Kubectl) -> None:
    """Conditions, values at a path and existence are waited for, of several objects too."""
    with kubectl_now.started("wait", "--for=create", "pod/late", "--timeout=30s") as waiting:
        kubectl_now("run", "late", "--image=example.org/web:1")
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "pod/late condition met\n"
    kubectl_now("run", "other", "--image=example.org/web:1")
    said = kubectl_now("wait", "--for=condition=Ready", "pod/late", "pod/other", "--timeout=30s")
    assert said.splitlines() == ["pod/late condition met", "pod/other condition met"]
    kubectl_now("wait", "--for=condition=ready", "pods", "--all", "--timeout=30s")
    kubectl_now("wait", "--for=jsonpath={.status.phase}=Running", "pod/late", "--timeout=30s")
    kubectl_now("wait", "--for=jsonpath={.status.podIP}", "pod", "-l", "run=late", "--timeout=30s")
    kubectl_now("create", "deployment", "web", "--image=example.org/web:1")
    kubectl_now("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")


def test_wait_for_a_condition(kubectl: Kubectl) -> None:
    """Every kubectl waits for a condition, and gives up on one that does not come."""
    kubectl("run", "web", "--image=example.org/web:1")
    assert kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s") == "pod/web condition met\n"
    assert kubectl.run("wait", "--for=condition=Ready=false", "pod/web", "--timeout=1s").code == 1


def test_wait_for_a_deletion(kubectl: Kubectl) -> None:
    """Every kubectl follows an object that is kept by a finalizer until it is gone."""
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "finalizers": ["example.com/keep"]}}
    kubectl("create", "-f", "-", stdin=json.dumps(kept))
    kubectl("delete", "configmap", "kept", "--wait=false")
    with kubectl.started("wait", "--for=delete", "configmap/kept", "--timeout=40s", "-v=6") as waiting:
        assert waiting.stdout is not None
        assert any("watch=true" in line for line in waiting.stdout)
        kubectl("patch", "configmap", "kept", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert waiting.wait(40) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["--for=condition=Nonsense", "pod/web"], "timed out waiting for the condition on pods/web", id="condition"
        ),
        pytest.param(
            ["--for=jsonpath={.status.nothing}=1", "pod/web"], "timed out waiting for the condition", id="path"
        ),
        pytest.param(["--for=delete", "pod/web"], "timed out waiting for the condition on pods/web", id="delete"),
        pytest.param(["--for=condition=Ready", "pod/nothing"], '"nothing" not found', id="not-found"),
        pytest.param(["--for=create", "pod/nothing"], "timed out waiting", id="create"),
    ],
)
def test_wait_gives_up(kubectl_now: Kubectl, arguments: list[str], words: str) -> None:
    """After its timeout, or at once where there is nothing to wait for, wait fails."""
    kubectl_now("run", "web", "--image=example.org/web:1")
    done = kubectl_now.run("wait", *arguments, "--timeout=1s")
    assert done.code == 1
    assert words in done.stderr


def test_events_are_listed_and_chosen(kubectl_now: Kubectl) -> None:
    """events shows what happened in the namespace, of one object, or of one type."""
    kubectl_now("run", "web", "--image=example.org/web:1")
    kubectl_now("run", "bad", "--image=registry.invalid/bad:1")
    eventually(lambda: kubectl_now("events", "--for=pod/web"), lambda text: "Started" in text)
    header, *rows = kubectl_now("events", "--for=pod/web").splitlines()
    assert header.split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert {row.split()[3] for row in rows} == {"Pod/web"}
    warnings = eventually(lambda: kubectl_now("events", "--types=Warning"), lambda text: "Failed" in text)
    assert "Pod/web" not in warnings
    assert "Normal" not in warnings
    assert "NAMESPACE" in kubectl_now("events", "-A").splitlines()[0]
    assert json.loads(kubectl_now("events", "--for=pod/web", "-o", "json"))["items"]


def test_events_are_selected_by_fields(kubectl: Kubectl) -> None:
    """get events takes upstream's field selectors, and sorts by time."""
    kubectl("run", "web", "--image=example.org/web:1")
    chosen = ("get", "events", "--field-selector=involvedObject.name=web,reason=Started", "-o", "name")
    assert eventually(lambda: kubectl(*chosen)).startswith("event/web.")
    assert kubectl("get", "events", "--field-selector=type=Warning", "-o", "name") == ""
    ordered = kubectl("get", "events", "--sort-by=.metadata.creationTimestamp", "--no-headers").splitlines()
    assert len(ordered) >= 4


def test_events_are_watched(kubectl_now: Kubectl) -> None:
    """events --watch goes on with what happens."""
    kubectl_now("create", "configmap", "cm")
    with kubectl_now.started("events", "--watch", "--for=pod/web") as watching:
        kubectl_now("run", "web", "--image=example.org/web:1")
        assert watching.stdout is not None
        lines = [watching.stdout.readline() for _ in range(3)]
        assert any("Scheduled" in line for line in lines)
