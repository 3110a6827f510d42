"""Deployments in kubectl's hands: rollout, set, scale, autoscale, expose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually


def container(kubectl: Kubectl) -> dict[str, Any]:
    """The deployment's one container, as it is wanted now."""
    found: dict[str, Any] = kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """A namespace with a deployment `web` of two running pods, by each kubectl."""
    kubectl("create", "deployment", "web", "--image=example.org/web:1", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return kubectl


@pytest.fixture
def web_now(kubectl_now: Kubectl) -> Kubectl:
    """The same, by the kubectl on PATH alone."""
    kubectl_now("create", "deployment", "web", "--image=example.org/web:1", "--replicas=2")
    kubectl_now("rollout", "status", "deployment/web", "--timeout=30s")
    return kubectl_now


def test_rollout_goes_forth_and_back(web: Kubectl) -> None:
    """A new image is a revision with its cause; undo goes back, to the last or to a named one."""
    web("set", "image", "deployment/web", "web=example.org/web:2")
    web("annotate", "deployment", "web", "kubernetes.io/change-cause=second")
    assert "successfully rolled out" in web("rollout", "status", "deployment/web", "--timeout=30s")
    history = eventually(lambda: web("rollout", "history", "deployment/web"), lambda text: "second" in text)
    assert [line.split() for line in history.splitlines()[2:4]] == [["1", "<none>"], ["2", "second"]]
    assert "example.org/web:2" in web("rollout", "history", "deployment/web", "--revision=2")
    assert "rolled back" in web("rollout", "undo", "deployment/web")
    assert container(web)["image"] == "example.org/web:1"
    eventually(lambda: web("rollout", "history", "deployment/web"), lambda text: "\n3 " in text)
    assert "rolled back" in web("rollout", "undo", "deployment/web", "--to-revision=2")
    assert container(web)["image"] == "example.org/web:2"
    assert (
        "unable to find specified revision 99"
        in web.run("rollout", "undo", "deployment/web", "--to-revision=99").stderr
    )


def test_rollout_pauses_and_resumes(web: Kubectl) -> None:
    """While it is paused a change starts no pods; resumed, it does."""
    assert web("rollout", "pause", "deployment/web") == "deployment.apps/web paused\n"
    assert "already paused" in web.run("rollout", "pause", "deployment/web").stderr
    web("set", "image", "deployment/web", "web=example.org/web:2")
    assert "paused" in web.run("rollout", "restart", "deployment/web").stderr
    assert len(web("get", "replicasets", "-o", "name").split()) == 1
    assert web("rollout", "resume", "deployment/web") == "deployment.apps/web resumed\n"
    assert "successfully rolled out" in web("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(web("get", "replicasets", "-o", "name").split()) == 2


def test_rollout_restart_replaces_every_pod(web: Kubectl) -> None:
    """A restart notes its time in the template, and other pods run afterwards."""
    before = set(web("get", "pods", "-o", "name").split())
    assert web("rollout", "restart", "deployment/web") == "deployment.apps/web restarted\n"
    web("rollout", "status", "deployment/web", "--timeout=30s")
    template = web.json("get", "deployment", "web")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    eventually(lambda: set(web("get", "pods", "-o", "name").split()), lambda now: len(now) == 2 and not now & before)


def test_rollout_status_reports_a_deadline_that_passed(kubectl_now: Kubectl) -> None:
    """Where a pull cannot succeed the rollout is given up after its deadline, with an exit code."""
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "progressDeadlineSeconds": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.invalid/web:1"}]},
            },
        },
    }
    kubectl_now("create", "-f", "-", stdin=json.dumps(deployment))
    done = kubectl_now.run("rollout", "status", "deployment/web", "--timeout=40s")
    assert done.code == 1
    assert 'deployment "web" exceeded its progress deadline' in done.stderr


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_rollout_of_other_sets(kubectl: Kubectl, kind: str) -> None:
    """Daemon sets and stateful sets have revisions too, with undo, restart and history, but no pause."""
    body = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "web", "image": "e.org/web:1"}]},
            },
            **({"serviceName": "web"} if kind == "StatefulSet" else {}),
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    what = f"{kind.lower()}/web"

    def image_of_the_pod() -> str:
        kubectl("rollout", "status", what, "--timeout=30s")
        return kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[*].image}")

    assert image_of_the_pod() == "e.org/web:1"
    kubectl("set", "image", what, "web=e.org/web:2")
    assert image_of_the_pod() == "e.org/web:2"
    assert "e.org/web:2" in kubectl("rollout", "history", what, "--revision=2")
    assert kubectl("rollout", "undo", what).endswith(f"{kind.lower()}.apps/web rolled back\n")
    assert image_of_the_pod() == "e.org/web:1"
    history = kubectl("rollout", "history", what).splitlines()
    assert [line.split()[0] for line in history[2:] if line] == ["2", "3"]
    assert "unable to find specified revision 9" in kubectl.run("rollout", "undo", what, "--to-revision=9").stderr
    assert "pausing is not supported" in kubectl.run("rollout", "pause", what).stderr


