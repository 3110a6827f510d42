"""`pinnace server` and `pinnace apiserver`: the foreground processes."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import click

from pinnace import VERSION
from pinnace.cli.options import cluster_options, fail, paths_of, serving_options
from pinnace.cluster.allinone import ClusterError, cluster
from pinnace.cluster.config import API_PORT, ClusterConfig, RuntimeKind, StoreKind
from pinnace.cluster.paths import ForeignFolder
from pinnace.component.clock import RealClock
from pinnace.component.identity import system_identity
from pinnace.component.logging import configure
from pinnace.component.signals import handle_termination
from pinnace.component.tls import CertificateError
from pinnace.store.interface import StoreError


@click.command()
@cluster_options
@serving_options
def server(
    name: str, data_dir: Path | None, port: int | None, address: str, store: str, runtime: str, *, keep_history: bool
) -> None:
    """Run the cluster in the foreground until it is told to stop."""
    _run(_config(name, data_dir, port, address, store, runtime, keep_history=keep_history))


@click.command()
@cluster_options
@serving_options
def apiserver(
    name: str, data_dir: Path | None, port: int | None, address: str, store: str, runtime: str, *, keep_history: bool
) -> None:
    """Run the API server alone in the foreground until it is told to stop."""
    if runtime == "containerd":
        raise click.UsageError("an API server alone has no node: leave --runtime out, or use `pinnace server`")
    config = _config(name, data_dir, port, address, store, "none", keep_history=keep_history)
    _run(replace(config, with_controllers=False, with_scheduler=False))


def _config(
    name: str, data_dir: Path | None, port: int | None, address: str, store: str, runtime: str, *, keep_history: bool
) -> ClusterConfig:
    return ClusterConfig(
        name=name,
        data_dir=paths_of(name, data_dir).root,
        port=API_PORT if port is None else port,
        address=address,
        store=StoreKind(store),
        runtime=RuntimeKind(runtime),
        keep_history=keep_history,
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
        async with cluster(config, RealClock(), system_identity(), VERSION) as url:
            folder = paths_of(config.name, config.data_dir)
            click.echo(f"Kubernetes {VERSION} answers at {url}", err=True)
            click.echo(f"  kubeconfig   {folder.admin_kubeconfig}", err=True)
            click.echo(f"  certificates {folder.pki}/ca.crt, admin.crt, admin.key", err=True)
            await termination.wait_terminated()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
