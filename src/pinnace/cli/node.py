"""`pinnace node`: nodes of a running cluster, added, stopped, started and removed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.cli.process import ServerFailed
from pinnace.client import Client, HttpTransport
from pinnace.cluster import simulated_fleet as fleet
from pinnace.cluster.node_template import DEFAULT_PREFIX, TemplateError, template
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ClusterError, running_state
from pinnace.component.clock import RealClock
from pinnace.component.http import HttpError
from pinnace.component.kubeconfig import KubeconfigError, access
from pinnace.machinery.errors import ApiError

if TYPE_CHECKING:
    from pinnace.cli.node_processes import NodeProcesses

T = TypeVar("T")
# Seconds for new nodes to become Ready: some, and a little for each.
_READY_SECONDS, _READY_SECONDS_EACH = 30.0, 0.02


@click.group()
def node() -> None:
    """Add, stop, start and remove nodes."""


@node.command()
@cluster_options
@click.argument("node_name", metavar="[NODE]", default="")
@click.option("--simulated", type=click.IntRange(1), help="How many simulated nodes to add instead of a real one.")
@click.option("--prefix", default=DEFAULT_PREFIX, show_default=True, help="What their names begin with.")
@click.option("--labels", default="", help="Labels of the new nodes: key=value,…")
@click.option("--capacity", default="", help="What they have: cpu=8,memory=32Gi,pods=110,…")
@click.option(
    "--template",
    "manifest",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Node manifest whose labels, annotations, taints and capacity they get.",
)
@click.option(
    "--stages",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Rules for what becomes of their pods: a list of match, share and set.",
)
def add(
    name: str,
    data_dir: Path | None,
    node_name: str,
    simulated: int | None,
    prefix: str,
    labels: str,
    capacity: str,
    manifest: Path | None,
    stages: Path | None,
) -> None:
    """Add nodes, and wait until they are Ready.

    Without --simulated it is a real one on this machine, NODE or node01, node02, …, with a network, a containerd and an agent of its own.
    Simulated nodes run nothing and behave like nodes; their pods start, run, finish and fail as annotations say. Prints the names.
    """
    paths = paths_of(name, data_dir)
    if simulated is None:
        if labels or capacity or manifest or stages:
            raise click.UsageError(
                "a real node has what its machine has: --labels, --capacity, --template, --stages are for simulated ones"
            )
        with _complaining():
            click.echo(_further(paths).add(node_name))
        return
    if node_name:
        raise click.UsageError("simulated nodes are named by --prefix")
    try:
        rules = stages.read_text(encoding="utf-8") if stages else ""
        model = template(manifest.read_bytes() if manifest else b"", labels, capacity, rules)
    except TemplateError as error:
        raise click.UsageError(str(error)) from error

    for made in _ready(paths, lambda client: fleet.add_nodes(client, model, simulated, prefix)):
        click.echo(made)


def simulated_nodes(paths: ClusterPaths, count: int) -> None:
    """See to it that there are so many simulated nodes, and that they are Ready."""
    _ready(paths, lambda client: fleet.ensure_nodes(client, template(), count, DEFAULT_PREFIX))


def _ready(paths: ClusterPaths, make: Callable[[Client], Awaitable[list[str]]]) -> list[str]:
    async def work(client: Client) -> tuple[list[str], list[str]]:
        names = await make(client)
        limit_seconds = _READY_SECONDS + _READY_SECONDS_EACH * len(names)
        return names, await fleet.wait_ready(client, names, RealClock(), limit_seconds)

    names, late = _with_client(paths, work)
    if late:
        fail(f"not Ready yet: {_some(late)}: see `kubectl describe node {late[0]}`")
    return sorted(names, key=lambda name: (len(name), name))


@node.command()
@cluster_options
@click.argument("node_name", metavar="NODE")
def stop(name: str, data_dir: Path | None, node_name: str) -> None:
    """Switch NODE off, as a machine that loses its power."""
    paths = paths_of(name, data_dir)
    if _is_further(paths, node_name):
        with _complaining():
            _further(paths).stop(node_name)
        return
    _with_client(paths, lambda client: fleet.set_stopped(client, node_name, stopped=True))


@node.command()
@cluster_options
@click.argument("node_name", metavar="NODE")
def start(name: str, data_dir: Path | None, node_name: str) -> None:
    """Switch NODE on again."""
    paths = paths_of(name, data_dir)
    if _is_further(paths, node_name):
        with _complaining():
            _further(paths).start(node_name)
        return
    _with_client(paths, lambda client: fleet.set_stopped(client, node_name, stopped=False))


@node.command()
@cluster_options
@click.argument("node_name", metavar="NODE")
def remove(name: str, data_dir: Path | None, node_name: str) -> None:
    """Remove NODE; its pods go with it."""
    paths = paths_of(name, data_dir)
    if _is_further(paths, node_name):
        with _complaining():
            _further(paths).remove(node_name)
        return
    _with_client(paths, lambda client: fleet.remove_node(client, node_name))


def _is_further(paths: ClusterPaths, node_name: str) -> bool:
    """Tell whether a node is a real one of this machine, beside the server's."""
    return (paths.nodes / node_name / "number").exists()


def _further(paths: ClusterPaths) -> "NodeProcesses":
    from pinnace.cli.node_processes import NodeProcesses  # noqa: PLC0415 - heavy, and not needed for simulated nodes

    if running_state(paths) is None:
        fail(f"no cluster runs on {paths.root}: start it with `pinnace up`")
    return NodeProcesses(paths)


@contextmanager
def _complaining() -> Iterator[None]:
    """Tell in one line what keeps a node from being started or stopped."""
    try:
        yield
    except (ServerFailed, ClusterError, ApiError, HttpError) as error:
        fail(str(error))


def _with_client(paths: ClusterPaths, work: Callable[[Client], Awaitable[T]]) -> T:
    """Do something as the administrator of a cluster that runs."""
    if running_state(paths) is None:
        fail(f"no cluster runs on {paths.root}: start it with `pinnace up`")

    async def call() -> T:
        client = Client(HttpTransport.to(access(paths.admin_kubeconfig)), user_agent="pinnace-node")
        try:
            return await work(client)
        finally:
            await client.close()

    try:
        return asyncio.run(call())
    except fleet.NotSimulated as error:
        fail(f"{error}: its agent is on another machine, or is the server")
    except (ApiError, HttpError, KubeconfigError) as error:
        fail(str(error))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
