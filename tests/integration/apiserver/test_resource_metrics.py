"""`metrics.k8s.io`: what `kubectl top` asks for, of nodes and pods that say what they use."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pinnace.api.apiregistration_v1 import APIService
from pinnace.api.core_v1 import Container, Namespace, Pod, PodSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.component.http import UserInfo
from pinnace.machinery.errors import ApiError
from pinnace.testing import Cluster, running_cluster

METRICS = "/apis/metrics.k8s.io/v1beta1"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Two nodes and nothing on them."""
    async with running_cluster(nodes=2) as found:
        yield found


async def ask(cluster: Cluster, path: str, query: str = "") -> dict[str, Any]:
    """Read, while time goes on: two looks lie a moment apart."""
    answer = asyncio.create_task(cluster.client.raw("GET", METRICS + path, query=query))
    await cluster.clock.advance(1)
    found: dict[str, Any] = json.loads(await answer)
    return found


def used(usage: dict[str, str]) -> tuple[int, str]:
    """Thousandths of a processor, and memory; a rate is as exact as the two times that it lies between."""
    return round(int(usage["cpu"].removesuffix("n")) / 1_000_000), usage["memory"]


async def make_pod(cluster: Cluster, name: str, namespace: str = "default", **labels: str) -> None:
    spec = PodSpec(containers=(Container(name="main", image="busybox"), Container(name="beside", image="busybox")))
    uses = {"simulated.pinnace.dev/cpu-usage": "250m", "simulated.pinnace.dev/memory-usage": "64Mi"}
    metadata = ObjectMeta(name=name, namespace=namespace, labels=labels, annotations=uses)
    await cluster.client.create(Pod(metadata=metadata, spec=spec))
    await cluster.clock.advance(10)


async def test_group_stands_in_discovery_and_is_available(cluster: Cluster) -> None:
    """Clients find it as they find a metrics server: by its group, its resources and its APIService."""
    groups = json.loads(await cluster.client.raw("GET", "/apis"))["groups"]
    assert "metrics.k8s.io" in [group["name"] for group in groups]
    listed = json.loads(await cluster.client.raw("GET", METRICS))["resources"]
    assert [(one["name"], one["kind"], one["namespaced"], one["verbs"]) for one in listed] == [
        ("nodes", "NodeMetrics", False, ["get", "list"]),
        ("pods", "PodMetrics", True, ["get", "list"]),
    ]
    service = await cluster.client.get(APIService, "v1beta1.metrics.k8s.io")
    assert [(one.type, one.status) for one in service.status.conditions] == [("Available", "True")]


async def test_first_question_has_an_answer(cluster: Cluster) -> None:
    """Every node is there at once, with a window that tells between which looks the rate lies."""
    await make_pod(cluster, "one")
    found = await ask(cluster, "/nodes")
    assert (found["kind"], found["apiVersion"]) == ("NodeMetricsList", "metrics.k8s.io/v1beta1")
    assert [item["metadata"]["name"] for item in found["items"]] == ["node-1", "node-2"]
    assert {item["window"] for item in found["items"]} == {"0.25s"}
    assert sorted(used(item["usage"]) for item in found["items"]) == [(0, "0Ki"), (500, "131072Ki")]


async def test_pods_are_shown_by_container(cluster: Cluster) -> None:
    """Each running container with its own usage, selected by namespace, name, label and field."""
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="other")))
    await make_pod(cluster, "one", app="web")
    await make_pod(cluster, "two", namespace="other", app="db")
    everything = await ask(cluster, "/pods")
    assert sorted(item["metadata"]["name"] for item in everything["items"]) == ["one", "two"]
    one = await ask(cluster, "/namespaces/default/pods/one")
    assert (one["kind"], one["metadata"]["namespace"], one["metadata"]["labels"]) == (
        "PodMetrics",
        "default",
        {"app": "web"},
    )
    assert [container["name"] for container in one["containers"]] == ["main", "beside"]
    assert [used(container["usage"]) for container in one["containers"]] == [(250, "65536Ki")] * 2
    for query, names in (("labelSelector=app%3Ddb", ["two"]), ("fieldSelector=metadata.name%3Done", ["one"])):
        assert [item["metadata"]["name"] for item in (await ask(cluster, "/pods", query))["items"]] == names


async def test_pod_that_has_just_begun_has_its_usage(cluster: Cluster) -> None:
    """What was known of its node before is no excuse."""
    await make_pod(cluster, "one")
    await ask(cluster, "/pods")
    await make_pod(cluster, "two")
    found = await ask(cluster, "/pods")
    assert sorted(item["metadata"]["name"] for item in found["items"]) == ["one", "two"]


async def test_node_that_does_not_answer_is_left_out(cluster: Cluster) -> None:
    """The others are shown all the same."""
    await ask(cluster, "/nodes")
    await cluster.stop_node("node-2")
    await cluster.clock.advance(70)
    found = await ask(cluster, "/nodes")
    assert [item["metadata"]["name"] for item in found["items"]] == ["node-1"]


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        pytest.param("GET", "/nodes/none", 404, 'nodes.metrics.k8s.io "none" not found', id="no such node"),
        pytest.param(
            "GET",
            "/namespaces/default/pods/none",
            404,
            'pods.metrics.k8s.io "default/none" not found',
            id="no such pod",
        ),
        pytest.param("GET", "/services", 404, "the server could not find the requested resource", id="no such kind"),
        pytest.param("DELETE", "/nodes/node-1", 405, "the server does not allow this method", id="nothing to delete"),
        pytest.param("POST", "/nodes", 405, "the server does not allow this method", id="nothing to create"),
    ],
)
async def test_what_is_not_there_is_told_as_elsewhere(
    cluster: Cluster, method: str, path: str, code: int, message: str
) -> None:
    """A Status with upstream's words."""
    with pytest.raises(ApiError) as refused:
        await cluster.client.raw(method, METRICS + path)
    assert refused.value.code == code
    assert message in str(refused.value)


async def test_metrics_are_for_those_whom_a_role_lets(cluster: Cluster) -> None:
    """They are authorized like any other resource."""
    client = cluster.client_as(UserInfo("somebody", groups=("system:authenticated",)))
    with pytest.raises(ApiError) as refused:
        await client.raw("GET", f"{METRICS}/nodes")
    assert refused.value.code == 403
