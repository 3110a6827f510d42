"""The lesson's second half on real containers, with the installed kubectl and with 1.20."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually

DEMOAPP = "ikubernetes/demoapp:v1.0"


def pod(
    name: str,
    *,
    command: str | list[str] = "",
    restart: str = "Always",
    image: str = DEMOAPP,
    grace: int = 1,
    **container: object,
) -> str:
    main: dict[str, object] = {"name": "main", "image": image, **container}
    if command:
        main["command"] = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    spec = {"restartPolicy": restart, "terminationGracePeriodSeconds": grace, "containers": [main]}
    return json.dumps({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    })


def status(kubectl: Kubectl, name: str) -> str:
    """The STATUS column, which is what a user looks at."""
    return kubectl("get", "pod", name, "--no-headers").split()[2]


def wait_status(kubectl: Kubectl, name: str, *wanted: str, timeout: float = 60) -> None:
    eventually(lambda: status(kubectl, name), lambda seen: seen in wanted, timeout=timeout)


def test_env_var_pod_listens_where_its_variables_say(kubectl: Kubectl, manifests: Path) -> None:
    """Line 15: HOST and PORT reach the process; exec shows the socket and the environment."""
    kubectl("apply", "-f", str(manifests / "mypod-with-env-var.yaml"))
    kubectl("wait", "--for=condition=Ready", "pod/mypod-with-env-var", "--timeout=60s")
    eventually(
        lambda: kubectl("exec", "mypod-with-env-var", "--", "netstat", "-tnl"), lambda text: "127.0.0.1:8080" in text
    )
    variables = dict(
        line.split("=", 1)
        for line in kubectl("exec", "mypod-with-env-var", "--", "printenv").splitlines()
        if "=" in line
    )
    assert variables["HOSTNAME"] == "mypod-with-env-var"
    assert variables["HOST"] == "127.0.0.1"
    assert variables["PORT"] == "8080"
    assert variables["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"


def test_host_port_pod_answers_on_the_nodes_port(kubectl_now: Kubectl, manifests: Path) -> None:
    """Line 17: the pod answers by its own host name on port 8080 of its node."""
    kubectl_now("apply", "-f", str(manifests / "mypod-with-ports.yml"))
    kubectl_now("wait", "--for=condition=Ready", "pod/mypod-with-ports", "--timeout=60s")
    address = kubectl_now.json("get", "pod", "mypod-with-ports")["status"]["hostIP"]

    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as reply:
                return str(reply.read().decode())
        except OSError as error:
            raise AssertionError(str(error)) from error

    assert "mypod-with-ports" in eventually(ask)
    kubectl_now("delete", "pod", "mypod-with-ports")


def test_host_network_pod_sees_the_nodes_addresses(kubectl: Kubectl, manifests: Path) -> None:
    """Line 18: `ip a` inside shows the node's own addresses."""
    kubectl("apply", "-f", str(manifests / "mypod-with-hostnetwork.yml"))
    kubectl("wait", "--for=condition=Ready", "pod/mypod-with-hostnetwork", "--timeout=60s")
    inside = kubectl("exec", "mypod-with-hostnetwork", "--", "ip", "a")
    assert kubectl.json("get", "pod", "mypod-with-hostnetwork")["status"]["hostIP"] in inside
    kubectl("delete", "pod", "mypod-with-hostnetwork")


