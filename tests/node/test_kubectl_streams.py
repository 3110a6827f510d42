"""kubectl's streams into running containers: folders both ways, a typing attach, a shell that is gone afterwards, refused ports."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually

IMAGE = "ikubernetes/demoapp:v1.0"
LISTENS = "while read -r line; do echo heard $line; done; echo over"
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def box(kubectl: Kubectl) -> Kubectl:
    """A namespace with a running pod `box`, by each kubectl."""
    kubectl("run", "box", f"--image={IMAGE}", "--overrides", '{"spec":{"terminationGracePeriodSeconds":1}}')
    kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=40s")
    return kubectl


def test_cp_carries_a_folder_both_ways(box: Kubectl, tmp_path: Path) -> None:
    """Files of any bytes, their modes and empty folders arrive in the pod; what they hold comes back (kubectl drops the modes)."""
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "large").write_bytes(os.urandom(1_500_000))
    script = source / "deep" / "er" / "script with spaces.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    box("cp", str(source), "box:/tmp/there")
    assert box("exec", "box", "--", "/tmp/there/deep/er/script with spaces.sh") == "ran\n"
    box("cp", f"{box.namespace}/box:/tmp/there", str(tmp_path / "back"), "-c", "box")
    back = tmp_path / "back"
    paths = sorted(path.relative_to(source) for path in source.rglob("*"))
    assert sorted(path.relative_to(back) for path in back.rglob("*")) == paths
    for path in paths:
        assert (source / path).is_dir() or (source / path).read_bytes() == (back / path).read_bytes()


def test_cp_says_what_is_not_there(box: Kubectl, tmp_path: Path) -> None:
    """A file that this side lacks, a folder that the pod lacks, a pod that nobody has."""
    here = tmp_path / "here"
    here.write_text("x")
    assert "doesn't exist in local filesystem" in box.run("cp", str(tmp_path / "nothing"), "box:/tmp/x").stderr
    refused = box.run("cp", str(here), "box:/nowhere/there")
    assert (refused.code, "No such file or directory" in refused.stderr) == (1, True)
    assert 'pods "nobody" not found' in box.run("cp", str(here), "nobody:/tmp/x").stderr


def test_attach_types_into_the_running_process(kubectl: Kubectl) -> None:
    """What is typed reaches the process, its words come back, and the end of the input is the end of its input."""
    options = ("--restart=Never", "--stdin", "--attach=false", "--command", "--")
    kubectl("run", "ear", f"--image={IMAGE}", *options, "sh", "-c", LISTENS)
    kubectl("wait", "--for=condition=Ready", "pod/ear", "--timeout=40s")
    done = kubectl.run("attach", "-i", "ear", stdin="one\ntwo\n", timeout=20)
    assert done.code == 0, done.stderr
    assert done.stdout == "heard one\nheard two\nover\n"
    assert kubectl("logs", "ear") == "heard one\nheard two\nover\n"
    refused = kubectl.run("attach", "ear")
    assert refused.code == 1
    assert "cannot attach" in refused.stderr


def test_run_in_a_terminal_leaves_nothing_behind(kubectl: Kubectl) -> None:
    """`run -it --rm` is a shell of the right size whose exit code is kubectl's, and whose pod is gone afterwards."""
    shell = ("run", "-it", "--rm", "--restart=Never", f"--image={IMAGE}", "shell", "--command", "--", "sh")
    code, screen = kubectl.in_terminal(*shell, typed=b"\nstty size; echo sum $((40+2)); exit 4\n", timeout=60)
    assert code == 4, screen
    assert "40 120" in screen
    assert "sum 42" in screen
    assert 'pod "shell" deleted' in screen
    assert "(NotFound)" in kubectl.run("get", "pod", "shell").stderr


def test_run_attached_takes_its_input(kubectl: Kubectl) -> None:
    """`run -i --rm` passes a pipe to the container and its output back."""
    options = ("-i", "--rm", "--restart=Never", f"--image={IMAGE}", "--command", "--")
    done = kubectl.run("run", "once", *options, "sh", "-c", "cat; exit 3", stdin="line 1\nline 2\n", timeout=60)
    assert done.code == 3, done.stderr
    assert done.stdout.startswith("line 1\nline 2\n")


def test_exec_tells_a_missing_command_and_a_signal(box: Kubectl) -> None:
    """A program that the image lacks is the runtime's error; a signal is 128 more than its number."""
    missing = box.run("exec", "box", "--", "no-such-program")
    assert missing.code == 1
    assert 'exec: "no-such-program": executable file not found in $PATH' in missing.stderr
    # The fifth version of the protocol, which only the newer one speaks, wraps the runtime's error once more.
    wrapped = missing.stderr.startswith(
        "error: Internal error occurred: Internal error occurred: error executing command"
    )
    assert wrapped is not box.program.endswith("1.20/usr/bin/kubectl")
    killed = box.run("exec", "box", "--", "sh", "-c", "kill -9 $$")
    assert killed.code == 137


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_exec_carries_a_megabyte_over_either_protocol(kubectl_now: Kubectl, websockets: str) -> None:
    """kubectl speaks WebSockets, and SPDY when told; the input arrives whole, and its end is seen."""
    kubectl_now("run", "box", f"--image={IMAGE}")
    kubectl_now("wait", "--for=condition=Ready", "pod/box", "--timeout=40s")
    setting = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets}
    done = kubectl_now.run(
        "exec", "-i", "box", "--", "sh", "-c", "wc -c; exit 2", stdin="x" * 1_000_000, env=setting, timeout=30
    )
    assert (done.code, done.stdout) == (2, "1000000\n")


def test_port_forward_tells_why_a_port_cannot_be_reached(box: Kubectl) -> None:
    """Where nothing listens, the user is told so beside the broken connection, and not left waiting."""
    with box.started("port-forward", "pod/box", ":81") as forwarding:
        assert forwarding.stdout is not None
        port = int(forwarding.stdout.readline().split("127.0.0.1:")[1].split(" ")[0])
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            NO_PROXY.open(f"http://127.0.0.1:{port}/", timeout=10)
        said = eventually(forwarding.stdout.readline, lambda line: "error forwarding port 81 to pod" in line)
        assert "connection refused" in said


def test_port_forward_finds_the_pod_of_a_service_and_a_deployment(kubectl_now: Kubectl) -> None:
    """A service's port is the pod's target port, by its name; a deployment stands for one of its pods."""
    port = {"name": "http", "containerPort": 80}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "web", "image": IMAGE, "ports": [port]}],
                },
            },
        },
    }
    kubectl_now("create", "-f", "-", stdin=json.dumps(body))
    kubectl_now("expose", "deployment", "web", "--port=8080", "--target-port=http")
    kubectl_now("rollout", "status", "deployment/web", "--timeout=40s")
    for what, port_there in (("service/web", "8080"), ("deployment/web", "80")):
        with kubectl_now.started("port-forward", what, f":{port_there}") as forwarding:
            assert forwarding.stdout is not None
            here = int(forwarding.stdout.readline().split("127.0.0.1:")[1].split(" ")[0])
            with NO_PROXY.open(f"http://127.0.0.1:{here}/", timeout=10) as reply:
                assert b"demoapp v1.0" in reply.read()
