"""The pytest plug-in: a cluster per test, and a namespace in it, for asynchronous and for plain tests.

    asynchronous (with pytest-asyncio)   cluster, namespace, kubeconfig
    plain                                sync_cluster, sync_namespace, sync_kubeconfig

`@pytest.mark.cluster(seed=1, nodes=3)` says what kind of cluster a test gets. Nothing is imported before a test asks for one.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pinnace.api.core_v1 import Namespace
    from pinnace.testing.blocking import SyncCluster
    from pinnace.testing.cluster import Cluster


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "cluster(seed=0, nodes=1): what kind of cluster the test gets from Pinnace")


@pytest.fixture
def sync_cluster(request: pytest.FixtureRequest) -> "Iterator[SyncCluster]":
    """Give a running cluster of the test's own to a plain test."""
    from pinnace.testing.blocking import running_sync_cluster  # noqa: PLC0415 - only tests that want one pay for it

    with running_sync_cluster(**_wanted(request)) as running:
        yield running


@pytest.fixture
def sync_namespace(sync_cluster: "SyncCluster") -> str:
    """Give a namespace with its default service account."""
    made = sync_cluster.client.create(_namespace())
    sync_cluster.settle()
    return made.metadata.name


@pytest.fixture
def sync_kubeconfig(sync_cluster: "SyncCluster") -> "Iterator[Path]":
    """Let programs outside the test reach the cluster, whose time then goes on by itself; give the kubeconfig."""
    with sync_cluster.listening() as path:
        yield path


try:
    import pytest_asyncio
except ImportError:  # the fixtures are then not there, and nothing else is lost
    pass
else:

    @pytest_asyncio.fixture
    async def cluster(request: pytest.FixtureRequest) -> "AsyncIterator[Cluster]":
        """Give a running cluster of the test's own."""
        from pinnace.testing.cluster import running_cluster  # noqa: PLC0415 - only tests that want one pay for it

        async with running_cluster(**_wanted(request)) as running:
            yield running

    @pytest_asyncio.fixture
    async def namespace(cluster: "Cluster") -> str:
        """Give a namespace with its default service account."""
        made = await cluster.client.create(_namespace())
        await cluster.settle()
        return made.metadata.name

    @pytest_asyncio.fixture
    async def kubeconfig(cluster: "Cluster") -> "AsyncIterator[Path]":
        """Let programs outside the test reach the cluster, whose time then goes on by itself; give the kubeconfig."""
        async with cluster.listening() as path:
            yield path


def _wanted(request: pytest.FixtureRequest) -> dict[str, Any]:
    mark = request.node.get_closest_marker("cluster")
    return dict(mark.kwargs) if mark is not None else {}


def _namespace() -> "Namespace":
    from pinnace.api.core_v1 import Namespace  # noqa: PLC0415
    from pinnace.api.meta_v1 import ObjectMeta  # noqa: PLC0415

    return Namespace(metadata=ObjectMeta(generate_name="test-"))
