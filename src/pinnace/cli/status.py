"""`pinnace status`: what runs, where, and how it is."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from pinnace import VERSION
from pinnace.cli.options import cluster_options, paths_of
from pinnace.cluster.overview import Overview, overview
from pinnace.component.clock import RealClock


@click.command()
@cluster_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(name: str, data_dir: Path | None, output: str) -> None:
    """Show what runs; exits 1 when the cluster does not."""
    paths = paths_of(name, data_dir)
    seen = asyncio.run(overview(paths, RealClock()))
    facts = _facts(name, str(paths.root), seen)
    if output == "json":
        click.echo(msgspec.json.encode(facts))
    else:
        for key, value in _lines(facts):
            click.echo(f"{key:<11} {value}")
    raise SystemExit(0 if seen.state is not None else 1)


def _facts(name: str, data_dir: str, seen: Overview) -> dict[str, Any]:
    state = seen.state
    return {
        "name": name,
        "running": state is not None,
        "health": seen.health,
        "server": state.server if state else "",
        "version": state.version if state else VERSION,
        "pid": state.pid if state else 0,
        "memoryMiB": sum(process.memory_mib for process in seen.processes),
        "dataDir": data_dir,
        "note": state.note if state else "",
        "processes": seen.processes,
        "nodes": seen.nodes,
    }


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "cluster", f"{facts['name']}: {facts['health']}"
    yield "version", facts["version"]
    for process in facts["processes"]:
        if process.pid:
            yield process.name, f"{process.endpoint}, pid {process.pid}, {process.memory_mib} MiB"
    for node in facts["nodes"]:
        yield "node", f"{node.name}: {node.status}, {node.roles}, {node.address}, {node.runtime}"
    if facts["note"]:
        yield "note", facts["note"]
    yield "data", facts["dataDir"]
