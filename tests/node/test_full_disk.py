"""A disk that is full: a start says so in one line, and a cluster that runs survives it without forgetting anything it answered."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.conftest import missing_for_real_pods
from support.commands import Commands, complaint
from support.kubectl import Kubectl, installed
from support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing_for_real_pods()), reason=missing_for_real_pods())]
START = ("up", "--runtime", "none", "--port", "0")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Commands]:
    """A cluster's commands with a disk of that size below its data folder."""
    mounted = folder / "disk"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(mounted)], check=True)
    commands = Commands(folder)
    commands.data_dir = mounted / "data"
    try:
        yield commands
    finally:
        commands.run("delete")
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)


@pytest.mark.parametrize("size", ["16k", "64k"])
def test_start_on_a_full_disk_is_one_line(tmp_path: Path, size: str) -> None:
    """Whatever the server still could write before it ended, the user hears that the disk is full, and what to do."""
    with small_disk(tmp_path, size) as commands:
        said = complaint(commands.run(*START))
    assert str(commands.data_dir) in said
    assert "--data-dir" in said


def test_full_disk_refuses_writes_and_forgets_nothing(tmp_path: Path) -> None:
    """Writes fail with a Status and readiness turns red; once there is room, writes are taken again and all that was answered is there."""
    with small_disk(tmp_path, "4m") as commands:
        assert commands.run(*START).returncode == 0
        program = installed()
        assert program, "no kubectl on PATH"
        kubectl = Kubectl(program, commands.data_dir / "admin.kubeconfig")
        kubectl("create", "configmap", "before")
        filler = commands.data_dir.parent / "filler"
        filled = subprocess.run(
            ["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True, text=True, check=False
        )
        assert "No space left" in filled.stderr
        answered, refused = {"before"}, None
        for number in range(200):
            done = kubectl.run("create", "configmap", f"during-{number}", f"--from-literal=text={'x' * 20_000}")
            if done.code != 0:
                refused = done.stderr
                break
            answered.add(f"during-{number}")
        assert refused is not None, "the disk never was full"
        assert "the disk refuses writes" in refused
        assert kubectl.run("get", "--raw", "/readyz").code == 1
        assert "before" in kubectl("get", "configmap", "before")
        filler.unlink()
        eventually(lambda: kubectl.run("create", "configmap", "after").code, lambda code: code == 0)
        listed = {item["metadata"]["name"] for item in kubectl.json("get", "configmaps")["items"]}
        assert answered | {"after"} <= listed
        assert commands.run("down").returncode == 0
        assert commands.run(*START).returncode == 0
        again = json.loads(kubectl("get", "configmaps", "-o", "json"))["items"]
        assert answered | {"after"} <= {item["metadata"]["name"] for item in again}
