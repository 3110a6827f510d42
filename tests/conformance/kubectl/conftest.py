"""The cluster of kubectl's sessions: as the others', and with a simulated node, so that pods run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.clusters import RunningCluster, running_cluster


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One control plane for the session, in memory, with one simulated node."""
    folder = tmp_path_factory.mktemp("sessions")
    with running_cluster("--store", "memory", "--runtime", "simulated", folder=folder) as cluster:
        yield cluster
