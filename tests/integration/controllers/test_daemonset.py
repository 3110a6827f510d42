"""DaemonSets: a pod on every node that should have one, and templates that change node by node."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Raw

from integration.controllers.workloads import add_node, events, listed, pod, pods, run_all, set_pod, template
from pinnace.api.apps_v1 import (
    ControllerRevision,
    DaemonSet,
    DaemonSetSpec,
    DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
)
from pinnace.api.core_v1 import Node, Pod
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.testing import Cluster

HASH = "controller-revision-hash"
LABELS = {"app": "agent"}


def daemon_set(namespace: str, *, image: str = "example.org/agent:1", pod_spec: Any = None, **spec: Any) -> DaemonSet:
    made = DaemonSetSpec(**{
        "selector": LabelSelector(match_labels=LABELS),
        "template": template(LABELS, image, **(pod_spec or {})),
        **spec,
    })
    return DaemonSet(metadata=ObjectMeta(name="agent", namespace=namespace), spec=made)


async def get(cluster: Cluster, namespace: str) -> DaemonSet:
    await cluster.settle()
    return await cluster.client.get(DaemonSet, "agent", namespace)


async def add_nodes(cluster: Cluster, *names: str) -> None:
    for name in names:
        await add_node(cluster, name)


async def taint(cluster: Cluster, name: str, *effects: str) -> None:
    taints = [{"key": "example.org/t", "effect": effect} for effect in effects]
    await cluster.client.patch(Node, name, {"spec": {"taints": taints}})
    await cluster.settle()


async def set_image(cluster: Cluster, namespace: str, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    await cluster.client.patch(DaemonSet, "agent", patch, namespace=namespace)
    await cluster.settle()


async def revisions(cluster: Cluster, namespace: str) -> dict[int, str]:
    """Return the hashes of the revisions by their numbers."""
    found = await listed(cluster, ControllerRevision, namespace)
    return {item.revision: item.metadata.labels[HASH] for item in found}


def images(found: list[Pod]) -> dict[str, str]:
    return {item.spec.node_name: item.spec.containers[0].image for item in found}


async def test_every_node_gets_a_pod(cluster: Cluster, namespace: str) -> None:
    """Nodes that are there, and those that come, each get one; the status counts them."""
    await add_nodes(cluster, "one", "two")
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    await add_node(cluster, "three")
    await run_all(cluster, namespace)
    assert sorted(item.spec.node_name for item in await pods(cluster, namespace)) == ["one", "three", "two"]
    status = (await get(cluster, namespace)).status
    counts = (status.desired_number_scheduled, status.current_number_scheduled, status.number_misscheduled)
    assert counts == (3, 3, 0)
    served = (status.number_ready, status.number_available, status.number_unavailable, status.updated_number_scheduled)
    assert served == (3, 3, 0, 3)
    assert status.observed_generation == 1


async def test_pod_is_aimed_at_its_node(cluster: Cluster, namespace: str) -> None:
    """The scheduler binds it; passing troubles of the node do not keep it away, and it says which template it is of."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace, pod_spec={"host_network": True}))
    (made,) = await pods(cluster, namespace)
    affinity = made.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    (term,) = affinity.node_selector_terms
    assert [(item.key, item.operator, item.values) for item in term.match_fields] == [("metadata.name", "In", ("one",))]
    tolerated = {(item.key.removeprefix("node.kubernetes.io/"), item.effect) for item in made.spec.tolerations}
    assert tolerated == {
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("network-unavailable", "NoSchedule"),
    }
    (number,) = await revisions(cluster, namespace)
    assert number == 1
    assert made.metadata.labels == {
        **LABELS,
        HASH: (await revisions(cluster, namespace))[1],
        "pod-template-generation": "1",
    }


@pytest.mark.parametrize(
    ("pod_spec", "expected"),
    [
        pytest.param({"node_selector": {"disk": "ssd"}}, ["fast"], id="selector"),
        pytest.param({"node_name": "slow"}, ["slow"], id="name"),
        pytest.param({}, ["fast", "slow"], id="any"),
    ],
)
async def test_nodes_are_chosen_by_the_template(
    cluster: Cluster, namespace: str, pod_spec: Mapping[str, Any], expected: list[str]
) -> None:
    """Only nodes that the template's own terms allow get a pod."""
    await add_node(cluster, "fast", labels={"disk": "ssd"})
    await add_node(cluster, "slow", labels={"disk": "hdd"})
    await cluster.client.create(daemon_set(namespace, pod_spec=pod_spec))
    assert sorted(item.spec.node_name for item in await pods(cluster, namespace)) == expected


async def test_relabelled_node_gains_and_loses_its_pod(cluster: Cluster, namespace: str) -> None:
    """A node that no longer fits is left, one that comes to fit is joined."""
    await add_node(cluster, "one", labels={"disk": "ssd"})
    await add_node(cluster, "two")
    await cluster.client.create(daemon_set(namespace, pod_spec={"node_selector": {"disk": "ssd"}}))
    await run_all(cluster, namespace)
    await cluster.client.patch(Node, "one", {"metadata": {"labels": {"disk": None}}})
    await cluster.client.patch(Node, "two", {"metadata": {"labels": {"disk": "ssd"}}})
    await run_all(cluster, namespace)
    assert [item.spec.node_name for item in await pods(cluster, namespace)] == ["two"]


