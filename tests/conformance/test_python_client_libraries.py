"""The helpers of the Python clients, beyond plain calls: dynamic clients, caches, pages, files, owners, scale, elections."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.clusters import RunningCluster
from support.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # the clients' own deprecations are not ours to mend


@pytest.fixture
def kubeconfig(simulated: RunningCluster) -> Path:
    return simulated.kubeconfig


@pytest.fixture
def name() -> str:
    return "thing-" + uuid.uuid4().hex[:6]


@pytest.fixture
def api(kubeconfig: Path) -> Any:
    """The official client's transport."""
    from kubernetes import config

    return config.new_client_from_config(str(kubeconfig))


def manifests(name: str) -> str:
    """A map and a deployment that starts nothing."""
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}
data: {{a: "1"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: "example.org/app:1"}}]}}
"""


@contextlib.contextmanager
def config_map(api: Any, name: str) -> Iterator[Any]:
    """A map of the test's own, and the client that made it."""
    from kubernetes import client

    core = client.CoreV1Api(api)
    core.create_namespaced_config_map("default", {"metadata": {"name": name, "labels": {"app": name}}, "data": {}})
    yield core
    with contextlib.suppress(client.ApiException):
        core.delete_namespaced_config_map(name, "default")


def test_official_dynamic_client_finds_and_watches(api: Any, name: str) -> None:
    """A kind is found by version and name; its objects are made, watched, patched and deleted without generated types."""
    from kubernetes import dynamic

    maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    maps.create(body={"metadata": {"name": name}}, namespace="default")
    seen = []
    for event in maps.watch(namespace="default", name=name, timeout=20):
        seen.append(event["type"])
        if event["type"] == "ADDED":
            patch = {"data": {"a": "b"}}
            maps.patch(body=patch, name=name, namespace="default", content_type="application/merge-patch+json")
        elif event["type"] == "MODIFIED":
            maps.delete(name=name, namespace="default")
        else:
            break
    assert seen == ["ADDED", "MODIFIED", "DELETED"]
    with pytest.raises(dynamic.exceptions.NotFoundError):
        maps.get(name=name, namespace="default")


def test_official_client_creates_from_documents(api: Any, name: str) -> None:
    """`utils.create_from_yaml` makes each document; what is there already is an error that says so."""
    from kubernetes import client, utils

    documents = list(yaml.safe_load_all(manifests(name)))
    assert len(utils.create_from_yaml(api, yaml_objects=documents)) == 2
    with pytest.raises(utils.FailToCreateError) as failed:
        utils.create_from_yaml(api, yaml_objects=documents)
    assert f'configmaps \\"{name}\\" already exists' in str(failed.value)
    apps = client.AppsV1Api(api)
    assert apps.patch_namespaced_deployment_scale(name, "default", {"spec": {"replicas": 2}}).spec.replicas == 2
    assert apps.read_namespaced_deployment_scale(name, "default").spec.replicas == 2
    apps.delete_namespaced_deployment(name, "default", propagation_policy="Foreground")
    client.CoreV1Api(api).delete_namespaced_config_map(name, "default")


def test_official_client_sends_the_patch_that_it_is_given(api: Any, name: str) -> None:
    """A list is a JSON patch, a map a strategic one; an old version of an object is a conflict."""
    from kubernetes import client

    with config_map(api, name) as core:
        core.patch_namespaced_config_map(
            name, "default", [{"op": "add", "path": "/data", "value": {"a": "1", "b": "2"}}]
        )
        core.patch_namespaced_config_map(name, "default", {"data": {"a": None}})
        found = core.read_namespaced_config_map(name, "default")
        assert found.data == {"b": "2"}
        found.data = {"c": "3"}
        core.replace_namespaced_config_map(name, "default", found)
        with pytest.raises(client.ApiException) as conflict:
            core.replace_namespaced_config_map(name, "default", found)
        assert conflict.value.status == 409


def test_official_client_pages_and_resumes(api: Any, name: str) -> None:
    """A list comes in pages; a watch goes on from where a list, or another watch, ended."""
    from kubernetes import client, watch

    core = client.CoreV1Api(api)
    chosen = {"label_selector": f"app={name}"}
    for index in range(3):
        metadata = {"name": f"{name}-{index}", "labels": {"app": name}}
        core.create_namespaced_config_map("default", {"metadata": metadata})
    first = core.list_namespaced_config_map("default", limit=2, **chosen)
    assert (len(first.items), first.metadata.remaining_item_count) == (2, None)
    rest = core.list_namespaced_config_map("default", limit=2, _continue=first.metadata._continue, **chosen)
    assert ([one.metadata.name for one in rest.items], rest.metadata._continue) == ([f"{name}-2"], None)
    core.delete_collection_namespaced_config_map("default", **chosen)
    version = rest.metadata.resource_version
    watching = watch.Watch()
    events = watching.stream(
        core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=20, **chosen
    )
    assert [next(events)["type"] for _ in range(3)] == ["DELETED"] * 3
    watching.stop()


def test_official_informer_keeps_a_cache(api: Any, name: str) -> None:
    """`SharedInformer` lists, watches and tells its handlers."""
    from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

    seen: list[str] = []
    with config_map(api, name) as core:
        informer = SharedInformer(core.list_namespaced_config_map, namespace="default", label_selector=f"app={name}")
        for event in (ADDED, MODIFIED, DELETED):
            informer.add_event_handler(event, lambda _, event=event: seen.append(event))
        informer.start()
        try:
            eventually(lambda: list(seen), lambda events: events == [ADDED])
            core.patch_namespaced_config_map(name, "default", {"data": {"a": "b"}})
            eventually(lambda: list(seen), lambda events: events == [ADDED, MODIFIED])
            core.delete_namespaced_config_map(name, "default")
            eventually(lambda: list(seen), lambda events: events == [ADDED, MODIFIED, DELETED])
        finally:
            informer.stop()


