"""A cluster of a test's own, started and removed with the same commands a user types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.kubectl import Kubectl, installed


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A cluster that `pinnace up` started."""

    name: str
    data_dir: Path
    kubeconfig: Path

    def pinnace(self, command: str, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """Run one pinnace command against this cluster; stdout, or everything when it is not checked."""
        done = subprocess.run(
            [str(program()), command, *arguments, "--name", self.name, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if check:
            assert done.returncode == 0, (
                f"pinnace {command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log()}"
            )
            return done.stdout
        return done.stdout + done.stderr

    def kubectl(self, version: str | None = None, namespace: str = "default") -> Kubectl:
        """kubectl for this cluster: the given program, or the installed one."""
        found = version or installed()
        assert found, "no kubectl on PATH"
        return Kubectl(found, self.kubeconfig, namespace)

    def insist_on_life(self) -> None:
        """Fail with the server's last words when it has ended, which no test of a shared cluster may cause."""
        state = self.data_dir / "server.json"
        assert state.exists(), f"the server of {self.name} has ended\n{self.log()}"

    def log(self, lines: int = 60) -> str:
        """The last lines of every log file, for a failing test."""
        files = sorted(self.data_dir.rglob("*.log"))
        return "\n".join(
            f"--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in files
            if "pods" not in path.parts
        )


def program() -> Path:
    """The console script beside the running interpreter."""
    return Path(sys.executable).parent / "pinnace"


def keep_logs(cluster: RunningCluster) -> None:
    """Copy the logs to where `.ci/run` looks for them when something has failed; deleting the cluster takes the originals."""
    if kept := os.environ.get("PINNACE_TEST_LOGS"):
        for log in (*cluster.data_dir.glob("*.log"), *cluster.data_dir.glob("*/*.log")):
            target = Path(kept) / cluster.name / log.relative_to(cluster.data_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, target)


def insist_on_no_failed_part(cluster: RunningCluster) -> None:
    """A part that failed was started anew and may have gone unnoticed; it was a bug nevertheless."""
    log = cluster.data_dir / "server.log"
    failed = [line for line in log.read_text().splitlines() if "a part of the process failed" in line]
    assert not failed, "\n".join(failed)


@contextmanager
def running_cluster(*arguments: str, folder: Path) -> Iterator[RunningCluster]:
    """`pinnace up` with these arguments, and `pinnace delete` at the end, whatever happened between."""
    name = "t" + uuid.uuid4().hex[:6]
    cluster = RunningCluster(name, folder / name, folder / f"{name}.kubeconfig")
    try:
        cluster.pinnace("up", "--port", "0", *arguments)
        yield cluster
        insist_on_no_failed_part(cluster)
    finally:
        keep_logs(cluster)
        cluster.pinnace("delete", check=False)
        shutil.rmtree(cluster.data_dir, ignore_errors=True)