@pytest.mark.parametrize(
    ("effect", "stays", "misscheduled"),
    [
        pytest.param("NoSchedule", True, 1, id="NoSchedule"),
        pytest.param("PreferNoSchedule", True, 0, id="PreferNoSchedule"),
        pytest.param("NoExecute", False, 0, id="NoExecute"),
    ],
)
async def test_tainted_node_keeps_its_pod_or_not(
    cluster: Cluster, namespace: str, effect: str, stays: bool, misscheduled: int
) -> None:
    """A taint against scheduling leaves a pod that is there, and makes it one too many; one against running takes it."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    await taint(cluster, "one", effect)
    await run_all(cluster, namespace)
    assert bool(await pods(cluster, namespace)) is stays
    assert (await get(cluster, namespace)).status.number_misscheduled == misscheduled


async def test_failed_pod_is_replaced_ever_more_slowly(cluster: Cluster, namespace: str) -> None:
    """The first is replaced at once, the next one second later; each is told of."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace))
    (first,) = await pods(cluster, namespace)
    await set_pod(cluster, first, phase="Failed")
    await run_all(cluster, namespace)
    (second,) = await pods(cluster, namespace)
    assert second.metadata.uid != first.metadata.uid
    await set_pod(cluster, second, phase="Failed")
    await run_all(cluster, namespace)
    assert [item.metadata.uid for item in await pods(cluster, namespace)] == [second.metadata.uid]
    await cluster.clock.advance(seconds=2)
    await run_all(cluster, namespace)
    (third,) = await pods(cluster, namespace)
    assert third.metadata.uid != second.metadata.uid
    told = await events(cluster, namespace, "FailedDaemonPod")
    assert sorted(told) == sorted(
        f"Found failed daemon pod {namespace}/{item.metadata.name} on node one, will try to kill it"
        for item in (first, second)
    )


async def test_succeeded_pod_is_replaced(cluster: Cluster, namespace: str) -> None:
    """Daemons do not end; one that did is made anew."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace))
    (first,) = await pods(cluster, namespace)
    await set_pod(cluster, first, phase="Succeeded")
    await run_all(cluster, namespace)
    (second,) = await pods(cluster, namespace)
    assert second.metadata.uid != first.metadata.uid
    assert await events(cluster, namespace, "SucceededDaemonPod") == [
        f"Found succeeded daemon pod {namespace}/{first.metadata.name} on node one, will try to delete it"
    ]


async def test_orphan_on_a_node_is_adopted(cluster: Cluster, namespace: str) -> None:
    """A pod that fits is taken instead of making one; of two on a node the older stays."""
    await add_node(cluster, "one")
    await cluster.client.create(pod("lone", namespace, LABELS, node_name="one"))
    await cluster.settle()
    await cluster.client.create(daemon_set(namespace, update_strategy=DaemonSetUpdateStrategy(type="OnDelete")))
    (found,) = await pods(cluster, namespace)
    assert (found.metadata.name, found.metadata.owner_references[0].kind) == ("lone", "DaemonSet")
    await cluster.clock.advance(seconds=5)
    await cluster.client.create(pod("late", namespace, LABELS, node_name="one"))
    await run_all(cluster, namespace)
    assert [item.metadata.name for item in await pods(cluster, namespace)] == ["lone"]


async def test_pods_for_a_node_that_is_gone_are_deleted(cluster: Cluster, namespace: str) -> None:
    """A pod that waits for a node which went away would wait for ever."""
    await add_node(cluster, "one", cpu="0")
    await cluster.client.create(daemon_set(namespace))
    (waiting,) = await pods(cluster, namespace)
    assert waiting.spec.node_name in {"", "one"}
    await cluster.client.delete(Node, "one")
    await run_all(cluster, namespace)
    await cluster.clock.advance(minutes=2)
    assert await pods(cluster, namespace) == []


async def test_update_goes_node_by_node(cluster: Cluster, namespace: str) -> None:
    """With one node at a time, the next old pod goes when the new one serves."""
    await add_nodes(cluster, "one", "two", "three")
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/agent:2")
    unserved = []
    for _ in range(12):
        found = await pods(cluster, namespace)
        serving = [
            item for item in found if item.metadata.deletion_timestamp is None and item.status.phase == "Running"
        ]
        unserved.append(3 - len(serving))
        for item in found:
            if item.metadata.deletion_timestamp is not None:
                await cluster.client.delete(Pod, item.metadata.name, namespace, grace_period_seconds=0)
            elif item.status.phase == "Pending":
                await set_pod(cluster, item)
    assert max(unserved) == 1
    assert set(images(await pods(cluster, namespace)).values()) == {"example.org/agent:2"}
    assert sorted(await revisions(cluster, namespace)) == [1, 2]
    assert (await get(cluster, namespace)).status.updated_number_scheduled == 3


async def test_update_replaces_what_does_not_serve_at_once(cluster: Cluster, namespace: str) -> None:
    """Old pods that are not ready cost nothing, and go whatever the limit."""
    await add_nodes(cluster, "one", "two", "three")
    await cluster.client.create(daemon_set(namespace))
    await cluster.settle()
    for item in await pods(cluster, namespace):
        await set_pod(cluster, item, ready=False)
    await set_image(cluster, namespace, "example.org/agent:2")
    left = [item for item in await pods(cluster, namespace) if item.metadata.deletion_timestamp is None]
    assert {item.spec.containers[0].image for item in left} <= {"example.org/agent:2"}


async def test_update_on_delete_waits_for_deletion(cluster: Cluster, namespace: str) -> None:
    """Old pods stay until somebody deletes them, and what comes after them is new."""
    await add_nodes(cluster, "one", "two")
    await cluster.client.create(daemon_set(namespace, update_strategy=DaemonSetUpdateStrategy(type="OnDelete")))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/agent:2")
    await run_all(cluster, namespace)
    found = await pods(cluster, namespace)
    assert set(images(found).values()) == {"example.org/agent:1"}
    await cluster.client.delete(Pod, found[0].metadata.name, namespace)
    await run_all(cluster, namespace)
    assert sorted(images(await pods(cluster, namespace)).values()) == ["example.org/agent:1", "example.org/agent:2"]


async def test_surging_update_keeps_every_node_served(cluster: Cluster, namespace: str) -> None:
    """A new pod comes beside the old one, which goes when the new one serves."""
    await add_nodes(cluster, "one", "two")
    rolling = RollingUpdateDaemonSet(max_surge=1, max_unavailable=0)
    strategy = DaemonSetUpdateStrategy(type="RollingUpdate", rolling_update=rolling)
    await cluster.client.create(daemon_set(namespace, update_strategy=strategy))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/agent:2")
    assert len(await pods(cluster, namespace)) == 3
    for _ in range(8):
        found = await pods(cluster, namespace)
        served = {item.spec.node_name for item in found if item.status.phase == "Running"}
        assert served == {"one", "two"}
        for item in found:
            if item.metadata.deletion_timestamp is not None:
                await cluster.client.delete(Pod, item.metadata.name, namespace, grace_period_seconds=0)
            elif item.status.phase == "Pending":
                await set_pod(cluster, item)
    assert images(await pods(cluster, namespace)) == {"one": "example.org/agent:2", "two": "example.org/agent:2"}


async def test_former_template_takes_its_revision_again(cluster: Cluster, namespace: str) -> None:
    """Going back makes no new revision: the old one gets the highest number."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    first = (await revisions(cluster, namespace))[1]
    await set_image(cluster, namespace, "example.org/agent:2")
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/agent:1")
    await run_all(cluster, namespace)
    found = await revisions(cluster, namespace)
    assert (sorted(found), found[3]) == ([2, 3], first)


