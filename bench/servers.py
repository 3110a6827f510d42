"""What is measured: an API server alone, a bare server beside it, and whole clusters, each with files of its own."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PINNACE = Path(sys.executable).parent / "pinnace"
TOKEN = "bench"
API_SERVER = str(ROOT / "tests/conformance/serve_apiserver.py")


@contextmanager
def started(*command: str) -> Iterator[str]:
    """Run a Python server that says READY and its URL; give the URL."""
    environment = {**os.environ, "PINNACE_TEST_TOKEN": TOKEN}
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("READY"):
            raise SystemExit(f"{command[0]} did not start")
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(10)


def call(url: str, method: str = "GET", body: object = None) -> bytes:
    """Ask the API server that `started` runs."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return bytes(answer.read())


@dataclass(frozen=True)
class Cluster:
    """A cluster of the benchmark's own, driven by the command that users type."""

    folder: Path

    def pinnace(self, command: str, *arguments: str) -> str:
        words = [str(PINNACE), command, "--name", "bench", "--data-dir", str(self.folder / "data"), *arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig")}
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"pinnace {command}: {done.stderr.strip()}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pinnace("status", "-o", "json"))
        return found

    def call(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Ask as the administrator."""
        pki = self.folder / "data/pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.status()["server"] + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return json.loads(answer.read())


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Give a cluster that is not started yet, and remove it in the end."""
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.pinnace("delete")


def missing_for_containers() -> str:
    """Return why real pods cannot be measured here; empty when they can."""
    if os.geteuid() != 0:
        return "real pods need root"
    lacking = [tool for tool in ("containerd", "runc", "iptables") if shutil.which(tool) is None]
    return f"real pods need {', '.join(lacking)}" if lacking else ""
