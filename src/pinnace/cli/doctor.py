"""`pinnace doctor`: what this machine has of what a cluster needs, and how to mend the rest."""

from pathlib import Path

import click
import msgspec

from pinnace.cli.options import cluster_options, paths_of
from pinnace.cluster.machine_checks import Finding, Need, findings

_SIGNS = {Need.CLUSTER: "✗", Need.PODS: "✗", Need.COMFORT: "!"}


@click.command()
@cluster_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def doctor(name: str, data_dir: Path | None, output: str) -> None:
    """Check this machine, and say how to mend what is missing; exits 1 when no cluster can run on it."""
    found = list(findings(paths_of(name, data_dir)))
    if output == "json":
        click.echo(msgspec.json.encode(found))
    else:
        for finding in found:
            click.echo(_line(finding))
        click.echo(_verdict(found))
    raise SystemExit(1 if _fails(found, Need.CLUSTER) else 0)


def _line(finding: Finding) -> str:
    if finding.is_good:
        return f"✓ {finding.what}: {finding.seen}"
    return f"{_SIGNS[finding.need]} {finding.what}: {finding.seen} — {finding.mend}"


def _verdict(found: list[Finding]) -> str:
    if _fails(found, Need.CLUSTER):
        return "no cluster can run here"
    if _fails(found, Need.PODS):
        return "a cluster can run here; its pods are simulated, until what is marked with ✗ is mended"
    return "a cluster with real pods can run here: pinnace up"


def _fails(found: list[Finding], need: Need) -> bool:
    return any(finding.need is need and not finding.is_good for finding in found)
