"""Scripts of tests/javascript, run by Node.js beside the client library that `scripts/install-test-tools` puts into the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS, INSTALLED = ROOT / "tests/javascript", ROOT / ".cache/javascript"


def run_script(name: str, *arguments: str, timeout: float = 100) -> Any:
    """Run a script to its end and return the JSON it printed; the test is skipped where the library is not installed."""
    program = shutil.which("node")
    if program is None or not (INSTALLED / "installed").exists():
        pytest.skip("no @kubernetes/client-node: scripts/install-test-tools installs it where npm finds a registry")
    # A script finds its libraries beside itself.
    script = shutil.copy(SCRIPTS / name, INSTALLED / name)
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    done = subprocess.run(
        [program, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)
