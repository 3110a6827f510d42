"""One real cluster for the session: SQLite, containerd, CNI, and this machine as its node."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clusters import RunningCluster, running_cluster
from support.kubectl import Kubectl, program_of
from support.namespaces import fresh_namespace


def missing_for_real_pods() -> str:
    """What this machine lacks for real containers; empty when nothing."""
    if os.geteuid() != 0:
        return "real containers need root"
    lacking = [tool for tool in ("containerd", "runc", "iptables") if shutil.which(tool) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster as `pinnace up` makes it on this machine."""
    if reason := missing_for_real_pods():
        pytest.skip(reason)
    with running_cluster(folder=tmp_path_factory.mktemp("real")) as cluster:
        yield cluster


@pytest.fixture(params=["path", "1.20"])
def kubectl(request: pytest.FixtureRequest, real: RunningCluster) -> Iterator[Kubectl]:
    """Each kubectl in a namespace of the test's own."""
    real.insist_on_life()
    with fresh_namespace(program_of(request.param), real) as bound:
        yield bound


@pytest.fixture
def kubectl_now(real: RunningCluster) -> Iterator[Kubectl]:
    """The kubectl on PATH in a namespace of the test's own."""
    real.insist_on_life()
    with fresh_namespace(program_of("path"), real) as bound:
        yield bound


@pytest.fixture
def manifests() -> Path:
    """The lesson's manifests."""
    return Path(__file__).resolve().parents[2] / "examples/lesson"
