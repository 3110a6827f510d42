"""Pods from a folder of the node, with real containers."""

from __future__ import annotations

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.waiting import eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: own, namespace: NAMESPACE}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "ikubernetes/demoapp:v1.0"}]
"""


def test_pod_of_a_file_lives_as_long_as_the_file(real: RunningCluster, kubectl_now: Kubectl) -> None:
    """kubectl sees it by its mirror, cannot end it, and sees it go with its file."""
    folder = real.data_dir / "manifests"
    folder.mkdir(exist_ok=True)
    file = folder / "own.yaml"
    file.write_text(POD.replace("NAMESPACE", kubectl_now.namespace))
    try:
        node = kubectl_now("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
        name = f"own-{node}"
        path = "jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID} {.status.phase}"
        before = eventually(
            lambda: kubectl_now.run("get", "pod", name, "-o", path).stdout, lambda text: "Running" in text
        )
        assert kubectl_now("exec", name, "--", "hostname").strip() == name
        kubectl_now("delete", "pod", name, "--wait=false")
        after = eventually(
            lambda: kubectl_now.run("get", "pod", name, "-o", path).stdout,
            lambda text: "Running" in text and text.split()[0] != before.split()[0],
        )
        assert after.split()[1] == before.split()[1]
    finally:
        file.unlink()
    eventually(lambda: kubectl_now.run("get", "pod", name).stderr, lambda text: "NotFound" in text)
