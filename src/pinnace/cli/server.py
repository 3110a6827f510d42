"""`pinnace server` and `pinnace apiserver`: the foreground processes."""

import asyncio
import logging
from dataclasses import replace
from typing import Never

import click

from pinnace import VERSION
from pinnace.cli.options import Serving, fail, serving_options
from pinnace.cluster.allinone import cluster
from pinnace.cluster.config import ClusterConfig, RuntimeKind, StoreKind
from pinnace.cluster.paths import ClusterPaths, ForeignFolder
from pinnace.cluster.ports import API_PORT
from pinnace.cluster.server_state import ClusterError
from pinnace.component.clock import RealClock
from pinnace.component.identity import system_identity
from pinnace.component.logging import configure
from pinnace.component.signals import handle_termination
from pinnace.component.tls import CertificateError
from pinnace.store.interface import StoreError


@click.command()
@serving_options
@click.option("--lock-descriptor", type=int, hidden=True, help="The folder's lock, which `pinnace up` hands on.")
def server(serving: Serving, lock_descriptor: int | None) -> None:
    """Run the cluster in the foreground until it is told to stop."""
    _run(replace(_config(serving), lock_descriptor=lock_descriptor))


@click.command()
@serving_options
def apiserver(serving: Serving) -> None:
    """Run the API server alone in the foreground until it is told to stop."""
    if serving.runtime not in {"auto", "none"}:
        raise click.UsageError("an API server alone has no node: leave --runtime out, or use `pinnace server`")
    _run(replace(_config(serving), runtime=RuntimeKind.NONE, with_controllers=False, with_scheduler=False))


def _config(serving: Serving) -> ClusterConfig:
    return ClusterConfig(
        name=serving.name,
        data_dir=serving.paths.root,
        port=API_PORT if serving.port is None else serving.port,
        address=serving.address,
        store=StoreKind(serving.store),
        runtime=RuntimeKind(serving.runtime),
        keep_history=serving.keep_history,
    )


def _run(config: ClusterConfig) -> None:
    configure(level=logging.INFO)
    try:
        import uvloop  # noqa: PLC0415 - only where it is there
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    try:
        runner(_serve(config))
    except* (ClusterError, StoreError, CertificateError, ForeignFolder) as group:
        fail(str(_first(group)))
    except* OSError as group:
        error = _first(group)
        fail(f"{error}: check the rights and the space of {config.data_dir}, or choose another --data-dir")


async def _serve(config: ClusterConfig) -> None:
    with handle_termination() as termination:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_cluster(config), name="cluster")
            await termination.wait_terminated()
            task.cancel()


async def _cluster(config: ClusterConfig) -> Never:
    async with cluster(config, RealClock(), system_identity(), VERSION) as url:
        paths = ClusterPaths(config.data_dir)
        click.echo(f"Kubernetes {VERSION} answers at {url}", err=True)
        click.echo(f"  kubeconfig   {paths.admin_kubeconfig}", err=True)
        click.echo(f"  certificates {paths.pki}/ca.crt, admin.crt, admin.key", err=True)
        await asyncio.Event().wait()
    raise AssertionError("a cluster ends by cancellation")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
