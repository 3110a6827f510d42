"""Which node a pod gets, and what is said when it gets none."""

from __future__ import annotations

import random

import pytest

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.scheduler.cache import SchedulerCache
from pinnace.scheduler.framework import ClusterEvent
from pinnace.scheduler.plugins.default_binder import DefaultBinder
from pinnace.scheduler.registry import Profile, default_profile
from pinnace.scheduler.schedule_one import Placement, Unschedulable, schedule

NO_VICTIMS = "no new claims to deallocate, preemption: 0/{n} nodes are available: {parts}."


class NoClient:
    """Stands where a client is not called."""


@pytest.fixture
def profile() -> Profile:
    made = default_profile(NoClient())  # type: ignore[arg-type]
    assert isinstance(made.bind, DefaultBinder)
    return made


def node(name, *, cpu="4", memory="8Gi", pods="110", labels=None, taints=(), unschedulable=False):
    return core_v1.Node(
        metadata=ObjectMeta(name=name, labels=labels or {}),
        spec=core_v1.NodeSpec(taints=taints, unschedulable=unschedulable),
        status=core_v1.NodeStatus(allocatable={"cpu": cpu, "memory": memory, "pods": pods}),
    )


def pod(name="p", *, cpu="", memory="", node_name="", port=0, uid="", **spec):
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    ports = (core_v1.ContainerPort(container_port=port, host_port=port, protocol="TCP"),) if port else ()
    container = core_v1.Container(name="c", resources=core_v1.ResourceRequirements(requests=requests), ports=ports)
    return core_v1.Pod(
        metadata=ObjectMeta(name=name, namespace="default", uid=uid or name),
        spec=core_v1.PodSpec(containers=(container,), node_name=node_name, **spec),
    )


def cache_of(*nodes, pods=()):
    cache = SchedulerCache()
    for item in nodes:
        cache.nodes.set_node(item)
    for item in pods:
        cache.set_pod(item)
    return cache


def outcome(profile, cache, item):
    return schedule(profile, item, cache.nodes, random.Random(0))


def test_schedule_without_nodes_says_so(profile):
    """No node at all has a text of its own."""
    result = outcome(profile, cache_of(), pod())
    assert result == Unschedulable("no nodes available to schedule pods", frozenset({ClusterEvent.NODE_ADDED}))


def test_schedule_prefers_the_emptier_node(profile):
    """LeastAllocated: of two nodes that fit, the one with more left is chosen."""
    cache = cache_of(node("a"), node("b"), pods=[pod("x", cpu="2", node_name="a")])
    assert outcome(profile, cache, pod(cpu="1")) == Placement("b")


def test_schedule_counts_what_it_has_assumed(profile):
    """A pod that was just placed takes its node's room before anybody else knows of it."""
    cache = cache_of(node("a", cpu="1"))
    first = pod("first", cpu="1")
    assert outcome(profile, cache, first) == Placement("a")
    cache.assume(first, "a")
    assert isinstance(outcome(profile, cache, pod("second", cpu="1")), Unschedulable)
    cache.remove_pod("default/first")
    assert outcome(profile, cache, pod("second", cpu="1")) == Placement("a")