def test_phases_succeeded_failed_and_their_columns(kubectl: Kubectl) -> None:
    """Line 9: a finished pod is Completed or Error in the column and Succeeded or Failed in its phase."""
    kubectl("create", "-f", "-", stdin=pod("fine", command="exit 0", restart="Never"))
    kubectl("create", "-f", "-", stdin=pod("wrong", command="exit 3", restart="Never"))
    wait_status(kubectl, "fine", "Completed")
    wait_status(kubectl, "wrong", "Error")
    assert kubectl.json("get", "pod", "fine")["status"]["phase"] == "Succeeded"
    failed = kubectl.json("get", "pod", "wrong")["status"]
    assert failed["phase"] == "Failed"
    assert failed["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_crashing_container_backs_off(kubectl: Kubectl) -> None:
    """Line 9: a container that keeps failing shows CrashLoopBackOff and counts its restarts."""
    kubectl("create", "-f", "-", stdin=pod("crash", command="exit 1"))
    wait_status(kubectl, "crash", "CrashLoopBackOff")
    state = kubectl.json("get", "pod", "crash")["status"]["containerStatuses"][0]
    assert state["restartCount"] >= 1
    assert "back-off 10s restarting failed container=main" in state["state"]["waiting"]["message"]
    assert state["lastState"]["terminated"]["exitCode"] == 1


def test_image_that_cannot_be_had_is_told(kubectl: Kubectl) -> None:
    """Line 9: ErrImagePull, then ImagePullBackOff, with the reason in the message and in events."""
    kubectl("create", "-f", "-", stdin=pod("nowhere", image="localhost:1/no/such:1"))
    seen = set()

    def look() -> set[str]:
        seen.add(status(kubectl, "nowhere"))
        return seen

    eventually(look, lambda names: "ImagePullBackOff" in names, timeout=60)
    assert "Failed to pull image" in kubectl("describe", "pod", "nowhere")
    kubectl("create", "-f", "-", stdin=pod("never", image="localhost:1/no/such:2", imagePullPolicy="Never"))
    wait_status(kubectl, "never", "ErrImageNeverPull")


def test_deleted_pod_terminates_within_its_grace(kubectl: Kubectl) -> None:
    """Line 9: Terminating while the process ignores SIGTERM, gone when the grace period is over."""
    kubectl("create", "-f", "-", stdin=pod("stubborn", command="trap '' TERM; while true; do sleep 1; done", grace=3))
    wait_status(kubectl, "stubborn", "Running")
    kubectl("delete", "pod", "stubborn", "--wait=false")
    wait_status(kubectl, "stubborn", "Terminating", timeout=2)
    eventually(lambda: kubectl.run("get", "pod", "stubborn").stderr, lambda text: "NotFound" in text, timeout=20)


def test_pending_pod_says_why(kubectl: Kubectl) -> None:
    """Line 9: a pod that fits nowhere stays Pending, with the scheduler's reason."""
    kubectl("create", "-f", "-", stdin=pod("huge", resources={"requests": {"cpu": "1000"}}))
    described = eventually(lambda: kubectl("describe", "pod", "huge"), lambda text: "FailedScheduling" in text)
    assert "0/1 nodes are available: 1 Insufficient cpu." in described
    assert status(kubectl, "huge") == "Pending"


@pytest.mark.parametrize(
    ("container", "printed"),
    [
        pytest.param({"command": ["/bin/sh", "-c", "echo from command"]}, "from command", id="command-replaces-both"),
        pytest.param({"args": ["/bin/sh", "-c", "echo from args"]}, "from args", id="args-replace-cmd-only"),
        pytest.param(
            {"command": ["/bin/echo"], "args": ["$(WORD) twice"], "env": [{"name": "WORD", "value": "said"}]},
            "said twice",
            id="both-with-expansion",
        ),
    ],
)
def test_command_and_args_against_the_image(kubectl: Kubectl, container: dict[str, object], printed: str) -> None:
    """Line 14: command replaces ENTRYPOINT, args replace CMD, and $(VAR) is expanded."""
    kubectl("create", "-f", "-", stdin=pod("says", restart="Never", **container))
    wait_status(kubectl, "says", "Completed")
    assert kubectl("logs", "says").strip() == printed


def test_pod_yaml_shows_what_the_server_filled_in(kubectl: Kubectl) -> None:
    """Line 12: priority, the token mount, the quality class and the default tolerations."""
    kubectl("create", "-f", "-", stdin=pod("plain"))
    spec = kubectl.json("get", "pod", "plain")["spec"]
    assert spec["priority"] == 0
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert {toleration["key"] for toleration in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }
    wait_status(kubectl, "plain", "Running")
    assert kubectl.json("get", "pod", "plain")["status"]["qosClass"] == "BestEffort"
    listed = kubectl("exec", "plain", "--", "ls", "/var/run/secrets/kubernetes.io/serviceaccount").split()
    assert set(listed) >= {"ca.crt", "namespace", "token"}


def test_exec_in_a_terminal(kubectl: Kubectl) -> None:
    """`exec -it` gives a terminal of the right size and the command's exit code."""
    kubectl("create", "-f", "-", stdin=pod("shell"))
    wait_status(kubectl, "shell", "Running")
    code, screen = kubectl.in_terminal("exec", "-it", "shell", "--", "/bin/sh", typed=b"stty size; exit 7\n")
    assert code == 7
    assert "40 120" in screen


def test_exec_passes_streams_and_exit_code(kubectl: Kubectl) -> None:
    """stdin reaches the command; stdout and stderr come back apart; its exit code is kubectl's."""
    kubectl("create", "-f", "-", stdin=pod("shell"))
    wait_status(kubectl, "shell", "Running")
    done = kubectl.run("exec", "-i", "shell", "--", "/bin/sh", "-c", "cat; echo oops >&2; exit 5", stdin="through\n")
    assert done.stdout == "through\n"
    assert "oops" in done.stderr
    assert done.code == 5


def test_logs_follow_until_the_container_ends(kubectl: Kubectl) -> None:
    """`logs -f` prints lines as they come and ends with the container; tail and previous work."""
    kubectl(
        "create",
        "-f",
        "-",
        stdin=pod("count", command="for i in 1 2 3; do echo line $i; sleep 0.3; done", restart="Never"),
    )
    wait_status(kubectl, "count", "Running", "Completed")
    assert kubectl("logs", "-f", "count").splitlines() == ["line 1", "line 2", "line 3"]
    assert kubectl("logs", "--tail=1", "count").splitlines() == ["line 3"]
    assert "T" in kubectl("logs", "--timestamps", "--tail=1", "count").split()[0]


def test_cp_in_and_out(kubectl: Kubectl, tmp_path: Path) -> None:
    """Files travel into the pod and back unchanged."""
    kubectl("create", "-f", "-", stdin=pod("box"))
    wait_status(kubectl, "box", "Running")
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 400)
    kubectl("cp", str(source), "box:/tmp/copied")
    kubectl("cp", "box:/tmp/copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_port_forward_reaches_the_pod(kubectl: Kubectl) -> None:
    """port-forward carries several connections to the pod's port."""
    kubectl("create", "-f", "-", stdin=pod("web"))
    wait_status(kubectl, "web", "Running")
    with kubectl.started("port-forward", "pod/web", ":80") as forwarding:
        assert forwarding.stdout is not None
        port = int(forwarding.stdout.readline().split("127.0.0.1:")[1].split(" ")[0])
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
                assert "web" in reply.read().decode()


def test_attach_reads_the_running_output(kubectl_now: Kubectl) -> None:
    """attach joins the process's output."""
    kubectl_now("create", "-f", "-", stdin=pod("ticks", command="while true; do echo tick; sleep 0.2; done"))
    wait_status(kubectl_now, "ticks", "Running")
    with kubectl_now.started("attach", "ticks") as attached:
        assert attached.stdout is not None
        assert eventually(attached.stdout.readline, lambda line: "tick" in line)


def test_volumes_of_every_simple_sort(kubectl_now: Kubectl) -> None:
    """emptyDir, configMap, secret and hostPath appear with their content."""
    kubectl_now("create", "configmap", "settings", "--from-literal=colour=red")
    kubectl_now("create", "secret", "generic", "hidden", "--from-literal=word=sesame")
    body = json.loads(
        pod(
            "vols",
            command="cat /c/colour /s/word; echo $COLOUR $WORD; echo kept > /e/x; cat /e/x; ls /h",
            restart="Never",
        )
    )
    body["spec"]["volumes"] = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "s", "secret": {"secretName": "hidden"}},
        {"name": "e", "emptyDir": {}},
        {"name": "h", "hostPath": {"path": "/etc/apt", "type": "Directory"}},
    ]
    main = body["spec"]["containers"][0]
    main["volumeMounts"] = [{"name": key, "mountPath": f"/{key}"} for key in "cseh"]
    main["env"] = [
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
    ]
    kubectl_now("create", "-f", "-", stdin=json.dumps(body))
    wait_status(kubectl_now, "vols", "Completed")
    assert "redsesame" in kubectl_now("logs", "vols")
    assert "red sesame\nkept\n" in kubectl_now("logs", "vols")


def test_prestop_and_poststart_are_not_lost(kubectl_now: Kubectl) -> None:
    """preStop runs before SIGTERM, within the grace period."""
    body = json.loads(pod("hooked", grace=10, command="trap 'exit 0' TERM; while true; do sleep 0.1; done"))
    body["spec"]["volumes"] = [{"name": "shared", "hostPath": {"path": "/tmp", "type": "Directory"}}]
    main = body["spec"]["containers"][0]
    marker = f"/tmp/pinnace-prestop-{socket.gethostname()}-{kubectl_now.namespace}"
    main["volumeMounts"] = [{"name": "shared", "mountPath": "/tmp"}]
    main["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"echo stopped > {marker}"]}}}
    kubectl_now("create", "-f", "-", stdin=json.dumps(body))
    wait_status(kubectl_now, "hooked", "Running")
    kubectl_now("delete", "pod", "hooked", timeout=30)
    assert Path(marker).read_text() == "stopped\n"
    Path(marker).unlink()
