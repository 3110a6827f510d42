"""Many calls of one kind: all at once, or in batches that double, so that what cannot work costs one try and not hundreds.

Upstream: `slowStartBatch` in pkg/controller/replicaset/replica_set.go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec import Struct

A = TypeVar("A")


class Outcome(Struct, frozen=True):
    """How many calls succeeded, and why one of the others did not."""

    succeeded: int
    error: Exception | None


async def at_once(arguments: Sequence[A], call: Callable[[A], Awaitable[None]]) -> Outcome:
    """Call with every argument at the same time."""
    failures: list[Exception] = []

    async def attempt(argument: A) -> None:
        try:
            await call(argument)
        except Exception as error:  # noqa: BLE001 - handed to the caller, who knows what it means
            failures.append(error)

    if len(arguments) == 1:
        await attempt(arguments[0])
    else:
        async with asyncio.TaskGroup() as group:
            for number, argument in enumerate(arguments):
                group.create_task(attempt(argument), name=f"{getattr(call, '__name__', 'call')} {number}")
    return Outcome(len(arguments) - len(failures), failures[0] if failures else None)


async def slow_start(arguments: Sequence[A], call: Callable[[A], Awaitable[None]], *, first: int = 1) -> Outcome:
    """Call with the arguments in batches of `first`, twice that, and so on; a batch with a failure is the last."""
    succeeded, size = 0, first
    left = list(arguments)
    while left:
        batch, left = left[:size], left[size:]
        outcome = await at_once(batch, call)
        succeeded += outcome.succeeded
        if outcome.error is not None:
            return Outcome(succeeded, outcome.error)
        size *= 2
    return Outcome(succeeded, None)
