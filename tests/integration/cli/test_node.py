"""`pinnace node`: simulated nodes of a running cluster, by the command that users type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    yield from Commands.fresh(tmp_path)


def test_simulated_nodes_are_added_stopped_started_and_removed(commands: Commands) -> None:
    """Nodes are Ready when the command returns, outlive the server, and go by name; a name nobody has is told."""
    assert commands.run("up", "--runtime", "none", "--port", "0", "--simulated", "2").returncode == 0
    added = commands.run("node", "add", "--simulated", "2", "--capacity", "cpu=2", "--labels", "zone=a")
    assert (added.returncode, added.stdout.split()) == (0, ["sim-3", "sim-4"])
    assert _nodes(commands) == {f"sim-{number}": "Ready" for number in (1, 2, 3, 4)}
    assert commands.run("node", "stop", "sim-3").returncode == 0
    assert commands.run("node", "start", "sim-3").returncode == 0
    assert commands.run("node", "remove", "sim-4").returncode == 0
    gone = commands.run("node", "remove", "sim-4")
    assert (gone.returncode, gone.stderr) == (1, 'pinnace: nodes "sim-4" not found\n')
    assert commands.run("down").returncode == 0
    assert commands.run("up", "--runtime", "none", "--port", "0", "--simulated", "2").returncode == 0
    assert _nodes(commands) == {f"sim-{number}": "Ready" for number in (1, 2, 3)}


def test_node_of_a_cluster_that_does_not_run_is_refused(commands: Commands) -> None:
    """There is nobody to ask, and the user is told what to start."""
    done = commands.run("node", "add", "--simulated", "1")
    assert done.returncode == 1
    assert "start it with `pinnace up`" in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param(("--simulated", "0"), "0 is not in the range", id="none"),
        pytest.param(("--simulated", "1", "--capacity", "cpu=many"), "'many' is no amount of cpu", id="no amount"),
        pytest.param(("--simulated", "1", "--labels", "zone"), "'zone' is no key=value", id="no label"),
        pytest.param(("--simulated", "1", "--template", "/nowhere"), "does not exist", id="no file"),
    ],
)
def test_wrong_use_is_told(commands: Commands, words: tuple[str, ...], complaint: str) -> None:
    """What makes no sense is refused before anybody is asked."""
    done = commands.run("node", "add", *words)
    assert done.returncode == 2
    assert complaint in done.stderr


def _nodes(commands: Commands) -> dict[str, str]:
    found = commands.status()["nodes"]
    assert isinstance(found, list)
    return {node["name"]: node["status"] for node in found}
