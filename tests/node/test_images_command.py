"""`pinnace images` on a cluster whose containerd runs: what it imports and builds, pods can use at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.waiting import eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: built}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "example.org/built:v1", args: [cat, /etc/motd]}]
"""


def test_built_image_runs_at_once_and_is_listed(kubectl_now: Kubectl, real: RunningCluster, tmp_path: Path) -> None:
    """A program and a folder become an image without a registry; a pod runs it, and the list and the node name it."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/motd").write_text("built here\n")
    real.pinnace("images", "build", "example.org/built:v1", busybox, str(tmp_path), "--env", "A=b")
    kubectl_now("create", "-f", "-", stdin=POD)
    eventually(lambda: kubectl_now("get", "pod", "built"), lambda text: "Completed" in text)
    assert kubectl_now("logs", "built") == "built here\n"
    listed = {image["name"]: image for image in json.loads(real.pinnace("images", "list", "-o", "json"))}
    assert listed["example.org/built:v1"]["digest"].startswith("sha256:")
    assert listed.keys() >= {"docker.io/ikubernetes/demoapp:v1.0", "localhost/pinnace/pause:1"}
    header, *rows = real.pinnace("images", "list").splitlines()
    assert header.split() == ["IMAGE", "SIZE", "DIGEST"]
    assert len(rows) == len(listed)


def test_archive_that_containerd_refuses_is_told(real: RunningCluster, tmp_path: Path) -> None:
    """An archive that names an image and does not hold it fails with containerd's reason, and is not kept."""
    made = tmp_path / "a.tar"
    real.pinnace("images", "build", "example.org/broken:v1", str(tmp_path), "--entrypoint", "/x", "--to", str(made))
    data = made.read_bytes()
    made.write_bytes(data.replace(b'"rootfs"', b'"rootgs"'))
    said = real.pinnace("images", "import", str(made), check=False)
    assert "cannot import" in said
    assert not list((real.data_dir / "images").glob("*broken*"))
