"""A cluster's own containerd and its images, without the rest of the cluster."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.conftest import missing_for_real_pods
from pinnace.cluster import containerd_cleanup
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import PAUSE_IMAGE, ContainerdError, ContainerdPaths, detect
from pinnace.cluster.images import Images
from pinnace.component.clock import RealClock
from support.waiting import eventually

CGROUP = "/pinnace-test-containerd"
DEMOAPP = "docker.io/ikubernetes/demoapp:v1.0"

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing_for_real_pods()), reason=missing_for_real_pods())]


@pytest.fixture
async def containerd(tmp_path: Path) -> AsyncIterator[Containerd]:
    """A containerd that has the local images."""
    made = Containerd(ContainerdPaths(tmp_path / "c"), detect(), RealClock())
    try:
        await made.start()
        await Images(made.paths, tmp_path / "images").import_new()
        yield made
    finally:
        await containerd_cleanup.remove(made, tmp_path, pod_network(tmp_path), CGROUP, RealClock())


def ctr(containerd: Containerd, *arguments: str) -> str:
    command = ["ctr", "--address", str(containerd.paths.socket), "--namespace", "k8s.io", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_demo(containerd: Containerd, port: int) -> None:
    """Start the demoapp on the node's network, with its traces where the cluster's containers have theirs."""
    traces = ["--runc-root", str(containerd.paths.state / "runc"), "--cgroup", f"{CGROUP}/demo"]
    ctr(containerd, "run", "--detach", "--net-host", "--env", f"PORT={port}", *traces, DEMOAPP, "demo")


def answer(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
            return str(reply.read().decode())
    except OSError as error:
        raise AssertionError(str(error)) from error


async def test_demoapp_answers_and_has_the_lessons_tools(containerd: Containerd) -> None:
    """The image tells version and addresses, ends on SIGTERM, and holds netstat, printenv, ip and sh."""
    run_demo(containerd, 18081)
    assert "demoapp v1.0" in eventually(lambda: answer(18081))
    seen = ctr(
        containerd,
        "tasks",
        "exec",
        "--exec-id",
        "1",
        "demo",
        "/bin/sh",
        "-c",
        "printenv PORT; netstat -tln; ip -o link",
    )
    assert seen.startswith("18081\n")
    assert "18081" in seen.removeprefix("18081\n")
    ctr(containerd, "tasks", "kill", "--signal", "SIGTERM", "demo")
    eventually(lambda: "STOPPED" in ctr(containerd, "tasks", "list"), timeout=5)


async def test_a_second_start_finds_the_first_and_keeps_its_containers(containerd: Containerd) -> None:
    """A server that restarts adopts containerd; a killed containerd is started anew over the same containers."""
    run_demo(containerd, 18082)
    before = containerd.pid()
    again = Containerd(containerd.paths, detect(), RealClock())
    assert not await again.start()
    assert again.pid() == before
    running = ctr(containerd, "tasks", "list")
    await again.stop()
    assert await again.start()
    assert ctr(again, "tasks", "list") == running


async def test_images_are_imported_once_and_bad_archives_are_reported(containerd: Containerd, tmp_path: Path) -> None:
    """A second look imports nothing; a file that is no image is named, and does not stop the rest."""
    images = Images(containerd.paths, tmp_path / "images")
    assert await images.names() == [DEMOAPP, PAUSE_IMAGE]
    assert await images.import_new() == await images.import_new()
    (tmp_path / "images/broken.tar").write_bytes(b"no archive")
    found = await images.import_new()
    assert found.archives == ()
    assert "broken.tar" in found.failures[0]
    with pytest.raises(ContainerdError, match=r"broken\.tar"):
        await images.import_archive(tmp_path / "images/broken.tar")


async def test_removal_leaves_no_process_no_mount_and_no_cgroup(containerd: Containerd, tmp_path: Path) -> None:
    """With a container running, everything goes: its processes, its shim, containerd, every mount; a repeat is harmless."""
    run_demo(containerd, 18083)
    assert containerd_cleanup.container_processes(containerd.paths.socket)
    for _ in range(2):
        assert await containerd_cleanup.remove(containerd, tmp_path, pod_network(tmp_path), CGROUP, RealClock()) == []
    assert containerd.pid() is None
    assert containerd_cleanup.shims(containerd.paths.socket) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"*{CGROUP}"))


async def test_stop_ends_containers_by_asking(containerd: Containerd) -> None:
    """Going down ends containers within their grace, and containerd after them."""
    run_demo(containerd, 18084)
    await containerd_cleanup.stop_containers(containerd, RealClock())
    assert containerd_cleanup.container_processes(containerd.paths.socket) == []
    assert containerd.pid() is None
