"""Recorded conversations with a real server, replayed against this one.

The recordings lie outside the repository: in the folder that PINNACE_RECORDINGS names, or in `../shared/recordings`. Every case of a
file must pass.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "recordings"
RECORDINGS = Path(os.environ.get("PINNACE_RECORDINGS") or ROOT.parent / "shared" / "recordings")

pytestmark = pytest.mark.skipif(
    not (RECORDINGS / "differ.py").exists(), reason="no recordings: set PINNACE_RECORDINGS to their folder"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An API server alone, on a port of its own."""
    folder = tmp_path_factory.mktemp("apiserver")
    command = [sys.executable, str(Path(__file__).with_name("serve_apiserver.py")), str(folder)]
    environment = {**os.environ, "PINNACE_TEST_TOKEN": TOKEN}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("READY"), "the server did not start"
        yield line.split()[1], folder
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("file", [pytest.param("core.jsonl", id="core"), pytest.param("groups.jsonl", id="groups")])
def test_recordings_are_answered_alike(server, file):
    """Each case of a file gets the answers that the real server gave."""
    url, folder = server
    command = [sys.executable, str(RECORDINGS / "differ.py"), "compare", str(RECORDINGS / file), "--server", url]
    # By token, as they were taken: a client certificate would speak for requests whose token is wrong or left out.
    command += ["--token", TOKEN, "--ca", str(folder / "ca.crt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    counts = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE)
    assert counts is not None, done.stdout[-2000:] + done.stderr[-2000:]
    assert int(counts[1]) > 0
    assert int(counts[2]) == 0, done.stdout[-5000:]
