"""`pinnace status`: what runs, where, and how it is."""

from pathlib import Path

import click
import msgspec

from pinnace.cli.options import cluster_options, paths_of
from pinnace.cluster.server_state import running_state


@click.command()
@cluster_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(name: str, data_dir: Path | None, output: str) -> None:
    """Show what runs; exits 1 when the cluster does not."""
    paths = paths_of(name, data_dir)
    state = running_state(paths)
    facts = {
        "name": name,
        "running": state is not None,
        "server": state.server if state else "",
        "version": state.version if state else "",
        "pid": state.pid if state else 0,
        "memoryMiB": _resident_mib(state.pid) if state else 0,
        "dataDir": str(paths.root),
    }
    if output == "json":
        click.echo(msgspec.json.encode(facts))
    else:
        for key, value in facts.items():
            click.echo(f"{key:<10} {value}")
    raise SystemExit(0 if state else 1)


def _resident_mib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:")), 0)
