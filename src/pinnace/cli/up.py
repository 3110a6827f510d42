"""`pinnace up`: a cluster in the background, ready when the command returns."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import click

from pinnace.cli.options import Serving, fail, serving_options
from pinnace.cli.process import ServerFailed, answering_state, start
from pinnace.cli.server_log import STEP
from pinnace.cluster.config import RuntimeKind
from pinnace.cluster.paths import ForeignFolder
from pinnace.cluster.ports import API_PORT, free_port
from pinnace.cluster.server_state import ClusterError, ServerState
from pinnace.component.kubeconfig import KubeconfigError, access, merge, user_file

_FIRST_OF_SEVERAL = "master01"


@click.command()
@serving_options
@click.option(
    "--nodes",
    type=click.IntRange(1, 100),
    help="Nodes on this machine, each further one with its own network, containerd and agent.  [default: those that there are, else 1]",
)
@click.option(
    "--simulated",
    type=click.IntRange(0),
    default=0,
    help="How many simulated nodes there are to be beside them.",
)
@click.option("--use", is_flag=True, help="Make the cluster's context the current one of your kubeconfig.")
def up(serving: Serving, *, nodes: int | None, simulated: int, use: bool) -> None:
    """Start (or resume) a cluster in the background and wait until it answers.

    Prints each step as it is done, and puts a context named after it into your kubeconfig. Starting what runs already is harmless, and so is
    interrupting this command: the next one goes on from there.
    """
    tell = _teller()
    if nodes is not None and nodes > 1:
        _insist_on_real_nodes(serving.runtime)
    state = _running_or_started(serving, nodes, tell)
    for one in _further(serving, nodes):
        tell(f"node {one.node}" + (f" ({one.note})" if one.note else ""))
    told = _into_kubeconfig(serving, use=use)
    if simulated:
        _make_simulated_nodes(serving, simulated)
        tell(f"{simulated} simulated nodes")
    if state.note:
        click.echo(f"! {state.note}", err=True)
    click.echo(f"{STEP}kubeconfig: {told}", err=True)
    click.echo(
        f"  next: kubectl --context {serving.name} get {'nodes' if state.node or simulated else 'namespaces'}", err=True
    )


def _teller() -> Callable[[str], None]:
    """Return what shows a step that is done, with the seconds since now."""
    begin = time.monotonic()  # noqa: TID251 - for the user's eyes

    def tell(step: str) -> None:
        click.echo(f"{STEP}{step}, after {time.monotonic() - begin:.2f} s", err=True)  # noqa: TID251 - as above

    return tell


def _further(serving: Serving, wanted: int | None) -> list[ServerState]:
    """Start the further nodes: those that are there and were not stopped by hand, and as many as are missing."""
    if (wanted or 1) == 1 and not serving.paths.nodes.exists():
        return []
    from pinnace.cli.node_start import Failed, start_missing  # noqa: PLC0415 - most clusters have one node

    try:
        return start_missing(serving.paths, wanted or 1)
    except Failed as error:
        fail(str(error))


def _insist_on_real_nodes(runtime: str) -> None:
    from pinnace.cluster.containerd_config import missing_for_containers  # noqa: PLC0415 - as above
    from pinnace.cluster.this_node import choose  # noqa: PLC0415 - as above

    try:
        choice = choose(RuntimeKind(runtime), missing_for_containers())
    except ClusterError as error:
        fail(str(error))
    if choice.kind is not RuntimeKind.CONTAINERD:
        fail(f"several nodes need real containers: {choice.note or f'leave out --runtime {runtime}'}")


def _running_or_started(serving: Serving, nodes: int | None, tell: Callable[[str], None]) -> ServerState:
    try:
        state = answering_state(serving.paths)
        if state is not None:
            click.echo(f"{STEP}API server, controllers and scheduler already running at {state.server}", err=True)
            if state.node:
                click.echo(f"{STEP}node {state.node}", err=True)
            return state
        if nodes is not None and nodes > 1 and not serving.paths.is_cluster():
            serving.paths.name_node(_FIRST_OF_SEVERAL)
        port = _port(serving, tell) if serving.port is None else serving.port
        return start(serving.paths, ["server", *serving.arguments(port)], on_step=tell)
    except (ServerFailed, ClusterError, ForeignFolder) as error:
        fail(str(error))
    except (FileExistsError, NotADirectoryError) as error:
        fail(f"{error.filename}: something else is in the way: choose another --data-dir")
    except PermissionError as error:
        fail(f"{error.filename}: permission denied: become root, or choose another --data-dir")
    except OSError as error:
        fail(f"{error.filename or serving.paths.root}: {error.strerror}: make room, or choose another --data-dir")


def _port(serving: Serving, tell: Callable[[str], None]) -> int:
    """Return the port that the cluster had, by which agents and kubeconfigs elsewhere know it, if it is free; else the usual one, or another."""
    had = _former_port(serving.paths.admin_kubeconfig)
    port = free_port(had or API_PORT)
    if had and port != had:
        tell(f"port {had} is taken by now: agents on other machines need the new one, `pinnace agent --server`")
    return port


def _former_port(kubeconfig: Path) -> int | None:
    try:
        return urlsplit(access(kubeconfig).server).port
    except (KubeconfigError, OSError, ValueError):
        return None


def _make_simulated_nodes(serving: Serving, count: int) -> None:
    from pinnace.cli import simulated_nodes  # noqa: PLC0415 - as late as it is needed

    simulated_nodes.ensure(serving.paths, count)


def _into_kubeconfig(serving: Serving, *, use: bool) -> str:
    """Tell where the way in is: in the user's kubeconfig, or beside it if that cannot be read or written."""
    own = serving.paths.admin_kubeconfig
    try:
        merge(user_file(), serving.name, access(own), use=use)
    except (KubeconfigError, OSError) as error:
        return f"{own} (yours was left alone: {error})"
    return f"context {serving.name!r} in {user_file()}"
