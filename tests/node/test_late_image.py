"""An image that cannot be had, and then can: the kubelet tries again by itself."""

from __future__ import annotations

import shutil

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.waiting import eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "localhost:1/late:v1", args: [echo, here]}]
"""


def test_image_that_comes_late_is_found_by_the_next_try(kubectl_now: Kubectl, real: RunningCluster) -> None:
    """ErrImagePull and ImagePullBackOff with the reason; once the image is there, the pod runs without being touched."""
    kubectl_now("create", "-f", "-", stdin=POD)

    def waiting() -> dict[str, str]:
        (status,) = kubectl_now.json("get", "pod", "late")["status"]["containerStatuses"]
        return dict(status["state"].get("waiting", {}))

    eventually(waiting, lambda state: state.get("reason") == "ErrImagePull", every=0.05)
    told = eventually(waiting, lambda state: state.get("reason") == "ImagePullBackOff")
    assert told["message"].startswith('Back-off pulling image "localhost:1/late:v1"')
    busybox = shutil.which("busybox")
    assert busybox is not None
    real.pinnace("images", "build", "localhost:1/late:v1", busybox)
    eventually(lambda: kubectl_now("get", "pod", "late"), lambda text: "Completed" in text, timeout=60)
    assert kubectl_now("logs", "late") == "here\n"
    pulls = [event for event in kubectl_now.json("get", "events")["items"] if event["reason"] in {"Failed", "BackOff"}]
    assert {"Failed", "BackOff"} == {event["reason"] for event in pulls}
