"""What nodes take: a real one to join, a silent one to be given up, and an evicted pod to be replaced on another node."""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from report import Figure, median
from servers import Cluster, cluster, missing_for_containers

from pinnace.api.coordination_v1 import Lease
from pinnace.api.core_v1 import Node
from pinnace.machinery import timestamps
from pinnace.testing import running_cluster

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
# Seconds of virtual time between two looks at a silent node, and moments of its heartbeat's period at which it falls silent.
_LOOK_SECONDS, _SILENT_AT = 0.5, (0.0, 3.0, 7.0, 11.0)


def measure(rounds: int) -> list[Figure]:
    """Measure the silent node in virtual time, and the others in containers where there can be some."""
    figures = [_given_up()]
    if reason := missing_for_containers():
        print(f"joining and replacing: left out: {reason}")
        return figures
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder)) as made:
        made.pinnace("up", "--port", "0", "--runtime", "containerd")
        return [*figures, _joined(made, rounds), _replaced(made, rounds)]


def _given_up() -> Figure:
    async def silent_for(offset: float) -> float:
        async with running_cluster(nodes=2) as made:
            await made.clock.advance(seconds=offset)
            await made.stop_node("node-1")
            lease = await made.client.get(Lease, "node-1", "kube-node-lease")
            renewed = timestamps.parse(lease.spec.renew_time or "")
            while any(
                item.type == "Ready" and item.status == "True"
                for item in (await made.client.get(Node, "node-1")).status.conditions
            ):
                await made.clock.advance(seconds=_LOOK_SECONDS)
            return made.clock.time() - renewed

    times = [asyncio.run(silent_for(offset)) for offset in _SILENT_AT]
    note = f"virtual time; from {min(times):.1f} s on"
    return Figure("node not Ready after its last renewal, at most", max(times), "s", 55.0, note=note)


def _joined(made: Cluster, rounds: int) -> Figure:
    times = []
    for number in range(rounds):
        begun = time.perf_counter()
        made.pinnace("node add", f"joined{number}")
        times.append(time.perf_counter() - begun)
    return Figure("pinnace node add to Ready", median(times), "s", 3.0, note=f"{rounds} nodes, one after another")


def _replaced(made: Cluster, rounds: int) -> Figure:
    labels = {"app": "moving"}
    container = {"name": "c", "image": "ikubernetes/demoapp:v1.0"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    made.call(DEPLOYMENTS, "POST", {"metadata": {"name": "moving"}, "spec": spec})
    times = []
    with _events(made) as events:
        pod = _next(events, lambda pod: pod["status"].get("phase") == "Running")
        for _ in range(rounds):
            node = pod["spec"]["nodeName"]
            _taint(made, node, [{"key": "bench", "effect": "NoExecute"}])
            leaving = pod["metadata"]["uid"]
            _next(
                events,
                lambda pod, uid=leaving: pod["metadata"]["uid"] == uid and "deletionTimestamp" in pod["metadata"],
            )
            begun = time.perf_counter()
            pod = _next(
                events,
                lambda pod, uid=leaving: pod["metadata"]["uid"] != uid and pod["status"].get("phase") == "Running",
            )
            times.append(time.perf_counter() - begun)
            _taint(made, node, [])
    note = f"median of {rounds}; at most {max(times):.2f} s"
    return Figure("evicted pod to its replacement Running", median(times), "s", 2.0, note=note)


def _taint(made: Cluster, node: str, taints: list[dict[str, str]]) -> None:
    patch = {"spec": {"taints": taints}}
    made.call(f"/api/v1/nodes/{node}", "PATCH", patch, content_type="application/merge-patch+json")


@contextmanager
def _events(made: Cluster) -> Iterator[Iterator[dict[str, Any]]]:
    with made.opened(f"{PODS}?watch=1") as lines:
        yield (json.loads(line)["object"] for line in lines)


def _next(pods: Iterator[dict[str, Any]], wanted: Any) -> dict[str, Any]:
    return next(pod for pod in pods if wanted(pod))
