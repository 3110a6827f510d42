"""Services that kubectl makes of other objects, and autoscalers and budgets: names, ports and defaults."""

from __future__ import annotations

import json

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually

CONTROLLER = json.dumps({
    "apiVersion": "v1",
    "kind": "ReplicationController",
    "metadata": {"name": "front"},
    "spec": {
        "replicas": 0,
        "selector": {"app": "front"},
        "template": {"metadata": {"labels": {"app": "front"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    },
})


def pod(name: str, *ports: int) -> str:
    """A pod with a label and ports."""
    container = {"name": "c", "image": "i", "ports": [{"containerPort": port} for port in ports]}
    metadata = {"name": name, "labels": {"app": "many"}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})


def test_expose_goes_on_from_what_is_exposed(kubectl: Kubectl) -> None:
    """A controller, then its service; ports without names; a port that is not told is the one that is there."""
    kubectl("create", "-f", "-", stdin=CONTROLLER)
    kubectl("expose", "rc", "front", "--port=80")
    kubectl("expose", "service", "front", "--port=443", "--name=second")
    kubectl("expose", "service", "front", "--name=third")
    shape = (
        "jsonpath={range .items[*]}{.metadata.name} {.spec.ports[0].name}{.spec.ports[0].port} {.spec.selector}\n{end}"
    )
    assert kubectl("get", "services", "-o", shape).splitlines() == [
        'front 80 {"app":"front"}',
        'second 443 {"app":"front"}',
        'third 80 {"app":"front"}',
    ]


def test_expose_takes_every_port_and_cuts_the_name(kubectl_now: Kubectl) -> None:
    """Several ports get names; a pod's long name is cut to a service's length; overrides count."""
    said = kubectl_now("expose", "-f", "-", "--selector=app=many", stdin=pod("many", 2380, 2379))
    assert said == "service/many exposed\n"
    ports = kubectl_now.json("get", "service", "many")["spec"]["ports"]
    assert [(one["name"], one["port"]) for one in ports] == [("port-1", 2380), ("port-2", 2379)]
    assert kubectl_now("expose", "-f", "-", "--port=80", stdin=pod("a" * 80)) == f"service/{'a' * 63} exposed\n"
    options = ("--port=80", "--name=noted", "--overrides", '{"metadata":{"annotations":{"a":"b"}}}')
    kubectl_now("expose", "-f", "-", *options, stdin=pod("many", 80))
    assert kubectl_now.json("get", "service", "noted")["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("arguments", "manifest", "words"),
    [
        pytest.param(["--port=80", f"--name={'b' * 64}"], pod("p", 80), "metadata.name: Invalid value", id="long-name"),
        pytest.param([], pod("p"), "couldn't find port via --port flag or introspection", id="no-port"),
    ],
)
def test_expose_says_what_is_wrong(kubectl_now: Kubectl, arguments: list[str], manifest: str, words: str) -> None:
    """A name that no service may have, a port that nobody knows."""
    done = kubectl_now.run("expose", "-f", "-", *arguments, stdin=manifest)
    assert done.code == 1
    assert words in done.stderr


def test_expose_refuses_what_has_no_pods(kubectl: Kubectl) -> None:
    """A node cannot be exposed."""
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    assert "cannot expose a" in kubectl.run("expose", "node", node, "--port=80").stderr


def test_run_exposes_after_a_dry_run(kubectl: Kubectl) -> None:
    """A dry run of both by the server makes neither; the service's name and selector are the pod's."""
    command = ("run", "web", "--image=i", "--port=80", "--expose")
    said = kubectl(*command, "--dry-run=server").splitlines()
    assert said == ["service/web created (server dry run)", "pod/web created (server dry run)"]
    assert kubectl("get", "pods,services", "-o", "name") == ""
    kubectl(*command)
    assert kubectl.json("get", "service", "web")["spec"]["selector"] == {"run": "web"}


def test_autoscale_fills_in_a_target(kubectl: Kubectl) -> None:
    """Without a target it is 80 percent of the CPU that pods ask for; --max must be told."""
    kubectl("create", "-f", "-", stdin=CONTROLLER)
    kubectl("autoscale", "rc", "front", "--min=2", "--max=3")
    spec = kubectl.json("get", "horizontalpodautoscalers.v2.autoscaling", "front")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 3)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    old = kubectl.json("get", "horizontalpodautoscalers.v1.autoscaling", "front")["spec"]
    assert old["targetCPUUtilizationPercentage"] == 80
    kubectl("delete", "hpa", "front")
    kubectl("autoscale", "-f", "-", "--max=2", "--cpu-percent=70", "--dry-run=client", stdin=CONTROLLER)
    assert kubectl.run("autoscale", "rc", "front").code == 1
    assert kubectl("get", "hpa", "-o", "name") == ""


def test_disruption_budgets_show_what_they_allow(kubectl_now: Kubectl) -> None:
    """Numbers and percentages, at least and at most; both at once is refused."""
    kubectl_now("create", "pdb", "least", "--selector=app=a", "--min-available=50%")
    kubectl_now("create", "pdb", "most", "--selector=app=a", "--max-unavailable=2")
    rows = [line.split()[:3] for line in kubectl_now("get", "pdb").splitlines()[1:]]
    assert rows == [["least", "50%", "N/A"], ["most", "N/A", "2"]]
    both = kubectl_now.run("create", "pdb", "both", "--selector=a=b", "--min-available=1", "--max-unavailable=1")
    assert both.code == 1


def test_describe_pod_says_where_variables_come_from(kubectl: Kubectl) -> None:
    """Secrets, maps and fields are named, not read; events can be left out."""
    sources = {
        "SECRET": {"secretKeyRef": {"name": "s", "key": "k1"}},
        "MAP": {"configMapKeyRef": {"name": "c", "key": "k2"}},
        "FIELD": {"fieldRef": {"fieldPath": "metadata.name"}},
    }
    body = json.loads(pod("env"))
    body["spec"]["containers"][0]["env"] = [{"name": name, "valueFrom": source} for name, source in sources.items()]
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    described = eventually(lambda: kubectl("describe", "pod", "env"), lambda text: "Scheduled" in text)
    for words in (
        "<set to the key 'k1' in secret 's'>",
        "<set to the key 'k2' of config map 'c'>",
        "(v1:metadata.name)",
    ):
        assert words in described
    assert "Events:" not in kubectl("describe", "pod", "env", "--show-events=false")


def test_events_of_a_cron_job_are_found(kubectl_now: Kubectl) -> None:
    """A job that is started by hand is an event of its cron job, by every option of `events`."""
    kubectl_now("create", "cronjob", "pi", "--schedule=59 23 31 2 *", "--image=i")
    kubectl_now("create", "job", "by-hand", "--from=cronjob/pi")
    chosen = ("events", "--for=cronjob/pi")
    eventually(lambda: kubectl_now(*chosen, "--types=Warning"), lambda text: "UnexpectedJob" in text)
    assert "LAST SEEN" not in kubectl_now(*chosen, "--no-headers")
    assert "UnexpectedJob" not in kubectl_now.run(*chosen, "--types=Normal").stdout
    assert "UnexpectedJob" in kubectl_now(*chosen, "-o", "yaml")
    assert "UnexpectedJob" in kubectl_now(*chosen, "--watch", "--request-timeout=1")
