"""A cluster's life by the commands that a user types, and what they say when something is in the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from support.commands import Commands, complaint
from support.waiting import eventually


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    yield from Commands.fresh(tmp_path)


def test_up_twice_then_down_then_up_resumes(commands: Commands) -> None:
    """A second `up` finds the first; `down` keeps the state, and stopping what is stopped is harmless."""
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    first = commands.status()
    again = commands.run("up")
    assert again.returncode == 0
    assert "already running" in again.stderr
    assert commands.status()["pid"] == first["pid"]
    ca = (commands.data_dir / "pki/ca.crt").read_bytes()
    assert commands.run("down").returncode == 0
    assert commands.run("status").returncode == 1
    assert commands.run("down").returncode == 0
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    assert (commands.data_dir / "pki/ca.crt").read_bytes() == ca


def test_up_tells_the_steps_of_the_start_in_order(commands: Commands) -> None:
    """Each step has its line and the time it was done after; a start later in the same folder tells its own steps alone."""
    for _ in range(2):
        done = commands.run("up", "--runtime", "simulated", "--port", "0")
        told = [line for line in done.stderr.splitlines() if ", after " in line]
        assert [line.split(", after ")[0].split(" at ")[0] for line in told] == [
            "✓ cluster CA and certificates",
            f"✓ store in {commands.data_dir}/store/state.db",
            "✓ API server",
            f"✓ node {socket.gethostname().lower()}",
            "✓ controllers and scheduler",
        ]
        after = [float(line.split(", after ")[1].removesuffix(" s")) for line in told]
        assert after == sorted(after)
        assert commands.run("down").returncode == 0


def test_up_after_a_kill_resumes(commands: Commands) -> None:
    """A server that was killed leaves nothing that `up` stumbles over."""
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    pid = commands.status()["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not commands.status()["running"])
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    assert commands.status()["pid"] != pid


def test_up_that_is_interrupted_leaves_what_the_next_can_handle(commands: Commands) -> None:
    """Ctrl-C right after the start: whatever was reached, the next `up` ends well."""
    starting = subprocess.Popen(
        commands.words("up", "--runtime", "none", "--port", "0"), stderr=subprocess.PIPE, env=commands.environment
    )
    eventually(commands.data_dir.exists, every=0.01)
    starting.send_signal(signal.SIGINT)
    starting.communicate(timeout=30)
    done = commands.run("up", "--runtime", "none", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert commands.status()["running"] is True


def test_up_resumes_on_the_port_that_it_had(commands: Commands) -> None:
    """Whoever knows the server by its port finds it again; where somebody else has it by now, that is said."""
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    had = commands.status()["server"]
    assert isinstance(had, str)
    assert commands.run("down").returncode == 0
    assert commands.run("up", "--runtime", "none").returncode == 0
    assert commands.status()["server"] == had
    assert commands.run("down").returncode == 0
    with socket.create_server(("0.0.0.0", urlsplit(had).port or 0)):
        resumed = commands.run("up", "--runtime", "none")
    assert resumed.returncode == 0
    assert f"port {urlsplit(had).port} is taken by now" in resumed.stderr
    assert commands.status()["server"] != had


def test_delete_leaves_nothing(commands: Commands) -> None:
    """Folder, process and kubeconfig entries go; other entries stay; deleting what is gone is harmless."""
    other = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": "mine", "context": {}}],
        "current-context": "mine",
    }
    commands.kubeconfig.write_text(yaml.safe_dump(other))
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    merged = yaml.safe_load(commands.kubeconfig.read_text())
    assert merged["current-context"] == "mine"
    assert [item["name"] for item in merged["contexts"]] == ["mine", "cli-test"]
    pid = commands.status()["pid"]
    assert commands.run("delete").returncode == 0
    assert not commands.data_dir.exists()
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or " Z " in stat.read_text()
    assert [item["name"] for item in yaml.safe_load(commands.kubeconfig.read_text())["contexts"]] == ["mine"]
    assert commands.run("delete").returncode == 0


def test_files_are_for_their_owner_alone(commands: Commands) -> None:
    """The folder admits nobody else, and no key can be read by others."""
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    assert commands.data_dir.stat().st_mode & 0o777 == 0o700
    secret = [*commands.data_dir.glob("pki/*.key"), commands.data_dir / "admin.kubeconfig", commands.kubeconfig]
    assert len(secret) > 3
    assert {path.stat().st_mode & 0o077 for path in secret} == {0}


def test_a_taken_port_is_named_with_the_mend(commands: Commands) -> None:
    """A port that was asked for and is taken is an error; one that was not is replaced by a free one."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        said = complaint(commands.run("up", "--runtime", "none", "--port", str(port)))
    assert str(port) in said
    assert "--port" in said


def test_a_broken_kubeconfig_is_left_alone(commands: Commands) -> None:
    """The cluster starts, the file stays as it was, and the user is told where the cluster's own one is."""
    commands.kubeconfig.write_text("{ not yaml")
    done = commands.run("up", "--runtime", "none", "--port", "0")
    assert done.returncode == 0
    assert str(commands.data_dir / "admin.kubeconfig") in done.stderr
    assert commands.kubeconfig.read_text() == "{ not yaml"


def test_a_folder_that_cannot_be_made_is_named_with_the_mend(commands: Commands) -> None:
    """A file in the way of the data folder's parent ends in one line."""
    commands.data_dir.write_text("in the way")
    commands.data_dir /= "below"
    said = complaint(commands.run("up", "--runtime", "none", "--port", "0"))
    assert str(commands.data_dir.parent) in said
    assert "--data-dir" in said


def test_a_foreign_folder_is_neither_taken_nor_deleted(commands: Commands) -> None:
    """`up` moves into no folder that holds something else, and `delete` removes clusters only, whatever --data-dir says."""
    (commands.data_dir / "pki").mkdir(parents=True)
    (commands.data_dir / "thesis.tex").write_text("years of work")
    commands.run("status")
    assert "does not look like" in complaint(commands.run("delete"))
    assert "--data-dir" in complaint(commands.run("up", "--runtime", "none", "--port", "0"))
    assert "does not look like" in complaint(commands.run("delete"))
    assert sorted(path.name for path in commands.data_dir.iterdir()) == ["pki", "thesis.tex"]


def test_kubeconfig_is_printed_or_merged_and_made_current_when_asked(commands: Commands) -> None:
    """Printed it is complete by itself; merged it leaves another's current context alone unless told to use it."""
    other = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": "mine", "context": {}}],
        "current-context": "mine",
    }
    commands.kubeconfig.write_text(yaml.safe_dump(other))
    assert "pinnace up" in complaint(commands.run("kubeconfig"))
    assert commands.run("up", "--runtime", "none", "--port", "0").returncode == 0
    printed = yaml.safe_load(commands.run("kubeconfig").stdout)
    assert (printed["current-context"], len(printed["users"])) == ("cli-test", 1)
    assert commands.run("kubeconfig", "--merge").returncode == 0
    assert yaml.safe_load(commands.kubeconfig.read_text())["current-context"] == "mine"
    assert commands.run("kubeconfig", "--merge", "--use").returncode == 0
    assert yaml.safe_load(commands.kubeconfig.read_text())["current-context"] == "cli-test"
    commands.kubeconfig.write_text("a: [\n  b: }\n")
    assert str(commands.kubeconfig) in complaint(commands.run("kubeconfig", "--merge"))
    assert commands.kubeconfig.read_text() == "a: [\n  b: }\n"
