"""What the node's port tells of its settings and of what containers use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pinnace.api import core_v1

if TYPE_CHECKING:
    from tests.integration.kubelet.conftest import World


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "KubeletConfiguration"),
        ("apiVersion", "kubelet.config.k8s.io/v1beta1"),
        ("maxPods", 110),
        ("port", 10250),
        ("nodeStatusUpdateFrequency", "10s"),
        ("nodeStatusReportFrequency", "5m0s"),
        ("nodeLeaseDurationSeconds", 40),
        ("imageMinimumGCAge", "2m0s"),
        ("containerLogMaxSize", "10Mi"),
        ("evictionPressureTransitionPeriod", "5m0s"),
        ("authentication", {"webhook": {"enabled": True, "cacheTTL": "2m0s"}, "anonymous": {"enabled": False}}),
        (
            "evictionHard",
            {
                "memory.available": "100Mi",
                "nodefs.available": "10%",
                "nodefs.inodesFree": "5%",
                "imagefs.available": "15%",
                "imagefs.inodesFree": "5%",
            },
        ),
    ],
)
async def test_settings_are_told_in_upstreams_words(world: World, name: str, value: object) -> None:
    """Clients find the settings where a kubelet has them, with the values that this agent goes by."""
    status, body = await world.ask("/configz")
    assert status == 200
    assert json.loads(body)["kubeletconfig"][name] == value


async def test_dashboards_find_containers_and_pods(world: World) -> None:
    """Each container has a row with its image, and each pod one without; the numbers are the runtime's."""
    await world.pod("busy", annotations={"cpu-usage": "500m", "memory-usage": "20Mi"})
    pod = await world.after("busy", 9)
    status, body = await world.ask("/metrics/cadvisor")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    of_container, of_pod = families["container_memory_working_set_bytes"].samples
    run_id = pod.status.container_statuses[0].container_id.partition("://")[2]
    group = f"/kubepods/besteffort/pod{pod.metadata.uid}"
    assert of_container.labels == {
        "container": "main",
        "id": f"{group}/{run_id}",
        "image": pod.status.container_statuses[0].image,
        "name": run_id,
        "namespace": "default",
        "pod": "busy",
    }
    assert (of_pod.labels["container"], of_pod.labels["image"], of_pod.labels["id"]) == ("", "", group)
    assert of_container.value == of_pod.value == 20 << 20
    cpu = families["container_cpu_usage_seconds"].samples[0]
    assert cpu.labels["cpu"] == "total"
    assert cpu.value == pytest.approx(4.5, abs=0.5)
    assert families["machine_cpu_cores"].samples[0].value == 8


async def test_probes_are_counted_by_result(world: World) -> None:
    """What a probe was answered is counted for its container, and forgotten with its pod."""
    probe = core_v1.Probe(http_get=core_v1.HTTPGetAction(path="/", port=80), period_seconds=1)
    main = core_v1.Container(name="main", image="app", readiness_probe=probe)
    await world.pod("slow", containers=(main,), annotations={"ready-after-seconds": "10"})
    await world.after("slow", 20)
    text = (await world.ask("/metrics/probes"))[1].decode()
    (family,) = text_string_to_metric_families(text)
    counts = {sample.labels["result"]: sample.value for sample in family.samples}
    assert {(sample.labels["pod"], sample.labels["probe_type"]) for sample in family.samples} == {("slow", "Readiness")}
    assert counts == {"failed": pytest.approx(10, abs=2), "successful": pytest.approx(10, abs=2)}
    await world.cluster.client.delete(core_v1.Pod, "slow", "default")
    await world.cluster.clock.advance(seconds=40)
    assert await world.ask("/metrics/probes") == (200, b"")
