"""The command line as a whole."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from pinnace.cli.main import COMMANDS, main


def test_help_imports_none_of_the_components():
    """What the help shows is known without what the commands need, so that it comes at once."""
    code = "import sys, pinnace.cli.main; print(*(name for name in sys.modules if name.startswith('pinnace')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"pinnace", "pinnace._version", "pinnace.cli", "pinnace.cli.main"}


@pytest.mark.parametrize(
    "command",
    ["up", "down", "delete", "status", "kubeconfig", "server", "apiserver", "doctor", "images", "kubectl", "node"],
)
def test_every_command_of_the_product_is_there(command):
    """Each is listed with a line of help."""
    assert COMMANDS[command][1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            PermissionError(13, "Permission denied", "/x"),
            "pinnace: /x: permission denied: become root",
            id="no-rights",
        ),
        pytest.param(
            OSError(28, "No space left on device", "/x"), "pinnace: /x: No space left on device", id="full-disk"
        ),
    ],
)
def test_what_the_system_refuses_is_one_line(monkeypatch, error, said):
    """No command shows a traceback for a file that it may not read or write."""

    def refuse(name, data_dir):
        raise error

    monkeypatch.setattr("pinnace.cli.status.paths_of", refuse)
    done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)