def test_scale_with_preconditions(web: Kubectl) -> None:
    """scale changes the number, refuses when another was expected, and takes several objects."""
    assert "scaled" in web("scale", "deployment/web", "--replicas=3", "--current-replicas=2")
    refused = web.run("scale", "deployment/web", "--replicas=1", "--current-replicas=7")
    assert refused.code == 1
    assert "Expected replicas to be 7, was 3" in refused.stderr
    web("create", "deployment", "other", "--image=example.org/web:1")
    web("scale", "deployment", "--all", "--replicas=0")
    eventually(lambda: web("get", "pods", "-o", "name"), lambda names: not names)


@pytest.mark.parametrize(
    ("arguments", "path", "value"),
    [
        pytest.param(["image", "deployment/web", "*=example.org/web:9"], "image", "example.org/web:9", id="image"),
        pytest.param(["env", "deployment/web", "A=b"], "env", [{"name": "A", "value": "b"}], id="env"),
        pytest.param(
            ["env", "deployment/web", "--from=configmap/settings", "--prefix=P_"],
            "env",
            [{"name": "P_COLOUR", "valueFrom": {"configMapKeyRef": {"key": "colour", "name": "settings"}}}],
            id="env-from",
        ),
        pytest.param(
            ["resources", "deployment/web", "-c=web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=100m"],
            "resources",
            {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "100m"}},
            id="resources",
        ),
    ],
)
def test_set_changes_the_template(web_now: Kubectl, arguments: list[str], path: str, value: object) -> None:
    """set writes what it says into the container."""
    web_now("create", "configmap", "settings", "--from-literal=colour=red")
    assert "updated" in web_now("set", *arguments)
    assert container(web_now)[path] == value


def test_set_env_lists_and_removes(web_now: Kubectl) -> None:
    """--list prints, --resolve looks values up, NAME- removes."""
    web_now("create", "secret", "generic", "s", "--from-literal=PASS=word")
    web_now("set", "env", "deployment/web", "A=b")
    web_now("set", "env", "deployment/web", "--from=secret/s")
    assert "PASS=word" in web_now("set", "env", "deployment/web", "--list", "--resolve")
    web_now("set", "env", "deployment/web", "A-", "PASS-")
    assert "env" not in container(web_now)


def test_set_serviceaccount_selector_and_subject(web_now: Kubectl) -> None:
    """The other three things that set can set."""
    web_now("create", "serviceaccount", "robot")
    assert "serviceaccount updated" in web_now("set", "serviceaccount", "deployment/web", "robot")
    assert web_now.json("get", "deployment", "web")["spec"]["template"]["spec"]["serviceAccountName"] == "robot"
    web_now("create", "service", "clusterip", "web", "--tcp=80")
    assert "selector updated" in web_now("set", "selector", "service", "web", "tier=front")
    assert web_now.json("get", "service", "web")["spec"]["selector"] == {"tier": "front"}
    web_now("create", "rolebinding", "rb", "--clusterrole=view", "--user=jane")
    web_now("set", "subject", "rolebinding", "rb", "--user=joe", f"--serviceaccount={web_now.namespace}:robot")
    assert [one["name"] for one in web_now.json("get", "rolebinding", "rb")["subjects"]] == ["jane", "joe", "robot"]


def test_autoscale_makes_an_autoscaler_that_both_versions_show(web_now: Kubectl) -> None:
    """autoscale writes autoscaling/v1, get reads v2: it is one object."""
    assert "autoscaled" in web_now("autoscale", "deployment", "web", "--min=1", "--max=4", "--cpu-percent=70")
    header, row = web_now("get", "hpa").splitlines()
    assert header.split() == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert row.split()[:2] == ["web", "Deployment/web"]
    assert (
        web_now.json("get", "horizontalpodautoscalers.v1.autoscaling", "web")["spec"]["targetCPUUtilizationPercentage"]
        == 70
    )
    metric = web_now.json("get", "horizontalpodautoscalers.v2.autoscaling", "web")["spec"]["metrics"][0]
    assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert "Deployment/web" in web_now("describe", "hpa", "web")


def test_expose_selects_the_deployments_pods(web: Kubectl) -> None:
    """The Service selects what the deployment does, and its endpoints are the pods' addresses."""
    assert "exposed" in web("expose", "deployment", "web", "--port=80", "--target-port=8080", "--name=front")
    service = web.json("get", "service", "front")
    assert service["spec"]["selector"] == {"app": "web"}
    addresses = set(web("get", "pods", "-o", "jsonpath={.items[*].status.podIP}").split())
    described = eventually(
        lambda: web("describe", "service", "front"), lambda text: all(f"{one}:8080" in text for one in addresses)
    )
    assert "Selector:" in described
    assert "exposed" in web("expose", "service", "front", "--port=81", "--name=again", "--type=NodePort")
    assert web.json("get", "service", "again")["spec"]["ports"][0]["nodePort"] >= 30000


def test_delete_cascades_as_told(web_now: Kubectl) -> None:
    """Orphaned replica sets live on; in the foreground the owner goes last."""
    web_now("delete", "deployment", "web", "--cascade=orphan")
    assert web_now("get", "replicasets", "-o", "name")
    web_now("delete", "replicasets", "--all", "--cascade=foreground", "--timeout=40s")
    assert web_now("get", "replicasets", "-o", "name") == ""
    eventually(lambda: web_now("get", "pods", "-o", "name"), lambda names: not names)
