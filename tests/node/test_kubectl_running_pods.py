"""kubectl's everyday commands on running pods and on the node, with the installed kubectl and with 1.20."""

from __future__ import annotations

from support.kubectl import Kubectl
from support.waiting import eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "ikubernetes/demoapp:v1.0", ports: [{containerPort: 80, name: http}]}
"""


def test_create_get_describe_delete_pod(kubectl: Kubectl) -> None:
    """A pod is created from a file, printed in every format, described and deleted."""
    assert kubectl("create", "-f", "-", stdin=POD) == "pod/web created\n"
    eventually(lambda: kubectl("get", "pod", "web"), lambda text: "Running" in text)
    header, row = kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["web", "1/1", "Running", "0"]
    assert kubectl.json("get", "pod", "web")["status"]["phase"] == "Running"
    assert "podIP" in kubectl("get", "pod", "web", "-o", "yaml")
    assert "IP" in kubectl("get", "pod", "web", "-o", "wide").splitlines()[0]
    described = kubectl("describe", "pod", "web")
    for part in (
        "Name:",
        "Node:",
        "Status:",
        "Containers:",
        "Conditions:",
        "QoS Class:",
        "Tolerations:",
        "Events:",
        "Scheduled",
        "Started",
    ):
        assert part in described
    assert kubectl("delete", "pod", "web", timeout=90).startswith('pod "web" deleted')
    assert "NotFound" in kubectl.run("get", "pod", "web").stderr


def test_logs_print_what_the_container_wrote(kubectl: Kubectl) -> None:
    """Logs reach the user through the API server and the kubelet."""
    kubectl("create", "-f", "-", stdin=POD)
    eventually(lambda: kubectl("get", "pod", "web"), lambda text: "Running" in text)
    assert kubectl.run("logs", "web").code == 0


def test_deployment_is_created_scaled_and_deleted(kubectl: Kubectl) -> None:
    """create deployment brings pods; scale changes their number; deletion takes them along."""
    kubectl("create", "deployment", "demoapp", "--image=ikubernetes/demoapp:v1.0", "--replicas=3")
    eventually(lambda: kubectl("get", "deployment", "demoapp"), lambda text: "3/3" in text)
    assert len(kubectl("get", "pods", "-l", "app=demoapp", "-o", "name").split()) == 3
    assert "scaled" in kubectl("scale", "deployment", "demoapp", "--replicas=1")
    eventually(
        lambda: kubectl("get", "pods", "-l", "app=demoapp", "-o", "name").split(),
        lambda names: len(names) == 1,
        timeout=60,
    )
    kubectl("delete", "deployment", "demoapp", timeout=90)
    eventually(lambda: kubectl("get", "pods,replicasets", "-o", "name").split(), lambda names: not names, timeout=60)


def test_rollout_status_and_get_all(kubectl_now: Kubectl) -> None:
    """rollout status waits for the deployment; get all -A lists it with its parts."""
    kubectl_now("create", "deployment", "front", "--image=ikubernetes/demoapp:v1.0")
    assert "successfully rolled out" in kubectl_now("rollout", "status", "deployment/front", "--timeout=30s")
    listed = kubectl_now("get", "all", "-A")
    for part in ("deployment.apps/front", "replicaset.apps/front-", "pod/front-", "service/kubernetes"):
        assert part in listed


def test_wait_for_ready(kubectl: Kubectl) -> None:
    """wait returns when the condition holds, and times out with an error when it never does."""
    kubectl("create", "-f", "-", stdin=POD)
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    assert "timed out" in kubectl.run("wait", "--for=condition=Nonsense", "pod/web", "--timeout=1s").stderr
