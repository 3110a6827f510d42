"""The Python clients that people use, unchanged: the official one, kr8s and lightkube."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.clusters import RunningCluster
from support.waiting import eventually

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


@pytest.mark.needs_node
def test_official_client_runs_the_life_of_a_pod(kubeconfig: Path, name: str) -> None:
    """create, list, watch, patch, logs, exec and delete through `kubernetes`."""
    from kubernetes import client, config, watch
    from kubernetes.stream import stream

    api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
    api.create_namespaced_pod("default", pod_manifest(name))
    events = []
    for event in watch.Watch().stream(
        api.list_namespaced_pod, "default", label_selector=f"app={name}", timeout_seconds=30
    ):
        events.append(event["type"])
        if event["object"].status.phase == "Running":
            break
    assert events[0] == "ADDED"
    patched = api.patch_namespaced_pod(name, "default", {"metadata": {"labels": {"seen": "yes"}}})
    assert patched.metadata.labels["seen"] == "yes"
    assert [pod.metadata.name for pod in api.list_namespaced_pod("default", label_selector="seen=yes").items] == [name]
    assert isinstance(api.read_namespaced_pod_log(name, "default"), str)
    answer = stream(
        api.connect_get_namespaced_pod_exec,
        name,
        "default",
        command=["echo", "hello"],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
    )
    assert "hello" in answer
    api.delete_namespaced_pod(name, "default", grace_period_seconds=0)
    with pytest.raises(client.ApiException) as gone:
        api.read_namespaced_pod(name, "default")
    assert gone.value.status == 404


@pytest.mark.needs_node
def test_kr8s_runs_the_life_of_a_pod(kubeconfig: Path, name: str) -> None:
    """create, list, watch, patch, exec, logs and delete through `kr8s`."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import Pod

    async def scenario() -> None:
        api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
        pod = await Pod(pod_manifest(name), api=api)
        await pod.create()
        async with asyncio.timeout(30):
            async for _, seen in api.watch("pods", namespace="default", label_selector={"app": name}):
                if seen.status.phase == "Running":
                    break
            await pod.wait("condition=Ready")
        await pod.patch({"metadata": {"labels": {"seen": "kr8s"}}})
        listed = [item.name async for item in api.get("pods", namespace="default", label_selector="seen=kr8s")]
        assert listed == [name]
        done = await pod.exec(["echo", "hello"])
        assert done.returncode == 0
        assert b"hello" in done.stdout
        assert isinstance([line async for line in pod.logs()], list)
        await pod.delete()

    asyncio.run(scenario())


@pytest.mark.needs_node
def test_lightkube_runs_the_life_of_a_pod(kubeconfig: Path, name: str) -> None:
    """create, list, watch, patch, logs and delete through `lightkube`."""
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.models.core_v1 import Container, PodSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Pod

    client = Client(config=KubeConfig.from_file(str(kubeconfig)), namespace="default")
    client.create(
        Pod(
            metadata=ObjectMeta(name=name, labels={"app": name}),
            spec=PodSpec(containers=[Container(name="main", image="example.org/app:1")]),
        )
    )
    for _, pod in client.watch(Pod, labels={"app": name}, server_timeout=30):
        if pod.status is not None and pod.status.phase == "Running":
            break
    client.patch(Pod, name, {"metadata": {"labels": {"seen": "lightkube"}}})
    assert [pod.metadata.name for pod in client.list(Pod, labels={"seen": "lightkube"}) if pod.metadata] == [name]
    assert isinstance(list(client.log(name)), list)
    client.delete(Pod, name, grace_period=0)

    def lookup() -> int:
        try:
            client.get(Pod, name)
        except ApiError as error:
            return int(error.status.code or 0)
        return 200

    eventually(lookup, lambda code: code == 404)


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
