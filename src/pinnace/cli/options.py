"""Options that several commands share."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import click

from pinnace.cluster.paths import ClusterPaths, default_data_dir

Command = Callable[..., Any]


def cluster_options(command: Command) -> Command:
    """Add --name and --data-dir."""
    command = click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the cluster.  [default: /var/lib/pinnace/NAME as root, else in the home folder]",
    )(command)
    return click.option("--name", default="pinnace", show_default=True, help="Name of the cluster.")(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the options of a command that starts a server say."""

    name: str
    data_dir: Path | None
    port: int | None
    address: str
    store: str
    runtime: str
    keep_history: bool

    @property
    def paths(self) -> ClusterPaths:
        """The files of the cluster."""
        return paths_of(self.name, self.data_dir)

    def arguments(self, port: int) -> list[str]:
        """Return the words that tell another process the same, but for the port."""
        told = {
            "--name": self.name,
            "--data-dir": str(self.paths.root),
            "--port": str(port),
            "--address": self.address,
            "--store": self.store,
            "--runtime": self.runtime,
        }
        flags = ["--keep-history"] if self.keep_history else []
        return [*(word for pair in told.items() for word in pair), *flags]


def serving_options(command: Command) -> Command:
    """Add the options of commands that start a server; the command gets them as one `Serving`, before its own."""

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        serving = {field.name: given.pop(field.name) for field in fields(Serving)}
        return command(Serving(**serving), **given)

    options = (
        click.option("--keep-history", is_flag=True, help="Never forget old revisions."),
        click.option(
            "--store",
            type=click.Choice(["sqlite", "memory"]),
            default="sqlite",
            show_default=True,
            help="Where objects live: in a file that survives, or in memory that does not.",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", "containerd", "simulated", "none"]),
            default="auto",
            show_default=True,
            help="What this machine is as a node: real containers (as root), a simulation, nothing; auto: real where possible, else simulated.",
        ),
        click.option("--address", default="0.0.0.0", show_default=True, help="Address to listen on."),  # noqa: S104
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            help="Port of the API.  [default: 6443, or a free one; 0: a free one]",
        ),
    )
    for option in options:
        called = option(called)
    return cluster_options(called)


def paths_of(name: str, data_dir: Path | None) -> ClusterPaths:
    """Return the files of the cluster that the options name."""
    return ClusterPaths((data_dir or default_data_dir(name)).absolute())


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one line that says what, why, and the mend."""
    click.echo(f"pinnace: {message}", err=True)
    raise SystemExit(code)
