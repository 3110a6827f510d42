"""Controllers are looked at alone: pods get the nodes and the statuses that a test gives them."""

from collections.abc import AsyncIterator

import pytest

from pinnace.testing import Cluster, running_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A cluster without nodes."""
    async with running_cluster(nodes=0) as running:
        yield running