def test_official_election_has_one_leader(kubeconfig: Path, name: str) -> None:
    """`kubernetes.leaderelection` takes the Lease that nobody holds, and steps down when somebody else does."""
    from kubernetes import client, config
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

    config.load_kube_config(str(kubeconfig))
    leads, over = threading.Event(), threading.Event()
    candidate = electionconfig.Config(
        LeaseLock(name, "default", "candidate"),
        lease_duration=15,
        renew_deadline=2,
        retry_period=1,
        onstarted_leading=leads.set,
        onstopped_leading=over.set,
    )
    running = threading.Thread(target=leaderelection.LeaderElection(candidate).run)
    running.start()
    assert leads.wait(20)
    leases = client.CoordinationV1Api()
    assert leases.read_namespaced_lease(name, "default").spec.holder_identity == "candidate"
    # A renewal that was under way is a conflict, and the next one finds the other's name.
    leases.patch_namespaced_lease(name, "default", {"spec": {"holderIdentity": "other"}})
    assert over.wait(30)
    running.join(10)
    assert leases.read_namespaced_lease(name, "default").spec.holder_identity == "other"


def test_kr8s_writes_metadata_and_owners(kubeconfig: Path, name: str) -> None:
    """label, annotate, remove_label, set_owner and a JSON patch; errors carry the server's words."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap, Deployment

    async def scenario() -> None:
        api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
        one, two = yaml.safe_load_all(manifests(name))
        made, owner = await ConfigMap(one, api=api), await Deployment(two, api=api)
        await made.create()
        await owner.create()
        await made.label(kept="yes", gone="soon")
        await made.remove_label("gone")
        await made.annotate(note="mine")
        await made.patch([{"op": "replace", "path": "/data/a", "value": "2"}], type="json")
        await made.set_owner(owner)
        await made.refresh()
        assert (made.labels["kept"], "gone" in made.labels, made.annotations["note"]) == ("yes", False, "mine")
        assert (made.data.a, made.metadata.ownerReferences[0]["kind"]) == ("2", "Deployment")
        await owner.scale(3)
        assert owner.replicas == 3
        with pytest.raises(kr8s.ServerError) as refused:
            await made.create()
        assert "already exists" in str(refused.value)
        await owner.delete(propagation_policy="Background")
        await made.wait("delete", timeout=30)
        with pytest.raises(kr8s.NotFoundError):
            await ConfigMap.get(name, namespace="default", api=api)

    asyncio.run(scenario())


def test_kr8s_asks_about_the_cluster(kubeconfig: Path) -> None:
    """Who one is, which version it is, what is served, and objects by their fields, without asyncio."""
    import kr8s

    api = kr8s.api(kubeconfig=str(kubeconfig))
    assert api.whoami() == "kubernetes-admin"
    assert api.version()["gitVersion"].startswith("v1.36.")
    assert "deployments" in {one["name"] for one in api.api_resources()}
    found = list(api.get("services", namespace="default", field_selector={"metadata.name": "kubernetes"}))
    assert [one.name for one in found] == ["kubernetes"]


def test_lightkube_applies_a_file_and_patches(kubeconfig: Path, name: str) -> None:
    """Documents are applied in order, changed by each type of patch, scaled, and replaced unless they are old."""
    from lightkube import ApiError, Client, KubeConfig, codecs
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap
    from lightkube.types import PatchType

    client = Client(config=KubeConfig.from_file(str(kubeconfig)), namespace="default", field_manager="test")
    for document in codecs.load_all_yaml(manifests(name)):
        client.apply(document)
    client.patch(Deployment.Scale, name, {"spec": {"replicas": 2}})
    assert client.get(Deployment.Scale, name).spec.replicas == 2
    client.patch(ConfigMap, name, [{"op": "add", "path": "/data/z", "value": "1"}], patch_type=PatchType.JSON)
    client.patch(ConfigMap, name, {"data": {"a": None}}, patch_type=PatchType.MERGE)
    found = client.get(ConfigMap, name)
    assert found.data == {"z": "1"}
    found.data = {"q": "r"}
    client.replace(found)
    with pytest.raises(ApiError) as conflict:
        client.replace(found)
    assert conflict.value.status.code == 409
    assert len(list(client.list(ConfigMap, labels={"app": name}, chunk_size=1))) == 1
    client.delete(Deployment, name)
    client.delete(ConfigMap, name)


def test_lightkube_watches_without_threads(kubeconfig: Path, name: str) -> None:
    """`AsyncClient` creates, watches and deletes."""
    from lightkube import AsyncClient, KubeConfig
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap

    async def scenario() -> list[str]:
        client = AsyncClient(config=KubeConfig.from_file(str(kubeconfig)), namespace="default")
        await client.create(ConfigMap(metadata=ObjectMeta(name=name, labels={"app": name})))
        seen = []
        async for event, _ in client.watch(ConfigMap, labels={"app": name}, server_timeout=20):
            seen.append(event)
            if event == "ADDED":
                await client.delete(ConfigMap, name)
            else:
                break
        await client.close()
        return seen

    assert asyncio.run(scenario()) == ["ADDED", "DELETED"]
