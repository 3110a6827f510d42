"""A running cluster, and the kubectl programs that must work against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clusters import RunningCluster, running_cluster
from support.kubectl import Kubectl, installed, kubectl_1_20
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
    with fresh_namespace(_program(request.param), simulated) as bound:
        yield bound


@pytest.fixture
def kubectl_now(simulated: RunningCluster) -> Iterator[Kubectl]:
    """The kubectl on PATH in a namespace of the test's own."""
    with fresh_namespace(_program("path"), simulated) as bound:
        yield bound


@pytest.fixture
def manifests() -> Path:
    """The lesson's manifests."""
    return Path(__file__).resolve().parents[2] / "examples/lesson"


def _program(version: str) -> str:
    program, reason = (installed(), "no kubectl on PATH") if version == "path" else kubectl_1_20()
    if program is None:
        pytest.skip(reason)
    return program