async def test_history_is_trimmed(cluster: Cluster, namespace: str) -> None:
    """No more former revisions stay than the set asks for."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace, revision_history_limit=1))
    for version in range(2, 6):
        await run_all(cluster, namespace)
        await set_image(cluster, namespace, f"example.org/agent:{version}")
    await run_all(cluster, namespace)
    assert sorted(await revisions(cluster, namespace)) == [4, 5]


async def test_hash_collision_is_counted(cluster: Cluster, namespace: str) -> None:
    """A revision of another template under the same name makes the set take another hash."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    (taken,) = await listed(cluster, ControllerRevision, namespace)
    await cluster.client.delete(DaemonSet, "agent", namespace, propagation_policy="Background")
    await cluster.clock.advance(seconds=5)
    await run_all(cluster, namespace)
    meta = ObjectMeta(name=taken.metadata.name, namespace=namespace)
    await cluster.client.create(ControllerRevision(metadata=meta, revision=1, data=Raw(b'{"other":true}')))
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    assert (await get(cluster, namespace)).status.collision_count == 1
    (made,) = await pods(cluster, namespace)
    assert made.metadata.labels[HASH] != taken.metadata.labels[HASH]


async def test_min_ready_seconds_delay_availability(cluster: Cluster, namespace: str) -> None:
    """A ready pod counts as available later, without another event."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace, min_ready_seconds=30))
    await run_all(cluster, namespace)
    status = (await get(cluster, namespace)).status
    assert (status.number_ready, status.number_available) == (1, 0)
    await cluster.clock.advance(seconds=31)
    assert (await get(cluster, namespace)).status.number_available == 1


async def test_deleted_set_takes_its_pods_and_revisions(cluster: Cluster, namespace: str) -> None:
    """What a set made goes with it."""
    await add_node(cluster, "one")
    await cluster.client.create(daemon_set(namespace))
    await run_all(cluster, namespace)
    await cluster.client.delete(DaemonSet, "agent", namespace, propagation_policy="Background")
    await cluster.clock.advance(seconds=5)
    await run_all(cluster, namespace)
    assert await pods(cluster, namespace) == []
    assert await revisions(cluster, namespace) == {}
