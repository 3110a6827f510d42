"""The Python clients that people use, unchanged: the official one, kr8s and lightkube."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.clusters import RunningCluster

pytestmark = pytest.mark.filterwarnings("ignore")  # the clients' own deprecations are not ours to mend


def pod_manifest(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "example.org/app:1", "command": ["sleep", "1000"]}]},
    }


@pytest.fixture
def kubeconfig(simulated: RunningCluster) -> Iterator[Path]:
    return simulated.kubeconfig


@pytest.fixture
def name() -> str:
    return "pod-" + uuid.uuid4().hex[:6]


def test_official_client_works_on_objects(kubeconfig: Path, name: str) -> None:
    """create, watch, patch, list and delete of a ConfigMap through `kubernetes`."""
    from kubernetes import client, config, watch

    api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
    api.create_namespaced_config_map(
        "default", {"metadata": {"name": name, "labels": {"app": name}}, "data": {"a": "1"}}
    )
    stream = watch.Watch().stream(
        api.list_namespaced_config_map, "default", label_selector=f"app={name}", timeout_seconds=20
    )
    assert next(stream)["type"] == "ADDED"
    api.patch_namespaced_config_map(name, "default", {"data": {"b": "2"}})
    assert next(stream)["object"].data == {"a": "1", "b": "2"}
    assert [
        item.metadata.name for item in api.list_namespaced_config_map("default", label_selector=f"app={name}").items
    ] == [name]
    api.delete_namespaced_config_map(name, "default")
    assert next(stream)["type"] == "DELETED"
    with pytest.raises(client.ApiException) as gone:
        api.read_namespaced_config_map(name, "default")
    assert gone.value.status == 404


def test_kr8s_works_on_objects(kubeconfig: Path, name: str) -> None:
    """create, patch, list and delete of a ConfigMap through `kr8s`."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap

    async def scenario() -> None:
        api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
        made = await ConfigMap({"metadata": {"name": name, "namespace": "default"}, "data": {"a": "1"}}, api=api)
        await made.create()
        await made.patch({"metadata": {"labels": {"seen": name}}})
        listed = [item.name async for item in api.get("configmaps", namespace="default", label_selector=f"seen={name}")]
        assert listed == [name]
        await made.delete()
        assert not await made.exists()

    asyncio.run(scenario())


def test_lightkube_works_on_objects(kubeconfig: Path, name: str) -> None:
    """create, watch, patch, list and delete of a ConfigMap through `lightkube`."""
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap

    client = Client(config=KubeConfig.from_file(str(kubeconfig)), namespace="default")
    client.create(ConfigMap(metadata=ObjectMeta(name=name, labels={"app": name}), data={"a": "1"}))
    kind, seen = next(iter(client.watch(ConfigMap, labels={"app": name}, server_timeout=20)))
    assert (kind, seen.data) == ("ADDED", {"a": "1"})
    client.patch(ConfigMap, name, {"data": {"a": "2"}})
    assert [item.data for item in client.list(ConfigMap, labels={"app": name})] == [{"a": "2"}]
    client.delete(ConfigMap, name)
    with pytest.raises(ApiError):
        client.get(ConfigMap, name)


def test_official_client_applies(kubeconfig: Path, name: str) -> None:
    """Server-side apply by the typed and by the dynamic client of `kubernetes`; a conflict names the other manager."""
    from kubernetes import client, config, dynamic

    api = config.new_client_from_config(str(kubeconfig))
    core, anything = client.CoreV1Api(api), dynamic.DynamicClient(api)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}
    core.patch_namespaced_config_map(
        name, "default", body, field_manager="one", _content_type="application/apply-patch+yaml"
    )
    maps = anything.resources.get(api_version="v1", kind="ConfigMap")
    made = maps.server_side_apply(body={**body, "data": {"b": "2"}}, namespace="default", field_manager="two")
    assert made.data.to_dict() == {"a": "1", "b": "2"}
    with pytest.raises(dynamic.exceptions.ConflictError) as conflict:
        maps.server_side_apply(body={**body, "data": {"a": "3"}}, namespace="default", field_manager="two")
    assert 'conflict with \\"one\\"' in str(conflict.value)
    forced = maps.server_side_apply(
        body={**body, "data": {"a": "3"}}, namespace="default", field_manager="two", force_conflicts=True
    )
    assert forced.data.to_dict() == {"a": "3"}
    core.delete_namespaced_config_map(name, "default")


def test_kr8s_watches(kubeconfig: Path, name: str) -> None:
    """A watch of `kr8s` sees what another object of it creates, labels and deletes."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap

    async def scenario() -> list[str]:
        api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
        made = await ConfigMap({"metadata": {"name": name, "namespace": "default", "labels": {"app": name}}}, api=api)
        await made.create()
        seen: list[str] = []
        async with asyncio.timeout(30):
            async for event, _ in api.watch("configmaps", namespace="default", label_selector={"app": name}):
                seen.append(event)
                if event == "ADDED":
                    await made.label(seen="yes")
                if event == "MODIFIED":
                    await made.delete()
                if event == "DELETED":
                    break
        return seen

    assert asyncio.run(scenario()) == ["ADDED", "MODIFIED", "DELETED"]


def test_lightkube_applies(kubeconfig: Path, name: str) -> None:
    """Server-side apply through `lightkube`, with a conflict and by force."""
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap

    client = Client(config=KubeConfig.from_file(str(kubeconfig)), namespace="default", field_manager="one")
    wanted = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name=name), data={"a": "1"})
    client.apply(wanted)
    other = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name=name), data={"a": "2"})
    with pytest.raises(ApiError) as conflict:
        client.apply(other, field_manager="two")
    assert conflict.value.status.reason == "Conflict"
    assert client.apply(other, field_manager="two", force=True).data == {"a": "2"}
    client.delete(ConfigMap, name)
