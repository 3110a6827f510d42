"""A control plane of a test's own: in this event loop, in memory, under a clock that only the test moves.

No socket, no root, no file. API server, controllers and scheduler are the real ones; there is no node unless the test makes one.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Never

from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.client import Client, InformerFactory, InProcessTransport
from pinnace.component.clock import Clock, VirtualClock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.identity import Identity
from pinnace.controllers.manager import ControllerManager
from pinnace.scheduler import Scheduler, default_profile
from pinnace.store.memory import MemoryStore

# Making an RSA key takes a tenth of a second; tests that look at tokens see this one.
_SIGNING_KEY: list[SigningKey] = []


@dataclass(frozen=True)
class Cluster:
    """A running control plane.

    Attributes:
        client: calls as the administrator.
        clock: the cluster's time; `await cluster.clock.advance(seconds=60)`.
        handler: the API server, for transports of one's own.
    """

    client: Client
    clock: VirtualClock
    handler: Handler

    def client_as(self, user: UserInfo) -> Client:
        """Return a client that calls as somebody else."""
        return Client(InProcessTransport(self.handler, user))

    async def settle(self) -> None:
        """Wait until nothing is going on."""
        await self.clock.settle()


@asynccontextmanager
async def running_cluster(*, seed: int = 0) -> AsyncIterator[Cluster]:
    """Run a control plane while the body runs; the same seed gives the same names and choices."""
    clock = VirtualClock()
    source = random.Random(seed)  # noqa: S311 - tests want to be repeated
    if not _SIGNING_KEY:
        _SIGNING_KEY.append(SigningKey.create())
    server = api_server(
        ApiServerConfig(service_cluster_ip_range="10.96.0.0/16"),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(source),
        signing_key=_SIGNING_KEY[0],
    )
    async with server.running(), asyncio.TaskGroup() as group:
        tasks = [group.create_task(run, name=name) for name, run in _components(server.handle, clock, source)]
        admin = UserInfo("kubernetes-admin", groups=("system:masters", "system:authenticated"))
        cluster = Cluster(Client(InProcessTransport(server.handle, admin)), clock, server.handle)
        await cluster.settle()
        try:
            yield cluster
        finally:
            for task in tasks:
                task.cancel()


def _components(
    handler: Handler, clock: Clock, source: random.Random
) -> Iterator[tuple[str, Coroutine[Any, Any, Never]]]:
    manager = ControllerManager(handler, clock, ca_pem="", cluster_cidr="10.244.0.0/16")
    yield "controller manager", manager.run()
    client = Client(InProcessTransport(handler, UserInfo("system:kube-scheduler")))
    informers = InformerFactory(client, clock)
    scheduler = Scheduler(client, informers, clock, default_profile(client), source=source)
    yield "scheduler informers", informers.run()
    yield "scheduler", scheduler.run()
