"""Pods of a node's own files, and what the API server shows of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.kubelet.conftest import World, running_world
from pinnace.api import core_v1
from pinnace.machinery.errors import NotFound

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: main, image: registry.example/app:IMAGE}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.yaml").write_text(WEB.replace("IMAGE", "1"))
    return tmp_path


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    async with running_world(static=folder) as world:
        yield world


async def test_static_pod_runs_and_has_a_mirror(world: World) -> None:
    """The mirror is named after the node, belongs to it, and has the status of the pod that runs."""
    mirror = await world.get("web-n1")
    meta, node = mirror.metadata, await world.cluster.client.get(core_v1.Node, "n1")
    hashed = meta.annotations["kubernetes.io/config.hash"]
    assert meta.annotations["kubernetes.io/config.mirror"] == hashed
    assert meta.annotations["kubernetes.io/config.source"] == "file"
    assert [(owner.kind, owner.uid, owner.controller) for owner in meta.owner_references] == [
        ("Node", node.metadata.uid, True)
    ]
    assert meta.labels == {"app": "web"}
    assert mirror.spec.node_name == "n1"
    assert core_v1.Toleration(operator="Exists", effect="NoExecute") in mirror.spec.tolerations
    assert (mirror.status.phase, mirror.status.qos_class) == ("Running", "BestEffort")
    assert mirror.status.container_statuses[0].ready
    assert [pod.metadata.uid for pod in world.kubelet.pods()] == [hashed]


async def test_deleted_mirror_comes_back_and_its_pod_runs_on(world: World) -> None:
    """Whoever deletes a mirror pod gets another one of the same containers."""
    before = await world.get("web-n1")
    await world.cluster.client.delete(core_v1.Pod, "web-n1", "default")
    after = await world.after("web-n1", 2)
    assert after.metadata.uid != before.metadata.uid
    assert after.status.phase == "Running"
    assert after.status.container_statuses[0].container_id == before.status.container_statuses[0].container_id


async def test_removed_file_ends_pod_and_mirror(world: World, folder: Path) -> None:
    """A pod goes with its file, and its mirror with it, when the containers have had their grace."""
    (folder / "web.yaml").unlink()
    await world.cluster.clock.advance(seconds=35)
    assert world.kubelet.pods() == []
    with pytest.raises(NotFound):
        await world.get("web-n1")


async def test_changed_file_replaces_pod_once_the_old_one_has_ended(world: World, folder: Path) -> None:
    """Two pods of one name never run at once; the mirror follows."""
    before = await world.get("web-n1")
    (folder / "web.yaml").write_text(WEB.replace("IMAGE", "22"))
    await world.cluster.clock.advance(seconds=1.5)
    assert len(world.kubelet.pods()) == 1
    after = await world.after("web-n1", 40)
    assert (
        after.metadata.annotations["kubernetes.io/config.hash"]
        != before.metadata.annotations["kubernetes.io/config.hash"]
    )
    assert (after.status.phase, after.spec.containers[0].image) == ("Running", "registry.example/app:22")
    assert len(world.kubelet.pods()) == 1


async def test_file_that_comes_back_at_once_begins_its_pod_again(world: World, folder: Path) -> None:
    """A pod that was ending when its file came back ends, and then begins anew."""
    text = (folder / "web.yaml").read_text()
    (folder / "web.yaml").unlink()
    await world.cluster.clock.advance(seconds=1.5)
    (folder / "web.yaml").write_text(text)
    after = await world.after("web-n1", 40)
    assert after.status.phase == "Running"
    assert len(world.kubelet.pods()) == 1


async def test_pod_of_the_api_cannot_pass_for_a_static_one(world: World) -> None:
    """The annotation that tells where a pod comes from counts only when the node has written it."""
    await world.pod("pretender")
    patch = {"metadata": {"annotations": {"kubernetes.io/config.source": "file"}}}
    await world.cluster.client.patch(core_v1.Pod, "pretender", patch, namespace="default")
    await world.cluster.clock.advance(seconds=5)
    seen = next((each for each in world.kubelet.pods() if each.metadata.name == "pretender"), None)
    assert seen is not None
    assert "kubernetes.io/config.source" not in seen.metadata.annotations
