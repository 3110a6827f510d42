"""`pinnace up`: a cluster in the background, ready when the command returns."""

import time
from pathlib import Path

import click

from pinnace.cli.options import cluster_options, fail, paths_of, serving_options
from pinnace.cli.process import ServerFailed, running_state, start
from pinnace.client.kubeconfig import KubeconfigError, access, merge, user_file
from pinnace.cluster.config import API_PORT
from pinnace.cluster.paths import ForeignFolder
from pinnace.cluster.ports import free_port


@click.command()
@cluster_options
@serving_options
@click.option("--use", is_flag=True, help="Make the cluster's context the current one of your kubeconfig.")
def up(
    name: str,
    data_dir: Path | None,
    port: int | None,
    address: str,
    store: str,
    runtime: str,
    *,
    keep_history: bool,
    use: bool,
) -> None:
    """Start (or resume) a cluster in the background and wait until it answers."""
    begin = time.monotonic()  # noqa: TID251 - for the user's eyes
    paths = paths_of(name, data_dir)
    state = running_state(paths)
    if state is None:
        chosen = free_port(API_PORT) if port is None else port
        arguments = ["server", "--name", name, "--data-dir", str(paths.root), "--port", str(chosen)]
        arguments += [
            "--address",
            address,
            "--store",
            store,
            "--runtime",
            runtime,
            *(["--keep-history"] if keep_history else []),
        ]
        try:
            state = start(paths, arguments)
        except (ServerFailed, ForeignFolder) as error:
            fail(str(error))
        except (FileExistsError, NotADirectoryError) as error:
            fail(f"{error.filename}: something else is in the way: choose another --data-dir")
        except PermissionError as error:
            fail(f"{error.filename}: permission denied: become root, or choose another --data-dir")
        done = "started"
    else:
        done = "already running"
    try:
        merge(user_file(), name, access(paths.admin_kubeconfig), use=use)
        told = f"context {name!r} in {user_file()}"
    except (KubeconfigError, OSError) as error:
        told = f"{paths.admin_kubeconfig} (yours was left alone: {error})"
    seconds = time.monotonic() - begin  # noqa: TID251 - for the user's eyes
    click.echo(f"✓ API server, controllers and scheduler {done} in {seconds:.2f} s at {state.server}", err=True)
    if state.node:
        click.echo(f"✓ node {state.node}", err=True)
    if state.note:
        click.echo(f"! {state.note}", err=True)
    click.echo(f"✓ kubeconfig: {told}", err=True)
    click.echo(f"  next: kubectl --context {name} get namespaces", err=True)
