"""Runs a small cluster and prints every event of every kind in order; started by a test, twice, to compare."""

import asyncio
import json
import sys

from pinnace.api import apps_v1, core_v1, resources
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.client import InProcessTransport
from pinnace.component.http import UserInfo
from pinnace.testing import Cluster, running_cluster

ADMIN = UserInfo("admin", groups=("system:masters",))


def deployment(name: str, replicas: int) -> apps_v1.Deployment:
    labels = {"app": name}
    container = core_v1.Container(name="main", image="example.org/app:1", command=("sh", "-c", "echo on; sleep 30"))
    template = core_v1.PodTemplateSpec(
        metadata=ObjectMeta(labels=labels), spec=core_v1.PodSpec(containers=(container,))
    )
    spec = apps_v1.DeploymentSpec(replicas=replicas, selector=LabelSelector(match_labels=labels), template=template)
    return apps_v1.Deployment(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


async def follow(cluster: Cluster, path: str, log: list[str]) -> None:
    transport = InProcessTransport(cluster.handler, ADMIN)
    query = "watch=1&resourceVersion=0"
    answer = await transport.request("GET", path, query=query, headers={"Accept": "application/json"}, stream=True)
    assert answer.status == 200, answer.body
    assert not isinstance(answer.body, bytes)
    async for chunk in answer.body:
        text = [json.dumps(json.loads(line), sort_keys=True) for line in chunk.splitlines()]
        log += [f"{cluster.clock.monotonic():.6f} {line}" for line in text]


async def main(seed: int) -> None:
    log: list[str] = []
    async with running_cluster(seed=seed, nodes=3) as cluster, asyncio.TaskGroup() as group:
        paths = sorted({found.path() for found in resources.RESOURCES if "watch" in found.verbs})
        tasks = [group.create_task(follow(cluster, path, log)) for path in paths]
        await cluster.settle()
        for name in ("web", "shop", "mail"):
            await cluster.client.create(deployment(name, 5))
        await cluster.clock.advance(seconds=40)
        await cluster.client.patch(apps_v1.Deployment, "shop", {"spec": {"replicas": 1}}, namespace="default")
        await cluster.client.delete(core_v1.Node, "node-2")
        await cluster.clock.advance(minutes=6)
        for task in tasks:
            task.cancel()
    print("\n".join(log))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
