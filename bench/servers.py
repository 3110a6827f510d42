"""What is measured: an API server alone, a bare server beside it, and whole clusters, each with files of its own.

The API server is the one that users start, with everything on: TLS, RBAC, admission, writes that are on disk before they are answered.
The benchmark asks it as a service account that has a Role and nothing else, since a member of `system:masters` is let through unasked.
"""

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
NAMESPACE = "bench"
# An installed package is compiled already: without its files, a start would measure the compiler.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
RIGHTS = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]}]


@dataclass(frozen=True)
class Served:
    """A process that answers requests; `token` is the benchmark's there, empty where nobody asks for one."""

    pid: int
    url: str
    token: str = ""

    def call(self, path: str, method: str = "GET", body: object = None) -> bytes:
        """Ask as the benchmark's service account."""
        return _call(self.url + path, method, body, _trusting(), {"Authorization": f"Bearer {self.token}"})

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Return the memory that the process has."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def api_server(folder: Path) -> Iterator[Served]:
    """Run `pinnace apiserver` with a durable store, and a service account in its namespace that may read and write there."""
    data = folder / "data"
    words = [str(PINNACE), "apiserver", "--name", "bench", "--data-dir", str(data), "--port", "0"]
    with _running([*words, "--address", "127.0.0.1"], "answers at") as (pid, url):
        pki = data / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        core, rbac = "/api/v1/namespaces", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        subject = {"kind": "ServiceAccount", "name": "bench", "namespace": NAMESPACE}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "bench"}
        for path, body in (
            (core, {"metadata": {"name": NAMESPACE}}),
            # No controller makes the account that every pod runs under.
            (f"{core}/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}}),
            (f"{core}/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "bench"}}),
            (f"{rbac}/roles", {"metadata": {"name": "bench"}, "rules": RIGHTS}),
            (f"{rbac}/rolebindings", {"metadata": {"name": "bench"}, "subjects": [subject], "roleRef": role}),
        ):
            _call(url + path, "POST", body, context)
        token = _call(f"{url}{core}/{NAMESPACE}/serviceaccounts/bench/token", "POST", {}, context)
        yield Served(pid, url, json.loads(token)["status"]["token"])


@contextmanager
def bare_server(pki: Path, body: Path) -> Iterator[Served]:
    """Run the yardstick with the certificate of an API server that has run."""
    words = [sys.executable, str(ROOT / "bench/bare_server.py"), str(pki / "apiserver.crt"), str(pki / "apiserver.key")]
    with _running([*words, str(body)], "answers at") as (pid, url):
        yield Served(pid, url)


@contextmanager
def _running(command: list[str], sign: str) -> Iterator[tuple[int, str]]:
    """Run a server that says where it answers on its standard error; give its process and URL."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if sign in line:
                yield process.pid, line.split()[-1]
                return
        raise SystemExit(f"{command[0]} did not start:\n{''.join(said)}")
    finally:
        process.terminate()
        process.communicate()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _call(url: str, method: str, body: object, context: ssl.SSLContext, headers: dict[str, str] | None = None) -> bytes:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return bytes(answer.read())


@dataclass(frozen=True)
class Cluster:
    """A cluster of the benchmark's own, driven by the command that users type."""

    folder: Path

    def pinnace(self, command: str, *arguments: str) -> str:
        words = [str(PINNACE), *command.split(), "--name", "bench", "--data-dir", str(self.folder / "data"), *arguments]
        environment = {**ENVIRONMENT, "KUBECONFIG": str(self.folder / "kubeconfig")}
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"pinnace {command}: {done.stderr.strip()}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pinnace("status", "-o", "json"))
        return found

    def call(self, path: str, method: str = "GET", body: object = None, content_type: str = "application/json") -> Any:
        """Ask as the administrator."""
        headers = {"Content-Type": content_type}
        return json.loads(_call(self.status()["server"] + path, method, body, self._context(), headers))

    @contextmanager
    def opened(self, path: str) -> Iterator[Iterator[bytes]]:
        """Give the lines of an answer as they come, asked for as the administrator."""
        with urllib.request.urlopen(self.status()["server"] + path, context=self._context(), timeout=60) as answer:
            yield answer

    def _context(self) -> ssl.SSLContext:
        pki = self.folder / "data/pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return context


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
