"""Pods that look at other pods, in a cluster: they are spread, wait for room apart from each other, and get it when something changes."""

from __future__ import annotations

from collections import Counter

import pytest

from pinnace.api import core_v1
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.testing.cluster import Cluster, running_cluster

HOST = "kubernetes.io/hostname"
SELECTOR = LabelSelector(match_labels={"app": "web"})
APART = core_v1.Affinity(
    pod_anti_affinity=core_v1.PodAntiAffinity(
        required_during_scheduling_ignored_during_execution=(
            core_v1.PodAffinityTerm(topology_key=HOST, label_selector=SELECTOR),
        )
    )
)
SPREAD = core_v1.TopologySpreadConstraint(
    max_skew=1, topology_key=HOST, when_unsatisfiable="DoNotSchedule", label_selector=SELECTOR
)


async def create(cluster: Cluster, name: str, **spec: object) -> None:
    container = core_v1.Container(name="main", image="app:1")
    await cluster.client.create(
        core_v1.Pod(
            metadata=ObjectMeta(name=name, namespace="default", labels={"app": "web"}),
            spec=core_v1.PodSpec(containers=(container,), **spec),  # type: ignore[arg-type]
        )
    )
    await cluster.clock.advance(seconds=1)


async def nodes_of_pods(cluster: Cluster) -> dict[str, str]:
    pods = (await cluster.client.list(core_v1.Pod, "default")).items
    return {pod.metadata.name: pod.spec.node_name for pod in pods}


async def test_pods_are_dealt_out_to_all_nodes() -> None:
    """Nine pods on three nodes are three on each."""
    async with running_cluster(nodes=3) as cluster:
        for number in range(9):
            await create(cluster, f"p{number}", topology_spread_constraints=(SPREAD,))
        assert sorted(Counter((await nodes_of_pods(cluster)).values()).values()) == [3, 3, 3]


@pytest.mark.parametrize("change", ["pod-deleted", "pod-relabelled", "node-added"])
async def test_pod_that_finds_no_room_gets_it_when_something_changes(change: str) -> None:
    """The third of pods that keep apart waits on two nodes, says why, and goes on as soon as there is a node without another."""
    async with running_cluster(nodes=2) as cluster:
        for name in ("a", "b", "c"):
            await create(cluster, name, affinity=APART)
        placed = await nodes_of_pods(cluster)
        assert placed["c"] == ""
        assert len({placed["a"], placed["b"]}) == 2
        waiting = await cluster.client.get(core_v1.Pod, "c", "default")
        (said,) = [item for item in waiting.status.conditions if item.type == "PodScheduled"]
        assert said.message.startswith("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. ")
        wanted = placed["a"]
        if change == "pod-deleted":
            await cluster.client.delete(core_v1.Pod, "a", "default", grace_period_seconds=0)
        elif change == "pod-relabelled":
            # Its own terms go on to mean pods of the old label.
            await cluster.client.patch(core_v1.Pod, "b", {"metadata": {"labels": {"app": "db"}}}, namespace="default")
            await cluster.clock.advance(seconds=30)
            assert (await nodes_of_pods(cluster))["c"] == ""
            await cluster.client.delete(core_v1.Pod, "a", "default", grace_period_seconds=0)
        else:
            wanted = "another"
            await cluster.add_node(wanted)
        await cluster.clock.advance(seconds=30)
        assert (await nodes_of_pods(cluster))["c"] == wanted
