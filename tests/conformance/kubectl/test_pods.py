"""kubectl on pods: run, logs, exec, attach, debug. The pods are simulated; those with containers are in tests/node."""

from __future__ import annotations

import json
import re
import socket

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually

TALKING = ("--command", "--", "sh", "-c", "echo one; echo two; sleep 1000")


@pytest.fixture
def talking(kubectl: Kubectl) -> Kubectl:
    """A namespace with a running pod `talk` that has written two lines, by each kubectl."""
    kubectl("run", "talk", "--image=example.org/talk:1", "--restart=Never", *TALKING)
    kubectl("wait", "--for=condition=Ready", "pod/talk", "--timeout=30s")
    return kubectl


@pytest.fixture
def talking_now(kubectl_now: Kubectl) -> Kubectl:
    """The same, by the kubectl on PATH alone."""
    kubectl_now("run", "talk", "--image=example.org/talk:1", "--restart=Never", *TALKING)
    kubectl_now("wait", "--for=condition=Ready", "pod/talk", "--timeout=30s")
    return kubectl_now


def test_run_makes_a_pod_of_its_flags(kubectl_now: Kubectl) -> None:
    """Image, labels, environment, port, arguments and overrides arrive; --expose adds a Service."""
    options = ("--labels=app=web,tier=front", "--env=A=b", "--port=80", "--expose", "--image-pull-policy=Never")
    said = kubectl_now("run", "web", "--image=example.org/web:1", *options, "--", "serve", "-v")
    assert said.splitlines() == ["service/web created", "pod/web created"]
    pod = kubectl_now.json("get", "pod", "web")
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["labels"] == {"app": "web", "tier": "front"}
    assert (container["args"], container["env"], container["imagePullPolicy"]) == (
        ["serve", "-v"],
        [{"name": "A", "value": "b"}],
        "Never",
    )
    assert kubectl_now.json("get", "service", "web")["spec"]["selector"] == {"app": "web", "tier": "front"}
    shown = kubectl_now("run", "other", "--image=i", "--dry-run=server", "-o", "yaml")
    assert "uid:" in shown
    assert "(NotFound)" in kubectl_now.run("get", "pod", "other").stderr


def test_run_attached_shows_the_output_and_removes_the_pod(kubectl_now: Kubectl) -> None:
    """run -i --rm prints what the container wrote and leaves nothing behind."""
    said = kubectl_now("run", "once", "-i", "--rm", "--image=example.org/x:1", "--restart=Never", "--", "echo", "bye")
    assert "bye" in said
    assert 'pod "once" deleted' in said
    assert "(NotFound)" in kubectl_now.run("get", "pod", "once").stderr


def test_logs_take_their_options(talking: Kubectl) -> None:
    """All lines, the last, with times, with prefixes, by selector and by owner."""
    assert talking("logs", "talk") == "one\ntwo\n"
    assert talking("logs", "talk", "--tail=1") == "two\n"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z two\n", talking("logs", "talk", "--tail=1", "--timestamps"))
    assert talking("logs", "-l", "run=talk", "--prefix") == "[pod/talk/talk] one\n[pod/talk/talk] two\n"
    assert talking("logs", "talk", "--limit-bytes=3") == "one"
    assert talking("logs", "talk", "--since=1h", "--all-containers") == "one\ntwo\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["talk", "--previous"], 'previous terminated container "talk" in pod "talk" not found', id="previous"
        ),
        pytest.param(["talk", "-c", "other"], "container other is not valid for pod talk", id="container"),
        pytest.param(["nothing"], 'pods "nothing" not found', id="pod"),
    ],
)
def test_logs_say_what_is_wrong(talking_now: Kubectl, arguments: list[str], words: str) -> None:
    """No such pod, container or earlier run."""
    done = talking_now.run("logs", *arguments)
    assert done.code == 1
    assert words in done.stderr


def test_exec_runs_a_command_and_returns_its_code(talking: Kubectl) -> None:
    """Output and exit code come back, by name and by owner."""
    assert talking("exec", "talk", "--", "echo", "hello") == "hello\n"
    assert talking("exec", "pod/talk", "-c", "talk", "--", "echo", "hello") == "hello\n"
    done = talking.run("exec", "talk", "--", "sh", "-c", "exit 3")
    assert done.code == 3
    assert "command terminated with exit code 3" in done.stderr
    done = talking.run("exec", "talk", "-c", "other", "--", "echo")
    assert done.code == 1
    assert "container other is not valid for pod talk" in done.stderr


def test_exec_refuses_a_pod_that_is_over(kubectl: Kubectl) -> None:
    """A finished pod runs nothing more."""
    kubectl("run", "done", "--image=example.org/x:1", "--restart=Never", "--", "echo", "bye")
    eventually(lambda: kubectl("get", "pod", "done"), lambda text: "Completed" in text)
    done = kubectl.run("exec", "done", "--", "echo")
    assert done.code == 1
    assert "cannot exec in a" in done.stderr or "cannot exec into a container in a completed pod" in done.stderr


