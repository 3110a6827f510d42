"""`pinnace down` and `pinnace delete`: the end of a cluster, with and without its state."""

import asyncio
import shutil
from pathlib import Path

import click

from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.cli.process import ServerFailed, stop
from pinnace.cluster.cluster_dns import DnsFiles, stop_dns
from pinnace.cluster.cni import pod_network
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_cleanup import remove, stop_containers
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.paths import ClusterPaths
from pinnace.component.clock import RealClock
from pinnace.component.kubeconfig import KubeconfigError, forget, user_file


@click.command()
@cluster_options
def down(name: str, data_dir: Path | None) -> None:
    """Stop the cluster; its state is kept, and `pinnace up` resumes it."""
    paths = paths_of(name, data_dir)
    stopped = _stop(paths)
    if paths.is_cluster():
        if paths.nodes.exists():
            from pinnace.cli.node_processes import stop_all  # noqa: PLC0415 - heavy, and most clusters have one node

            stop_all(paths)
        asyncio.run(_stop_node(paths))
    click.echo(f"{name}: stopped" if stopped else f"{name}: was not running", err=True)


@click.command()
@cluster_options
def delete(name: str, data_dir: Path | None) -> None:
    """Stop the cluster and remove everything it left: its folder and its kubeconfig entries."""
    paths = paths_of(name, data_dir)
    existed = paths.root.exists()
    if existed and not paths.is_cluster():
        fail(f"{paths.root} does not look like a cluster's folder, and was left alone")
    _stop(paths)
    try:
        if existed:
            left = []
            if paths.nodes.exists():
                from pinnace.cli.node_processes import remove_all  # noqa: PLC0415 - as above

                left += remove_all(paths)
            network = pod_network(paths.root)
            asyncio.run(stop_dns(DnsFiles(paths.root / "dns"), RealClock()))
            left += asyncio.run(remove(_containerd(paths), paths.root, network, f"/{network.name}", RealClock()))
            if left:
                fail(f"not everything is gone, and {paths.root} was kept: {'; '.join(left)}")
            shutil.rmtree(paths.root)
        forget(user_file(), name)
    except (OSError, KubeconfigError) as error:
        fail(f"not everything is gone: {error}")
    click.echo(f"{name}: deleted" if existed else f"{name}: there was nothing to delete", err=True)


async def _stop_node(paths: ClusterPaths) -> None:
    await stop_dns(DnsFiles(paths.root / "dns"), RealClock())
    await stop_containers(_containerd(paths), RealClock())


def _stop(paths: ClusterPaths) -> bool:
    try:
        return stop(paths)
    except ServerFailed as error:
        fail(str(error))


def _containerd(paths: ClusterPaths) -> Containerd:
    return Containerd(ContainerdPaths(paths.root / "containerd"), detect(), RealClock())
