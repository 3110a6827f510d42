"""The Python clients that people use, on real pods: the official one, kr8s and lightkube. Their streams are in `test_python_streams.py`."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from support.clusters import RunningCluster
from support.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # the clients' own deprecations are not ours to mend
IMAGE = "ikubernetes/demoapp:v1.0"


def pod_manifest(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": IMAGE}]},
    }


@pytest.fixture
def kubeconfig(real: RunningCluster) -> Path:
    return real.kubeconfig


@pytest.fixture
def name() -> str:
    return "pod-" + uuid.uuid4().hex[:6]


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
            spec=PodSpec(containers=[Container(name="main", image=IMAGE)]),
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
