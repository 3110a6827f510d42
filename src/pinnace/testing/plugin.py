"""The pytest plug-in: `cluster`, a control plane per test, and `namespace`, a namespace in it.

Both are asynchronous fixtures and need pytest-asyncio.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinnace.testing.cluster import Cluster

try:
    import pytest_asyncio
except ImportError:  # the fixtures are then not there, and nothing else is lost
    pass
else:

    @pytest_asyncio.fixture
    async def cluster() -> "AsyncIterator[Cluster]":
        """Give a running control plane of the test's own."""
        from pinnace.testing.cluster import running_cluster  # noqa: PLC0415 - only tests that want one pay for it

        async with running_cluster() as running:
            yield running

    @pytest_asyncio.fixture
    async def namespace(cluster: "Cluster") -> str:
        """Give a namespace with its default service account."""
        from pinnace.api.core_v1 import Namespace  # noqa: PLC0415
        from pinnace.api.meta_v1 import ObjectMeta  # noqa: PLC0415

        made = await cluster.client.create(Namespace(metadata=ObjectMeta(generate_name="test-")))
        await cluster.settle()
        return made.metadata.name
