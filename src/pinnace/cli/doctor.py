"""`pinnace doctor`: what this machine has of what a cluster needs, and how to mend the rest."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from pinnace.cluster.ports import API_PORT, free_port


@dataclass(frozen=True, slots=True)
class Finding:
    """One check; `mend` says what to do when it failed, `is_needed` whether nothing works without it."""

    what: str
    is_good: bool
    seen: str
    mend: str = ""
    is_needed: bool = False


def findings() -> Iterator[Finding]:
    """Yield every check."""
    version = platform.python_version()
    yield Finding(
        "Python 3.11 or later", sys.version_info >= (3, 11), version, "install a newer Python", is_needed=True
    )
    system = platform.system()
    yield Finding("Linux", system == "Linux", f"{system} {platform.release()}", "run on Linux", is_needed=True)
    port_free = free_port(API_PORT) == API_PORT
    seen = "free" if port_free else "taken"
    yield Finding(f"port {API_PORT}", port_free, seen, "`pinnace up` takes another one by itself, or pass --port")
    kubectl = shutil.which("kubectl")
    mend = "apt-get install kubernetes-client, or upstream's kubectl"
    yield Finding("kubectl", kubectl is not None, kubectl or "not found", mend)
    root = os.geteuid() == 0
    yield Finding("root", root, "yes" if root else "no", "without root, data lies in the home folder")


@click.command()
def doctor() -> None:
    """Check this machine; exits 1 when a cluster cannot run on it."""
    failed = False
    for finding in findings():
        sign = "✓" if finding.is_good else ("✗" if finding.is_needed else "!")
        click.echo(f"{sign} {finding.what}: {finding.seen}" + ("" if finding.is_good else f" — {finding.mend}"))
        failed = failed or (finding.is_needed and not finding.is_good)
    raise SystemExit(1 if failed else 0)
