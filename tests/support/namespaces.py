"""A namespace per test, so that tests share a cluster and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from support.clusters import RunningCluster
from support.kubectl import Kubectl
from support.waiting import eventually


@contextmanager
def fresh_namespace(program: str, cluster: RunningCluster) -> Iterator[Kubectl]:
    """A kubectl whose default namespace is new, has its default service account, and is deleted afterwards."""
    name = "test-" + uuid.uuid4().hex[:8]
    admin = cluster.kubectl(program)
    admin("create", "namespace", name)
    bound = admin.within(name)
    eventually(lambda: bound("get", "serviceaccount", "default", "-o", "name"))
    try:
        yield bound
    finally:
        admin.run("delete", "namespace", name, "--wait=false")
