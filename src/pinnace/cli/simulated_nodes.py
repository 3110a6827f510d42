"""What `pinnace node` and `pinnace up` do with simulated nodes, as the administrator of a cluster that runs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from pinnace.cli.options import fail
from pinnace.client import Client, HttpTransport
from pinnace.cluster import simulated_fleet as fleet
from pinnace.cluster.config import DEFAULT_PREFIX
from pinnace.cluster.node_template import TemplateError, template
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import running_state
from pinnace.component.clock import RealClock
from pinnace.component.http import HttpError
from pinnace.component.kubeconfig import KubeconfigError, access
from pinnace.machinery.errors import ApiError

T = TypeVar("T")
# Seconds for new nodes to become Ready: some, and a little for each.
_READY_SECONDS, _READY_SECONDS_EACH = 30.0, 0.02


def add(
    paths: ClusterPaths,
    count: int,
    prefix: str,
    labels: str,
    capacity: str,
    manifest: Path | None,
    stages: Path | None,
) -> list[str]:
    """Add nodes, and return their names when they are Ready."""
    try:
        rules = stages.read_text(encoding="utf-8") if stages else ""
        model = template(manifest.read_bytes() if manifest else b"", labels, capacity, rules)
    except TemplateError as error:
        raise click.UsageError(str(error)) from error
    return _ready(paths, lambda client: fleet.add_nodes(client, model, count, prefix))


def ensure(paths: ClusterPaths, count: int) -> None:
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


def set_stopped(paths: ClusterPaths, name: str, *, stopped: bool) -> None:
    """Switch a node off or on."""
    _with_client(paths, lambda client: fleet.set_stopped(client, name, stopped=stopped))


def remove(paths: ClusterPaths, name: str) -> None:
    """Remove a node."""
    _with_client(paths, lambda client: fleet.remove_node(client, name))


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
