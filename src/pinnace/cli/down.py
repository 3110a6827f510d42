"""`pinnace down` and `pinnace delete`: the end of a cluster, with and without its state."""

import shutil
from pathlib import Path

import click

from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.cli.process import stop
from pinnace.client.kubeconfig import KubeconfigError, forget, user_file


@click.command()
@cluster_options
def down(name: str, data_dir: Path | None) -> None:
    """Stop the cluster; its state is kept, and `pinnace up` resumes it."""
    click.echo(f"{name}: stopped" if stop(paths_of(name, data_dir)) else f"{name}: was not running", err=True)


@click.command()
@cluster_options
def delete(name: str, data_dir: Path | None) -> None:
    """Stop the cluster and remove everything it left: its folder and its kubeconfig entries."""
    paths = paths_of(name, data_dir)
    existed = paths.root.exists()
    if existed and not paths.is_cluster():
        fail(f"{paths.root} does not look like a cluster's folder, and was left alone")
    stop(paths)
    try:
        if existed:
            shutil.rmtree(paths.root)
        forget(user_file(), name)
    except (OSError, KubeconfigError) as error:
        fail(f"not everything is gone: {error}")
    click.echo(f"{name}: deleted" if existed else f"{name}: there was nothing to delete", err=True)
