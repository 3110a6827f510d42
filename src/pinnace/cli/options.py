"""Options that several commands share."""

from collections.abc import Callable
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


def serving_options(command: Command) -> Command:
    """Add the options of commands that start a server."""
    for option in (
        click.option("--keep-history", is_flag=True, help="Never forget old revisions."),
        click.option(
            "--store",
            type=click.Choice(["sqlite", "memory"]),
            default="sqlite",
            show_default=True,
            help="Where objects live.",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", "containerd", "none"]),
            default="auto",
            show_default=True,
            help="What runs pods on this machine; auto: containerd where that is possible.",
        ),
        click.option("--address", default="0.0.0.0", show_default=True, help="Address to listen on."),  # noqa: S104
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            help="Port of the API.  [default: 6443, or a free one; 0: a free one]",
        ),
    ):
        command = option(command)
    return command


def paths_of(name: str, data_dir: Path | None) -> ClusterPaths:
    """Return the files of the cluster that the options name."""
    return ClusterPaths((data_dir or default_data_dir(name)).absolute())


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one line that says what, why, and the mend."""
    click.echo(f"pinnace: {message}", err=True)
    raise SystemExit(code)
