"""`pinnace status` through a cluster's life: what is shown, in both forms, and the exit code."""

from __future__ import annotations

import json
import os
import signal
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Commands
from support.waiting import eventually


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    yield from Commands.fresh(tmp_path)


def test_status_shows_processes_nodes_endpoints_memory_and_versions(commands: Commands) -> None:
    """A cluster that runs is ready, with its server and its node; one that was stopped is not, and exits 1."""
    assert commands.run("up", "--runtime", "simulated", "--port", "0").returncode == 0
    done = commands.run("status", "-o", "json")
    assert done.returncode == 0
    seen = json.loads(done.stdout)
    assert (seen["running"], seen["health"]) == (True, "ready")
    assert seen["version"].startswith("v1.36.2+pinnace.")
    server = next(process for process in seen["processes"] if process["name"] == "server")
    assert (server["pid"], server["endpoint"]) == (seen["pid"], seen["server"])
    assert 20 < server["memory_mib"] <= seen["memoryMiB"]
    (node,) = seen["nodes"]
    assert (node["status"], node["roles"], node["runtime"]) == ("Ready", "control-plane", "simulated://1.0")
    text = commands.run("status").stdout
    for part in (
        "cli-test: ready",
        seen["server"],
        f"pid {seen['pid']}",
        f"{node['name']}: Ready",
        str(commands.data_dir),
    ):
        assert part in text
    assert commands.run("down").returncode == 0
    stopped = commands.run("status")
    assert stopped.returncode == 1
    assert "cli-test: stopped" in stopped.stdout


def test_server_and_node_name_the_same_version(commands: Commands) -> None:
    """What `kubectl version` asks for is what `pinnace status` and the node say, to the last sign."""
    assert commands.run("up", "--runtime", "simulated", "--port", "0").returncode == 0
    seen = json.loads(commands.run("status", "-o", "json").stdout)
    trusted = ssl.create_default_context(cafile=str(commands.data_dir / "pki/ca.crt"))
    with urllib.request.urlopen(f"{seen['server']}/version", context=trusted, timeout=10) as answer:
        told = json.load(answer)["gitVersion"]
    assert [told, *(node["version"] for node in seen["nodes"])] == [seen["version"]] * 2


def test_status_of_a_server_that_hangs_says_so(commands: Commands) -> None:
    """A server that runs and does not answer is not called ready, and does not keep the command waiting for ever."""
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    pid = commands.status()["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGSTOP)
    try:
        seen = json.loads(commands.run("status", "-o", "json").stdout)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (seen["running"], seen["nodes"]) == (True, [])
    assert seen["health"].startswith("not ready")
    eventually(lambda: commands.status()["health"] == "ready")


def test_status_of_nothing_leaves_nothing(commands: Commands) -> None:
    """Asking after a cluster that never was makes no folder."""
    done = commands.run("status")
    assert done.returncode == 1
    assert "stopped" in done.stdout
    assert not commands.data_dir.exists()
