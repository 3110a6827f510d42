"""`pinnace` as a user types it, with a cluster, a data folder and a kubeconfig of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.clusters import program


class Commands:
    """Runs commands; `environment` is what they see, and a test may change it."""

    def __init__(self, folder: Path) -> None:
        self.data_dir, self.kubeconfig = folder / "data", folder / "kubeconfig"
        self.environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(folder)}

    @classmethod
    def fresh(cls, folder: Path) -> Iterator[Commands]:
        """Give commands for a fixture, and delete the cluster afterwards."""
        made = cls(folder)
        try:
            yield made
        finally:
            made.run("delete")

    def run(
        self, command: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, whatever that is."""
        return subprocess.run(
            self.words(command, *arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**self.environment, **(env or {})},
        )

    def words(self, command: str, *arguments: str) -> list[str]:
        """Return the command line."""
        return [str(program()), command, *arguments, "--name", "cli-test", "--data-dir", str(self.data_dir)]

    def status(self) -> dict[str, object]:
        """Return what `pinnace status` says."""
        seen = json.loads(self.run("status", "-o", "json").stdout)
        assert isinstance(seen, dict)
        return seen


def complaint(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Return the one line that a failing command says, after the steps that it could do."""
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("✓ ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
