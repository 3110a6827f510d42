"""Simulated nodes from the outside: made, stopped, started and removed by whoever may write Nodes, wherever the server runs.

What is done to a node is written into its object; the server's simulator sees to the rest, and finds it again after a restart.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress

from pinnace.api import core_v1
from pinnace.client import Client
from pinnace.cluster.node_template import free_names, made_from, template
from pinnace.cluster.simulated_node import SIMULATED_LABEL, STOPPED_ANNOTATION, is_simulated
from pinnace.component.clock import Clock
from pinnace.machinery.errors import AlreadyExists, NotFound

# Requests under way at a time when many nodes are made.
_AT_ONCE = 8
_LOOK_SECONDS = 0.25
_SELECTED = f"{SIMULATED_LABEL}=true"


class NotSimulated(Exception):
    """A node that is a real one, which no object can stop; the text names it."""


async def add_nodes(client: Client, model: core_v1.Node, count: int, prefix: str) -> list[str]:
    """Make so many nodes like a template, under names that are free; returns the names."""
    listed = await client.list(core_v1.Node)
    names = free_names(prefix, (node.metadata.name for node in listed.items))
    made: list[str] = []

    async def make(numbers: Iterator[int]) -> None:
        made.extend([await _make(client, model, names) for _ in numbers])

    numbers = iter(range(count))
    async with asyncio.TaskGroup() as group:
        for worker in range(min(_AT_ONCE, count)):
            group.create_task(make(numbers), name=f"new nodes {worker}")
    return made


async def ensure_nodes(client: Client, model: core_v1.Node, count: int, prefix: str) -> list[str]:
    """Make as many nodes as are missing for there to be so many simulated ones of this prefix; returns the names of all of them."""
    listed = await client.list(core_v1.Node, label_selector=_SELECTED)
    there = [node.metadata.name for node in listed.items if node.metadata.name.startswith(f"{prefix}-")]
    return [*there, *await add_nodes(client, model, max(count - len(there), 0), prefix)]


async def wait_ready(client: Client, names: Iterable[str], clock: Clock, limit_seconds: float) -> list[str]:
    """Wait until simulated nodes are Ready, which they become in about this order; returns the names of those that are not in time."""
    wanted = dict.fromkeys(names)
    begun = clock.monotonic()
    while wanted:
        is_late = clock.monotonic() - begun > limit_seconds
        # All are listed when the last of them is Ready: looking at thousands costs the server more than a look at one.
        if is_late or await _is_ready_by_name(client, next(reversed(wanted))):
            listed = await client.list(core_v1.Node, label_selector=_SELECTED)
            for node in listed.items:
                if _is_ready(node):
                    wanted.pop(node.metadata.name, None)
        if is_late or not wanted:
            break
        await clock.sleep(_LOOK_SECONDS)
    return sorted(wanted)


async def simulate(client: Client, name: str) -> None:
    """Have the node of this name simulated; what a real agent said of it before is forgotten with its object."""
    wanted = made_from(template(), name)
    try:
        await client.create(wanted)
    except AlreadyExists:
        labelled = await client.patch(core_v1.Node, name, {"metadata": {"labels": {SIMULATED_LABEL: "true"}}})
        if not is_simulated(labelled):
            await client.delete(core_v1.Node, name)
            await client.create(wanted)


async def be_real(client: Client, name: str) -> None:
    """Leave the node of this name to a real agent, if there is one already."""
    with suppress(NotFound):
        await client.patch(core_v1.Node, name, {"metadata": {"labels": {SIMULATED_LABEL: None}}})


async def set_stopped(client: Client, name: str, *, stopped: bool) -> None:
    """Switch a simulated machine off or on; safe to repeat.

    Raises:
        NotFound: there is no such node.
        NotSimulated: it is a real one.
    """
    await _require_simulated(client, name)
    value = "true" if stopped else None
    await client.patch(core_v1.Node, name, {"metadata": {"annotations": {STOPPED_ANNOTATION: value}}})


async def remove_node(client: Client, name: str) -> None:
    """Remove a simulated node; its pods go with it, as soon as the pod garbage collector is sure that it is gone.

    Raises:
        NotFound: there is no such node.
        NotSimulated: it is a real one.
    """
    await _require_simulated(client, name)
    await client.delete(core_v1.Node, name)


async def _require_simulated(client: Client, name: str) -> None:
    if not is_simulated(await client.get(core_v1.Node, name)):
        raise NotSimulated(f"node {name} is a real one")


async def _make(client: Client, model: core_v1.Node, names: Iterator[str]) -> str:
    while True:
        name = next(names)
        # Somebody else may make nodes at the same time.
        with suppress(AlreadyExists):
            return (await client.create(made_from(model, name))).metadata.name


async def _is_ready_by_name(client: Client, name: str) -> bool:
    with suppress(NotFound):
        return _is_ready(await client.get(core_v1.Node, name))
    return False


def _is_ready(node: core_v1.Node) -> bool:
    return any(item.type == "Ready" and item.status == "True" for item in node.status.conditions)
