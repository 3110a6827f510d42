"""`pinnace doctor` and the fallback to simulated pods: a machine that lacks something is told what, and how to mend it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import Commands, complaint


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    yield from Commands.fresh(tmp_path)


@pytest.fixture
def bare(commands: Commands, tmp_path: Path) -> Commands:
    """Commands on a PATH that holds nothing; only what lies among the administrators' tools is still found."""
    (tmp_path / "bin").mkdir()
    commands.environment["PATH"] = str(tmp_path / "bin")
    return commands


def findings(commands: Commands) -> dict[str, Any]:
    done = commands.run("doctor", "-o", "json")
    assert done.returncode in {0, 1}, done.stderr
    return {finding["what"]: finding for finding in json.loads(done.stdout)}


def test_every_check_says_what_was_seen_and_how_to_mend(commands: Commands) -> None:
    """Kernel, rights, tools, disk and ports are looked at; the text marks each and ends with a verdict."""
    found = findings(commands)
    assert found.keys() >= {
        "Python", "Linux", "namespaces", "cgroups", "network device veth", "nf_tables", "root", "capabilities", "data folder",
        "disk", "containerd", "runc", "CNI plug-ins", "busybox", "kubectl", "port 6443", "port 10250", "your kubeconfig",
    }  # fmt: skip
    assert all(finding["seen"] and (finding["mend"] or finding["is_good"]) for finding in found.values())
    *lines, verdict = commands.run("doctor").stdout.splitlines()
    assert len(lines) == len(found)
    assert {line[0] for line in lines} <= {"✓", "✗", "!"}
    assert "a cluster" in verdict


def test_folder_that_cannot_be_written_fails(commands: Commands) -> None:
    """Without a place for data there is no cluster, and the exit code says so."""
    commands.data_dir.write_text("in the way")
    commands.data_dir /= "below"
    done = commands.run("doctor")
    assert done.returncode == 1
    assert "✗ data folder" in done.stdout
    assert "--data-dir" in done.stdout


def test_taken_port_and_broken_kubeconfig_are_told(commands: Commands) -> None:
    """What is in somebody's way is named, and is no failure."""
    commands.kubeconfig.write_text("{ not yaml")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("0.0.0.0", 6443))
        except OSError:
            pass  # somebody else has it, which is as good
        else:
            taken.listen()
        found = findings(commands)
    assert found["port 6443"]["seen"] == "in use"
    assert "--port" in found["port 6443"]["mend"]
    assert str(commands.kubeconfig) in found["your kubeconfig"]["seen"]
    assert not found["your kubeconfig"]["is_good"]


def test_missing_tools_are_named_with_their_package(bare: Commands) -> None:
    """Without containerd pods are simulated, which is the verdict, and no failure."""
    found = findings(bare)
    assert found["containerd"]["seen"] == "not found"
    assert "apt-get install containerd" in found["containerd"]["mend"]
    assert "apt-get install busybox-static" in found["busybox"]["mend"]
    done = bare.run("doctor")
    assert done.returncode == 0
    assert "pods are simulated" in done.stdout.splitlines()[-1]


def test_without_containerd_pods_are_simulated_and_the_user_is_told(bare: Commands) -> None:
    """`up` falls back by itself, names what is missing and where the mend is, and its pods run nevertheless."""
    done = bare.run("up", "--port", "0")
    assert done.returncode == 0, done.stderr
    told = next(line for line in done.stderr.splitlines() if "simulated" in line)
    # Without root, that alone is the reason.
    assert ("containerd" in told and "pinnace doctor" in told) if os.geteuid() == 0 else "run as root" in told
    kubectl = ("kubectl", "--kubeconfig", str(bare.data_dir / "admin.kubeconfig"))
    node = json.loads(subprocess.run([*kubectl, "get", "nodes", "-o", "json"], check=True, capture_output=True).stdout)
    (only,) = node["items"]
    assert only["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("simulated://")


def test_containers_that_were_asked_for_and_cannot_be_had_are_an_error(bare: Commands) -> None:
    """Nobody who wants containers gets a simulation."""
    said = complaint(bare.run("up", "--port", "0", "--runtime", "containerd"))
    assert "--runtime simulated" in said


def test_missing_kubectl_is_told(bare: Commands) -> None:
    """The command that needs it says what to install."""
    assert "apt-get install kubernetes-client" in complaint(bare.run("kubectl"))
