"""One cluster with one simulated node, under a clock that only the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.client import Client, InProcessTransport, Transport
from pinnace.cluster.static_pod_rules import complete
from pinnace.component.http import Headers, Request, Response, UserInfo
from pinnace.component.http.message import Connection
from pinnace.component.identity import Identity
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.simulated import ANNOTATION_PREFIX, SimulatedRuntime
from pinnace.kubelet.static_pods import PodFolder
from pinnace.testing.cluster import Cluster, running_cluster

ADMIN = UserInfo("admin", groups=("system:masters",))


class World:
    """The cluster and its node's agent."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet, runtime: SimulatedRuntime) -> None:
        self.cluster, self.kubelet, self.runtime = cluster, kubelet, runtime

    async def pod(
        self,
        name: str,
        *command: str,
        restart: str = "Never",
        annotations: dict[str, str] | None = None,
        **spec: object,
    ) -> None:
        """Create a pod; annotations are the simulation's, without their prefix."""
        main = core_v1.Container(name="main", image="registry.example/app:1", command=command)
        told = {ANNOTATION_PREFIX + key: value for key, value in (annotations or {}).items()}
        await self.cluster.client.create(
            core_v1.Pod(
                metadata=meta_v1.ObjectMeta(name=name, namespace="default", annotations=told),
                spec=core_v1.PodSpec(**{"containers": (main,), "restart_policy": restart, **spec}),  # type: ignore[arg-type]
            )
        )

    async def get(self, name: str) -> core_v1.Pod:
        return await self.cluster.client.get(core_v1.Pod, name, "default")

    async def after(self, name: str, seconds: float) -> core_v1.Pod:
        """Return the pod as it is so many seconds later."""
        await self.cluster.clock.advance(seconds=seconds)
        return await self.get(name)

    async def told(self, name: str) -> list[tuple[str, str]]:
        """Return reason and message of all events about a pod."""
        events = (await self.cluster.client.list(core_v1.Event, "default")).items
        return [(event.reason, event.message) for event in events if event.involved_object.name == name]

    async def ask(self, path: str, *, user: UserInfo | None = ADMIN, token: str = "") -> tuple[int, bytes]:
        """Ask the node's port."""
        path, _, query = path.partition("?")
        headers = Headers([("Authorization", f"Bearer {token}")] if token else [])
        connection = Connection(None, None, True, None, user)
        answer = await self.kubelet.handle(Request("GET", path, query=query, headers=headers, connection=connection))
        assert isinstance(answer, Response)
        body = answer.body
        return answer.status, body if isinstance(body, bytes) else b"".join([part async for part in body])


@asynccontextmanager
async def running_world(
    static: Path | None = None,
    *,
    way: Callable[[Transport], Transport] = lambda transport: transport,
    **settings: Any,
) -> AsyncIterator[World]:
    """Run the cluster and its node, which has a folder of static pods where one is given, and calls the server by a way of its own."""
    async with running_cluster(nodes=0) as cluster:
        source = random.Random(1)
        user = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
        client = Client(way(InProcessTransport(cluster.handler, user)))
        async with SimulatedRuntime(cluster.clock, source) as runtime:
            config = KubeletConfig(node_name="n1", node_ip="192.0.2.1", relist_seconds=0, sync_seconds=0, **settings)
            kubelet = Kubelet(
                config,
                client,
                cluster.clock,
                Identity(source),
                runtime,
                host=runtime.host(client, "n1"),
                static=PodFolder(static, "n1", cluster.clock, complete) if static is not None else None,
            )
            task = asyncio.get_running_loop().create_task(kubelet.run())
            await cluster.clock.advance(seconds=12)
            try:
                yield World(cluster, kubelet, runtime)
            finally:
                task.cancel()
                await asyncio.wait([task])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as world:
        yield world
