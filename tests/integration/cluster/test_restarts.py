"""A whole server in this process, one of whose parts fails."""

import asyncio
from pathlib import Path
from typing import Any, Never

import pytest

from pinnace import VERSION
from pinnace.api.core_v1 import Container, Pod, PodSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, HttpTransport
from pinnace.cluster.allinone import cluster
from pinnace.cluster.config import ClusterConfig, RuntimeKind, StoreKind
from pinnace.cluster.paths import ClusterPaths
from pinnace.component import lifecycle
from pinnace.component.clock import RealClock
from pinnace.component.identity import system_identity
from pinnace.component.kubeconfig import access
from pinnace.kubelet import Kubelet
from pinnace.scheduler import Scheduler


class Bug:
    """Breaks the first life of a part when it is told to."""

    def __init__(self, part: Any) -> None:
        self.lives = 0
        self.met = asyncio.Event()
        self.anew = asyncio.Event()
        self._run = part.run

    async def run(self, part: object) -> Never:
        self.lives += 1
        if self.lives > 1:
            self.anew.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run(part))
            if self.lives == 1:
                await self.met.wait()
                raise RuntimeError("a bug")
        raise AssertionError("a part ends by cancellation")


@pytest.mark.parametrize("part", [Scheduler, Kubelet], ids=["scheduler", "kubelet"])
async def test_part_that_fails_is_started_anew_and_the_server_goes_on(
    part: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in one part ends neither the API nor the other parts: afterwards a pod is scheduled and runs."""
    bug = Bug(part)

    async def run(self: object) -> Never:
        await bug.run(self)

    monkeypatch.setattr(part, "run", run)
    monkeypatch.setattr(lifecycle, "RESTART_SECONDS", 0.01)
    config = ClusterConfig(
        "restarts", tmp_path, port=0, address="127.0.0.1", store=StoreKind.MEMORY, runtime=RuntimeKind.SIMULATED
    )
    async with cluster(config, RealClock(), system_identity(), VERSION), asyncio.timeout(60):
        transport = HttpTransport.to(access(ClusterPaths(tmp_path).admin_kubeconfig))
        client = Client(transport)
        bug.met.set()
        await bug.anew.wait()
        spec = PodSpec(containers=(Container(name="c", image="busybox"),))
        made = await client.create(Pod(metadata=ObjectMeta(name="later", namespace="default"), spec=spec))
        while made.status.phase != "Running":
            made = await client.get(Pod, "later", "default")
        await transport.close()
    assert bug.lives == 2
