"""`pinnace agent`: this machine as a node of a cluster elsewhere, in the foreground."""

import asyncio
import gc
import logging
import os
import socket
from pathlib import Path
from typing import Never

import click

from pinnace import VERSION
from pinnace.cli.options import fail
from pinnace.cluster.agent import agent as running_agent
from pinnace.cluster.config import AgentConfig
from pinnace.cluster.containerd_config import ContainerdError, missing_for_containers
from pinnace.cluster.paths import ForeignFolder, default_agent_dir
from pinnace.cluster.server_state import ClusterError
from pinnace.component.clock import RealClock
from pinnace.component.identity import system_identity
from pinnace.component.logging import configure
from pinnace.component.signals import handle_termination

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--server", default="", metavar="URL", help="The cluster's API server.  [default: the one joined before]")
@click.option("--token", default="", envvar="PINNACE_TOKEN", help="What `pinnace token create` gave; for joining only.")
@click.option("--token-file", type=_FILE, help="The same, in a file.")
@click.option("--ca", type=_FILE, help="The cluster's authority, which is believed.")
@click.option("--ca-hash", default="", metavar="sha256:HEX", help="The hash of its public key, which is compared.")
@click.option("--node-name", default=None, help="What the node is called.  [default: the host name]")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder of the agent.")
@click.option("--images", type=click.Path(path_type=Path, file_okay=False), help="Folder to import images from.")
@click.option("--lock-descriptor", type=int, hidden=True, help="The folder's lock, which `pinnace node` hands on.")
@click.option("--token-descriptor", type=int, hidden=True, help="A pipe from which the token comes.")
def agent(
    server: str,
    token: str,
    token_file: Path | None,
    ca: Path | None,
    ca_hash: str,
    node_name: str | None,
    data_dir: Path | None,
    images: Path | None,
    lock_descriptor: int | None,
    token_descriptor: int | None,
) -> None:
    """Make this machine a node of a cluster, and be it until told to stop.

    Joined once, it needs no token any more. Containers outlive the agent; `pinnace delete --data-dir FOLDER` ends them and removes all.
    """
    # As in the server: thousands of classes are about to be made that live for ever.
    gc.disable()
    configure(level=logging.INFO)
    if token_descriptor is not None:
        # What this process starts must not hold it.
        os.set_inheritable(token_descriptor, False)
    if lacking := missing_for_containers():
        fail(f"a node needs {', '.join(lacking)}: see `pinnace doctor`")
    name = (node_name or socket.gethostname()).lower()
    config = AgentConfig(
        name=name,
        data_dir=(data_dir or default_agent_dir(name)).absolute(),
        server=server.rstrip("/"),
        token=(token_file.read_text() if token_file else token).strip(),
        ca_pem=ca.read_bytes() if ca else b"",
        ca_pin=ca_hash,
        archives=images,
        lock_descriptor=lock_descriptor,
        token_descriptor=token_descriptor,
    )
    try:
        import uvloop  # noqa: PLC0415 - only where it is there
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    try:
        runner(_serve(config))
    except* (ClusterError, ContainerdError, ForeignFolder, ValueError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        fail(str(error))


async def _serve(config: AgentConfig) -> None:
    with handle_termination() as termination:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_agent(config), name="agent")
            await termination.wait_terminated()
            task.cancel()


async def _agent(config: AgentConfig) -> Never:
    async with running_agent(config, RealClock(), system_identity(), VERSION) as note:
        click.echo(f"node {config.name} is a member" + (f": {note}" if note else ""), err=True)
        gc.freeze()
        gc.enable()
        await asyncio.Event().wait()
    raise AssertionError("an agent ends by cancellation")
