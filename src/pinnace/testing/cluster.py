"""A cluster of a test's own: in this event loop, in memory, under a clock that only the test moves.

No socket, no root, no file. API server, controllers, scheduler and node agents are the real ones; only what agents run is simulated.
Invariant: the same seed and the same calls give the same run, to the last name and the last event.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Never

import structlog
from msgspec import Struct
from msgspec.structs import replace

from pinnace import VERSION
from pinnace.api.core_v1 import Node
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.resource_metrics import ResourceMetrics
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.apiserver.streaming import InProcessKubelets, streaming_handlers
from pinnace.client import Client, InformerFactory, InProcessTransport
from pinnace.cluster import simulated_fleet as fleet
from pinnace.cluster.config import CLUSTER_RANGE, SERVICE_RANGE
from pinnace.cluster.node_template import made_from, template
from pinnace.cluster.simulated_node import node_ranges
from pinnace.cluster.simulator import Simulator
from pinnace.component.clock import Clock, VirtualClock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.logging import configure
from pinnace.controllers.manager import ControllerManager
from pinnace.scheduler import Scheduler, default_profile
from pinnace.store.memory import MemoryStore
from pinnace.testing.listening import listening

# Every cluster of a process signs with this one: a key is dear to make.
_SIGNING_KEY = SigningKey()
# Virtual seconds for nodes to become Ready, and between looks.
_READY_LIMIT_SECONDS, _LOOK_SECONDS = 60.0, 0.5


class Cluster(Struct, frozen=True):
    """A running cluster.

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

    async def add_node(self, name: str, *, labels: Mapping[str, str] | None = None, **capacity: str) -> None:
        """Add a simulated node and let time pass until it is Ready; `capacity` is what it has: `cpu="2", memory="4Gi"`."""
        model = template()
        metadata = replace(model.metadata, labels={**model.metadata.labels, **(labels or {})})
        status = replace(model.status, capacity={key.replace("_", "-"): value for key, value in capacity.items()})
        await self.client.create(made_from(replace(model, metadata=metadata, status=status), name))
        await self.wait_ready([name])

    async def stop_node(self, name: str) -> None:
        """Switch a simulated node off, as a machine that loses its power: nobody is told, its containers are there when it returns."""
        await fleet.set_stopped(self.client, name, stopped=True)
        await self.settle()

    async def start_node(self, name: str) -> None:
        """Switch a simulated node on again."""
        await fleet.set_stopped(self.client, name, stopped=False)
        await self.settle()

    async def remove_node(self, name: str) -> None:
        """Remove a simulated node and all it runs."""
        await fleet.remove_node(self.client, name)
        await self.settle()

    async def wait_ready(self, names: Iterable[str]) -> None:
        """Let time pass until these nodes take pods.

        Raises:
            TimeoutError: they do not within a minute of the cluster's time.
        """
        waiting, since = set(names), self.clock.monotonic()
        await self.settle()
        while waiting:
            found = (await self.client.list(Node)).items
            waiting -= {node.metadata.name for node in found if not node.spec.taints}
            if waiting and self.clock.monotonic() - since >= _READY_LIMIT_SECONDS:
                raise TimeoutError(f"not Ready: {', '.join(sorted(waiting))}")
            if waiting:
                await self.clock.advance(_LOOK_SECONDS)

    async def settle(self) -> None:
        """Wait until nothing is going on."""
        await self.clock.settle()

    def listening(self, *, time_passes: bool = True) -> AbstractAsyncContextManager[Path]:
        """Let programs outside the test reach the cluster while the block runs; gives the administrator's kubeconfig.

        The cluster's time then goes on by itself, as those programs expect, unless `time_passes` is false.
        """
        return listening(self.handler, self.clock, time_passes=time_passes)


@asynccontextmanager
async def running_cluster(*, seed: int = 0, nodes: int | Sequence[str] = 1) -> AsyncIterator[Cluster]:
    """Run a cluster while the body runs.

    Args:
        seed: the same one gives the same names and choices.
        nodes: how many simulated nodes, or their names; they are Ready when the body begins. Without, pods stay Pending.
    """
    if not structlog.is_configured():
        configure(level=logging.WARNING)
    names = [f"node-{number + 1}" for number in range(nodes)] if isinstance(nodes, int) else nodes
    # One source each, so that a choice more in one component changes nothing in the others.
    seeds = random.Random(seed)  # noqa: S311 - tests want to be repeated
    of_server, of_clock, of_scheduler, of_nodes = (random.Random(seeds.getrandbits(64)) for _ in range(4))  # noqa: S311
    clock = VirtualClock(source=of_clock)
    kubelets: dict[str, Handler] = {}
    server = api_server(
        ApiServerConfig(service_cluster_ip_range=SERVICE_RANGE),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(of_server),
        signing_key=_SIGNING_KEY,
        specials=streaming_handlers(InProcessKubelets(kubelets.get)),
        extensions=(ResourceMetrics(InProcessKubelets(kubelets.get), clock),),
    )
    async with server.running(), asyncio.TaskGroup() as group:
        simulator = Simulator(server.handle, clock, of_nodes, version=VERSION, kubelets=kubelets)
        parts = (*_components(server.handle, clock, of_scheduler), ("simulator", simulator.run()))
        tasks = [group.create_task(run, name=name) for name, run in parts]
        admin = UserInfo("kubernetes-admin", groups=("system:masters", "system:authenticated"))
        cluster = Cluster(Client(InProcessTransport(server.handle, admin)), clock, server.handle)
        try:
            await cluster.settle()
            for name in names:
                await cluster.client.create(made_from(template(), name))
            await cluster.wait_ready(names)
            yield cluster
        finally:
            for task in tasks:
                task.cancel()


def _components(
    handler: Handler, clock: Clock, source: random.Random
) -> Iterator[tuple[str, Coroutine[Any, Any, Never]]]:
    manager = ControllerManager(
        handler, clock, authority=None, node_ranges=node_ranges(CLUSTER_RANGE), service_cidrs=(SERVICE_RANGE,)
    )
    yield "controller manager", manager.run()
    client = Client(InProcessTransport(handler, UserInfo("system:kube-scheduler")))
    informers = InformerFactory(client, clock)
    scheduler = Scheduler(client, informers, clock, default_profile(client), source=source)
    yield "scheduler informers", informers.run()
    yield "scheduler", scheduler.run()