def test_debug_adds_an_ephemeral_container(talking_now: Kubectl) -> None:
    """debug joins a running pod with a container that is told its target and shown by describe."""
    options = ("--image=example.org/tools:1", "--target=talk", "-c", "tools", "--profile=general", "--attach=false")
    talking_now("debug", "talk", *options, "--", "sleep", "100")
    made = talking_now.json("get", "pod", "talk")["spec"]["ephemeralContainers"][0]
    assert (made["name"], made["targetContainerName"], made["command"]) == ("tools", "talk", ["sleep", "100"])
    eventually(
        lambda: talking_now.json("get", "pod", "talk")["status"].get("ephemeralContainerStatuses", []),
        lambda found: any("running" in one["state"] for one in found),
    )
    assert "Ephemeral Containers:" in talking_now("describe", "pod", "talk")
    again = talking_now.run("debug", "talk", *options, "--", "sleep", "100")
    assert 'existing ephemeral containers "tools" may not be changed' in again.stderr


def test_debug_copies_a_pod_and_looks_at_a_node(talking_now: Kubectl) -> None:
    """--copy-to makes a second pod with the debugger beside; a node gets a pod that sees the host."""
    talking_now("debug", "talk", "--image=i", "--copy-to=copy", "-c", "tools", "--profile=general", "--attach=false")
    assert [one["name"] for one in talking_now.json("get", "pod", "copy")["spec"]["containers"]] == ["talk", "tools"]
    node = talking_now("get", "pod", "talk", "-o", "jsonpath={.spec.nodeName}")
    talking_now("debug", f"node/{node}", "--image=i", "--profile=sysadmin", "--attach=false")
    name = next(one for one in talking_now("get", "pods", "-o", "name").split() if "node-debugger" in one)
    spec = talking_now.json("get", name)["spec"]
    assert (spec["nodeName"], spec["hostPID"], spec["hostNetwork"]) == (node, True, True)


def test_debug_keeps_to_a_restricted_namespace(talking_now: Kubectl) -> None:
    """Where the level is restricted, only that profile is let in, into a pod that obeys the level itself."""
    talking_now("label", "namespace", talking_now.namespace, "pod-security.kubernetes.io/enforce=restricted")
    obeying = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "target"},
        "spec": {"containers": [{"name": "c", "image": "i", "securityContext": obeying}]},
    }
    talking_now("create", "-f", "-", stdin=json.dumps(body))
    talking_now("wait", "--for=condition=Ready", "pod/target", "--timeout=30s")
    command = ("debug", "target", "--image=i", "--attach=false", "-c")
    refused = talking_now.run(*command, "any", "--profile=sysadmin")
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr
    talking_now(*command, "tools", "--profile=restricted")
    assert [one["name"] for one in talking_now.json("get", "pod", "target")["spec"]["ephemeralContainers"]] == ["tools"]


def test_debug_replaces_the_pod_it_copies(talking_now: Kubectl) -> None:
    """--copy-to with an image changes the container, --replace deletes the first pod, and both see each other's processes."""
    talking_now("debug", "talk", "--image=example.org/other:1", "-c", "talk", "--copy-to=copy", "--", "sleep", "60")
    copied = talking_now.json("get", "pod", "copy")["spec"]["containers"]
    assert [(one["image"], one["command"]) for one in copied] == [("example.org/other:1", ["sleep", "60"])]
    options = ("--copy-to=second", "-c", "tools", "--profile=general", "--attach=false", "--replace")
    talking_now("debug", "talk", "--image=i", *options)
    assert talking_now.json("get", "pod", "second")["spec"]["shareProcessNamespace"] is True
    eventually(lambda: talking_now.run("get", "pod", "talk").stderr, lambda text: "(NotFound)" in text)


def test_port_forward_listens_and_tells_what_it_cannot_reach(talking_now: Kubectl) -> None:
    """A port of a pod is forwarded, and who uses it learns that nothing is there; a service without a selector leads nowhere."""
    with talking_now.started("port-forward", "pod/talk", ":80") as forward:
        assert forward.stdout is not None
        port = int(forward.stdout.readline().split("127.0.0.1:")[1].split(" ")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            said = eventually(forward.stdout.readline, lambda line: "error forwarding port 80 to pod talk" in line)
            assert "a simulated pod listens on no port" in said
            assert connection.recv(1) == b""
    done = talking_now.run("-n", "default", "port-forward", "service/kubernetes", ":443")
    assert done.code == 1
    assert "Service is defined without a selector" in done.stderr
