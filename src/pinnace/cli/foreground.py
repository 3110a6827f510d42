"""A cluster in this process, from its start to a signal."""

import asyncio
import gc
import logging
from typing import Never

import click

from pinnace import VERSION
from pinnace.cli.options import fail
from pinnace.cli.server_log import STEP
from pinnace.cluster.allinone import cluster
from pinnace.cluster.config import ClusterConfig
from pinnace.cluster.paths import ClusterPaths, ForeignFolder
from pinnace.cluster.server_state import ClusterError
from pinnace.component.clock import RealClock
from pinnace.component.identity import system_identity
from pinnace.component.logging import configure
from pinnace.component.signals import handle_termination
from pinnace.component.tls import CertificateError
from pinnace.store.interface import DiskRefuses, StoreError

# New objects after which garbage is looked for, and how many such looks come before one that takes in older ones. Nearly all of what a
# server makes is freed by counting references, so that Python's own 700 cost a fifth of the time of a busy one, and find nothing.
_COLLECT_AFTER = (20_000, 20, 20)


def run(config: ClusterConfig) -> None:
    """Run until the process is told to stop; what keeps it from starting is said in one line."""
    configure(level=logging.INFO)
    try:
        import uvloop  # noqa: PLC0415 - only where it is there
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    try:
        runner(_serve(config))
    except* (DiskRefuses, OSError) as group:
        error = _first(group)
        fail(f"{error}: check the rights and the space of {config.data_dir}, or choose another --data-dir")
    except* (ClusterError, StoreError, CertificateError, ForeignFolder) as group:
        fail(str(_first(group)))


async def _serve(config: ClusterConfig) -> None:
    with handle_termination() as termination:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_cluster(config), name="cluster")
            await termination.wait_terminated()
            task.cancel()


async def _cluster(config: ClusterConfig) -> Never:
    def tell(step: str) -> None:
        click.echo(f"{STEP}{step}", err=True)

    async with cluster(config, RealClock(), system_identity(), VERSION, on_step=tell) as url:
        paths = ClusterPaths(config.data_dir)
        click.echo(f"Kubernetes {VERSION} answers at {url}", err=True)
        click.echo(f"  kubeconfig   {paths.admin_kubeconfig}", err=True)
        click.echo(f"  certificates {paths.pki}/ca.crt, admin.crt, admin.key", err=True)
        # What is there by now stays: garbage is looked for among what comes.
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        gc.enable()
        await asyncio.Event().wait()
    raise AssertionError("a cluster ends by cancellation")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
