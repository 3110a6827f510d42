"""Unmodified kubectl programs, driven as a user drives them.

Two versions matter: the one on PATH and 1.20, which still speaks SPDY only. The old one is unpacked from the
distribution's package into a folder of its own, so that the installed one is never touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache"


@dataclass(frozen=True, slots=True)
class Completed:
    """What one run printed, and how it ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One kubectl program bound to one cluster and, if given, one namespace."""

    program: str
    kubeconfig: Path
    namespace: str = "default"

    def within(self, namespace: str) -> Kubectl:
        """The same program with another default namespace."""
        return Kubectl(self.program, self.kubeconfig, namespace)

    def command(self, *arguments: str) -> list[str]:
        return [self.program, "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *arguments]

    def environment(self) -> dict[str, str]:
        """A clean environment: no proxy, no other kubeconfig, a cache that is the test's own."""
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        return {**kept, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent), "NO_COLOR": "1"}

    def run(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60, env: dict[str, str] | None = None
    ) -> Completed:
        """Run to the end, whatever the exit code."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**self.environment(), **(env or {})},
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def __call__(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60, env: dict[str, str] | None = None
    ) -> str:
        """Run, insist on success, and return what was printed."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout, env=env)
        assert done.code == 0, f"kubectl {' '.join(arguments)} ended with {done.code}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A kubectl that runs beside the body (watch, logs -f, port-forward); ended with it."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=10)

    def in_terminal(
        self, *arguments: str, typed: bytes, timeout: float = 30, size: tuple[int, int] = (40, 120)
    ) -> tuple[int, str]:
        """Run on a pseudo-terminal, type `typed`, and return exit code and screen text (as `exec -it` needs)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.program, self.command(*arguments), self.environment())
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        screen, sent, deadline = b"", False, time.monotonic() + timeout
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    data = os.read(terminal, 65536)
                except OSError:
                    break
                if not data:
                    break
                screen += data
            if not sent and screen:
                os.write(terminal, typed)
                sent = True
        else:
            os.kill(pid, 9)
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), screen.decode(errors="replace")


def installed() -> str | None:
    """The kubectl on PATH."""
    return shutil.which("kubectl")


def kubectl_1_20() -> tuple[str | None, str]:
    """The 1.20 program and "", or None and the reason why it cannot be had."""
    folder = CACHE / "kubectl-1.20"
    program = folder / "usr/bin/kubectl"
    if program.exists():
        return str(program), ""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return None, "kubectl 1.20 comes from Debian's package kubernetes-client, and this is no Debian"
    # Several processes may do this at once, and none may run what another still writes.
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kubectl-1.20.", dir=folder.parent) as scratch:
        got = subprocess.run(
            ["apt-get", "download", "kubernetes-client=1.20*"], cwd=scratch, capture_output=True, text=True, check=False
        )
        packages = sorted(Path(scratch).glob("kubernetes-client_1.20*.deb"))
        if got.returncode != 0 or not packages:
            return None, f"apt-get download kubernetes-client failed: {got.stderr.strip().splitlines()[-1:]}"
        unpacked = Path(scratch) / "unpacked"
        subprocess.run(["dpkg", "-x", str(packages[0]), str(unpacked)], check=True, capture_output=True)
        with suppress(OSError):  # another one was quicker
            unpacked.rename(folder)
    return str(program), ""


def program_of(version: str) -> str:
    """The kubectl on PATH ("path") or the old one ("1.20"); the test is skipped where it cannot be had."""
    program, reason = (installed(), "no kubectl on PATH") if version == "path" else kubectl_1_20()
    if program is None:
        pytest.skip(reason)
    return program
