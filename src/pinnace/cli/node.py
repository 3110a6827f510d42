"""`pinnace node`: nodes of a running cluster, added, stopped, started and removed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pinnace.cli.node_start import Failed, add_node, start_node
from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.cluster.config import DEFAULT_PREFIX
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import running_state


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
        _insist_on_cluster(paths)
        with _complaining():
            click.echo(add_node(paths, node_name))
        return
    if node_name:
        raise click.UsageError("simulated nodes are named by --prefix")
    from pinnace.cli import simulated_nodes  # noqa: PLC0415 - as late as it is needed

    for made in simulated_nodes.add(paths, simulated, prefix, labels, capacity, manifest, stages):
        click.echo(made)


@node.command()
@cluster_options
@click.argument("node_name", metavar="NODE")
def stop(name: str, data_dir: Path | None, node_name: str) -> None:
    """Switch NODE off, as a machine that loses its power."""
    paths = paths_of(name, data_dir)
    if _is_further(paths, node_name):
        from pinnace.cli.node_processes import stop_node  # noqa: PLC0415 - as late as it is needed

        _insist_on_cluster(paths)
        with _complaining():
            stop_node(paths, node_name)
        return
    from pinnace.cli import simulated_nodes  # noqa: PLC0415 - as late as it is needed

    simulated_nodes.set_stopped(paths, node_name, stopped=True)


@node.command()
@cluster_options
@click.argument("node_name", metavar="NODE")
def start(name: str, data_dir: Path | None, node_name: str) -> None:
    """Switch NODE on again."""
    paths = paths_of(name, data_dir)
    if _is_further(paths, node_name):
        _insist_on_cluster(paths)
        with _complaining():
            start_node(paths, node_name)
        return
    from pinnace.cli import simulated_nodes  # noqa: PLC0415 - as late as it is needed

    simulated_nodes.set_stopped(paths, node_name, stopped=False)


@node.command()
@cluster_options
@click.argument("node_name", metavar="NODE")
def remove(name: str, data_dir: Path | None, node_name: str) -> None:
    """Remove NODE; its pods go with it."""
    paths = paths_of(name, data_dir)
    if _is_further(paths, node_name):
        from pinnace.cli.node_processes import remove_node  # noqa: PLC0415 - as late as it is needed

        _insist_on_cluster(paths)
        with _complaining():
            remove_node(paths, node_name)
        return
    from pinnace.cli import simulated_nodes  # noqa: PLC0415 - as late as it is needed

    simulated_nodes.remove(paths, node_name)


def _is_further(paths: ClusterPaths, node_name: str) -> bool:
    """Tell whether a node is a real one of this machine, beside the server's."""
    return (paths.nodes / node_name / "number").exists()


def _insist_on_cluster(paths: ClusterPaths) -> None:
    if running_state(paths) is None:
        fail(f"no cluster runs on {paths.root}: start it with `pinnace up`")


@contextmanager
def _complaining() -> Iterator[None]:
    """Tell in one line what keeps a node from being started or stopped."""
    try:
        yield
    except Failed as error:
        fail(str(error))
