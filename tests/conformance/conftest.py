"""A running cluster, and the kubectl programs that must work against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clusters import RunningCluster, running_cluster
from support.kubectl import Kubectl, program_of
from support.namespaces import fresh_namespace


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One control plane for the session, in memory, without a node."""
    folder = tmp_path_factory.mktemp("simulated")
    with running_cluster("--store", "memory", "--runtime", "none", folder=folder) as cluster:
        yield cluster


@pytest.fixture(params=["path", "1.20"])
def kubectl(request: pytest.FixtureRequest, simulated: RunningCluster) -> Iterator[Kubectl]:
    """Each kubectl in a namespace of the test's own."""
    with fresh_namespace(program_of(request.param), simulated) as bound:
        yield bound


@pytest.fixture
def kubectl_now(simulated: RunningCluster) -> Iterator[Kubectl]:
    """The kubectl on PATH in a namespace of the test's own."""
    with fresh_namespace(program_of("path"), simulated) as bound:
        yield bound


@pytest.fixture
def kubectl_old(simulated: RunningCluster) -> Iterator[Kubectl]:
    """kubectl 1.20 in a namespace of the test's own."""
    with fresh_namespace(program_of("1.20"), simulated) as bound:
        yield bound


@pytest.fixture
def manifests() -> Path:
    """The lesson's manifests."""
    return Path(__file__).resolve().parents[2] / "examples/lesson"
