"""The service proxy beside a busy cluster: what it writes, and what it finds when strange hands were there."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from pinnace.api.core_v1 import Service, ServicePort, ServiceSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import InformerFactory
from pinnace.component.lifecycle import running
from pinnace.network.nftables import Nftables
from pinnace.network.proxy import NodeFacts, Proxier
from pinnace.testing import Cluster, running_cluster

TABLE = "pinnace-test"


class RecordingNftables(Nftables):
    """Tables as the scripts that made them."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], str] = {}

    async def apply(self, script: str) -> None:
        family, table = script.split(maxsplit=4)[2:4]
        self.tables[family, table] = script

    async def list_table(self, family: str, table: str) -> str:
        return self.tables.get((family, table), "")


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A cluster with nothing that changes by itself."""
    async with running_cluster(nodes=0) as found:
        yield found


def service(namespace: str) -> Service:
    spec = ServiceSpec(ports=(ServicePort(port=80),), selector={"app": "web"})
    return Service(metadata=ObjectMeta(name="web", namespace=namespace), spec=spec)


async def test_lost_table_comes_back_however_often_something_changes(cluster: Cluster, namespace: str) -> None:
    """A Service that is touched every second does not put off the look at the kernel's table."""
    made = await cluster.client.create(service(namespace))
    kernel = RecordingNftables()
    informers = InformerFactory(cluster.client, cluster.clock)
    proxier = Proxier(informers, cluster.clock, kernel, NodeFacts("n1", TABLE))
    async with running("informers", informers.run), running("proxy", proxier.run):
        await cluster.clock.advance(1)
        await proxier.wait_synced()
        assert ("ip", TABLE) in kernel.tables
        await cluster.clock.advance(20)
        kernel.tables.clear()
        for count in range(20):
            labels = {"count": str(count)}
            made = await cluster.client.update(replace(made, metadata=replace(made.metadata, labels=labels)))
            await cluster.clock.advance(1)
        assert ("ip", TABLE) in kernel.tables