@pytest.mark.parametrize(
    ("nodes", "asked", "reason", "parts"),
    [
        pytest.param(
            [node("a", cpu="1")],
            pod(cpu="2"),
            "1 Insufficient cpu",
            "1 Preemption is not helpful for scheduling",
            id="cpu",
        ),
        pytest.param(
            [node("a", memory="1Gi")],
            pod(memory="2Gi"),
            "1 Insufficient memory",
            "1 Preemption is not helpful for scheduling",
            id="memory",
        ),
        pytest.param(
            [node("a", pods="0")], pod(), "1 Too many pods", "1 No preemption victims found for incoming pod", id="pods"
        ),
        pytest.param(
            [node("a", taints=(core_v1.Taint(key="k", value="v", effect="NoSchedule"),))],
            pod(),
            "1 node(s) had untolerated taint(s)",
            "1 Preemption is not helpful for scheduling",
            id="taint",
        ),
        pytest.param(
            [node("a", unschedulable=True)],
            pod(),
            "1 node(s) were unschedulable",
            "1 Preemption is not helpful for scheduling",
            id="cordoned",
        ),
        pytest.param(
            [node("a", labels={"disk": "hdd"})],
            pod(node_selector={"disk": "ssd"}),
            "1 node(s) didn't match Pod's node affinity/selector",
            "1 Preemption is not helpful for scheduling",
            id="selector",
        ),
    ],
)
def test_schedule_words_each_rejection(profile, nodes, asked, reason, parts):
    """The message has upstream's reason, histogram and preemption part."""
    result = outcome(profile, cache_of(*nodes), asked)
    expected = f"0/1 nodes are available: {reason}. " + NO_VICTIMS.format(n=1, parts=parts)
    assert isinstance(result, Unschedulable)
    assert result.message == expected


def test_schedule_sorts_the_histogram_as_text(profile):
    """Reasons stand in the order of their texts, counts included."""
    tainted = node("t", taints=(core_v1.Taint(key="k", effect="NoSchedule"),))
    cache = cache_of(
        tainted,
        node("a", cpu="1"),
        node("b", cpu="1"),
        pods=[pod("x", cpu="1", node_name="a"), pod("y", cpu="1", node_name="b")],
    )
    result = outcome(profile, cache, pod(cpu="1"))
    assert isinstance(result, Unschedulable)
    assert result.message.startswith(
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. "
    )
    assert result.message.endswith(
        "1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    )


def test_schedule_keeps_host_ports_apart(profile):
    """Two pods of a node cannot have one host port; a free node takes the second."""
    cache = cache_of(node("a"), node("b"), pods=[pod("x", port=8080, node_name="a")])
    assert outcome(profile, cache, pod(port=8080)) == Placement("b")
    cache.set_pod(pod("y", port=8080, node_name="b"))
    result = outcome(profile, cache, pod(port=8080))
    assert isinstance(result, Unschedulable)
    assert "2 node(s) didn't have free ports for the requested pod ports" in result.message
    cache.remove_pod("default/x")
    assert outcome(profile, cache, pod(port=8080)) == Placement("a")


def test_schedule_follows_required_affinity(profile):
    """Terms are ORed, their expressions ANDed."""
    requirement = core_v1.NodeSelectorRequirement(key="zone", operator="In", values=("b",))
    selector = core_v1.NodeSelector(node_selector_terms=(core_v1.NodeSelectorTerm(match_expressions=(requirement,)),))
    affinity = core_v1.Affinity(
        node_affinity=core_v1.NodeAffinity(required_during_scheduling_ignored_during_execution=selector)
    )
    cache = cache_of(node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}))
    assert outcome(profile, cache, pod(affinity=affinity)) == Placement("b")


def test_schedule_avoids_soft_taints(profile):
    """PreferNoSchedule costs points and rejects nothing."""
    soft = core_v1.Taint(key="k", effect="PreferNoSchedule")
    cache = cache_of(node("a", taints=(soft,)), node("b"))
    assert outcome(profile, cache, pod()) == Placement("b")
    cache.nodes.remove_node("b")
    assert outcome(profile, cache, pod()) == Placement("a")


def test_schedule_same_seed_same_node(profile):
    """Of equally good nodes the seeded source chooses, the same in every run."""
    cache = cache_of(*(node(f"n{number}") for number in range(20)))
    chosen = {schedule(profile, pod(), cache.nodes, random.Random(7)) for _ in range(5)}
    assert len(chosen) == 1


def test_node_table_grows_and_reuses_rows():
    """More nodes than rows grow the table; a removed node's row serves another."""
    cache = cache_of(*(node(f"n{number}") for number in range(200)))
    assert len(cache.nodes) == 200
    row = cache.nodes.row("n7")
    cache.nodes.remove_node("n7")
    cache.nodes.set_node(node("new"))
    assert cache.nodes.row("new") == row
    assert cache.nodes.row("n7") is None
