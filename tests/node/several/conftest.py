"""One cluster of three real nodes for all tests of several."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.clusters import RunningCluster, running_cluster
from support.kubectl import Kubectl
from support.namespaces import fresh_namespace
from support.several_nodes import traces

# A pod of each node in the cluster's network and one in the node's own, and a Service before the first kind.
EVERYWHERE = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "ikubernetes/demoapp:v1.0"}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: host}
spec:
  selector: {matchLabels: {app: host}}
  template:
    metadata: {labels: {app: host}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "ikubernetes/demoapp:v1.0", env: [{name: PORT, value: "18097"}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, type: NodePort, ports: [{port: 80}]}
"""


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster of three nodes; what it leaves behind fails the last test."""
    with running_cluster("--nodes", "3", folder=tmp_path_factory.mktemp("n")) as cluster:
        data_dir = cluster.data_dir
        yield cluster
    assert traces(data_dir) == {}


@pytest.fixture
def kubectl(several: RunningCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    with fresh_namespace(several.kubectl().program, several) as bound:
        yield bound


@pytest.fixture(scope="session")
def everywhere(several: RunningCluster) -> Iterator[Kubectl]:
    """A namespace with a pod of each kind on every node."""
    with fresh_namespace(several.kubectl().program, several) as bound:
        bound("create", "-f", "-", stdin=EVERYWHERE)
        for name in ("web", "host"):
            bound("rollout", "status", f"daemonset/{name}", "--timeout=60s")
        yield bound
