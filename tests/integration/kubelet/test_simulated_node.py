"""Pods on a simulated node, under a whole control plane and a clock that only the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pinnace.api import coordination_v1, core_v1
from pinnace.machinery.errors import NotFound

if TYPE_CHECKING:
    from .conftest import World


async def test_node_is_ready_and_stays_so(world: World) -> None:
    """The node gets its pod network, becomes Ready, and half an hour later is still Ready by its lease."""
    await world.cluster.clock.advance(minutes=30)
    node = await world.cluster.client.get(core_v1.Node, "n1")
    assert {item.type: item.status for item in node.status.conditions}["Ready"] == "True"
    assert node.status.node_info.container_runtime_version == "simulated://1.0"
    assert node.spec.pod_cidr


async def test_pod_runs_until_it_is_deleted(world: World) -> None:
    """A pod whose command nobody can judge gets an address, becomes Ready, and goes when it is deleted."""
    await world.pod("web")
    pod = await world.after("web", 1)
    assert pod.status.phase == "Running"
    assert pod.status.pod_ip.startswith("10.244.0.")
    assert pod.status.container_statuses[0].container_id.startswith("simulated://")
    assert {item.type: item.status for item in pod.status.conditions}["Ready"] == "True"
    await world.cluster.client.delete(core_v1.Pod, "web", "default")
    with pytest.raises(NotFound):
        await world.after("web", 1)
    assert world.kubelet.pods() == []


@pytest.mark.parametrize(
    ("command", "phase", "code"),
    [
        pytest.param(("true",), "Succeeded", 0, id="true"),
        pytest.param(("false",), "Failed", 1, id="false"),
        pytest.param(("sh", "-c", "echo on its way; exit 7"), "Failed", 7, id="shell"),
        pytest.param(("sleep", "5"), "Succeeded", 0, id="sleep"),
    ],
)
async def test_pod_ends_as_its_command_says(world: World, command: tuple[str, ...], phase: str, code: int) -> None:
    """Plain commands are taken at their word."""
    await world.pod("once", *command)
    pod = await world.after("once", 6)
    ended = pod.status.container_statuses[0].state.terminated
    assert ended is not None
    assert (pod.status.phase, ended.exit_code) == (phase, code)


async def test_pod_ends_when_its_annotations_say(world: World) -> None:
    """Annotations decide over the command: when it ends, how, and its last words."""
    await world.pod("job", annotations={"run-seconds": "90", "exit-code": "4", "message": "out of luck"})
    assert (await world.after("job", 89)).status.phase == "Running"
    pod = await world.after("job", 2)
    ended = pod.status.container_statuses[0].state.terminated
    assert pod.status.phase == "Failed"
    assert ended is not None
    assert (ended.exit_code, ended.message) == (4, "out of luck")


async def test_crashing_container_backs_off_and_doubles(world: World) -> None:
    """Restarts come at once, then after 10, 20, 40 seconds."""
    await world.pod("crash", "false", restart="Always")
    counts = []
    for seconds in (2, 10, 20, 40):
        pod = await world.after("crash", seconds)
        counts.append(pod.status.container_statuses[0].restart_count)
    assert counts == [1, 2, 3, 4]
    waiting = pod.status.container_statuses[0].state.waiting
    assert waiting is not None
    assert waiting.reason == "CrashLoopBackOff"


async def test_image_of_an_unreachable_registry_is_not_pulled(world: World) -> None:
    """A pull that fails shows as upstream shows it, and backs off."""
    main = core_v1.Container(name="main", image="registry.invalid/app:1")
    await world.pod("far", containers=(main,))
    pod = await world.after("far", 3)
    waiting = pod.status.container_statuses[0].state.waiting
    assert waiting is not None
    assert waiting.reason == "ImagePullBackOff"
    events = (await world.cluster.client.list(core_v1.Event, "default")).items
    told = {event.message for event in events if event.involved_object.name == "far"}
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff", 'Pulling image "registry.invalid/app:1"'} <= told


async def test_readiness_follows_the_annotation(world: World) -> None:
    """A probe over the network is answered from the moment the pod names."""
    probe = core_v1.Probe(http_get=core_v1.HTTPGetAction(path="/", port=80), period_seconds=1)
    main = core_v1.Container(name="main", image="app", readiness_probe=probe)
    await world.pod("slow", containers=(main,), annotations={"ready-after-seconds": "10"})
    assert not (await world.after("slow", 8)).status.container_statuses[0].ready
    assert (await world.after("slow", 4)).status.container_statuses[0].ready


async def test_log_holds_what_the_command_says(world: World) -> None:
    """Logs of a simulated container are what its command would have written."""
    await world.pod("talk", "sh", "-c", "echo one; echo two; sleep 1000")
    await world.after("talk", 1)
    assert await world.ask("/containerLogs/default/talk/main") == (200, b"one\ntwo\n")
    assert (await world.ask("/containerLogs/default/talk/main?tailLines=1"))[1] == b"two\n"


async def test_deleted_node_is_left_in_peace(world: World) -> None:
    """An agent whose Node is gone neither makes it anew nor keeps a lease for it."""
    await world.cluster.client.delete(core_v1.Node, "n1")
    await world.cluster.clock.advance(minutes=2)
    with pytest.raises(NotFound):
        await world.cluster.client.get(core_v1.Node, "n1")
    with pytest.raises(NotFound):
        await world.cluster.client.get(coordination_v1.Lease, "n1", "kube-node-lease")


async def test_pod_is_judged_by_the_nodes_present_labels(world: World) -> None:
    """A pod that asks for a label runs although the node got it a moment ago."""
    change = {"metadata": {"labels": {"disk": "ssd"}}}
    await world.cluster.client.patch(core_v1.Node, "n1", change)
    await world.pod("web", node_selector={"disk": "ssd"})
    assert (await world.after("web", 1)).status.phase == "Running"


async def test_lease_that_was_taken_away_comes_back(world: World) -> None:
    """A node whose lease is deleted or changed goes on renewing it."""
    await world.cluster.client.delete(coordination_v1.Lease, "n1", "kube-node-lease")
    await world.cluster.clock.advance(seconds=11)
    lease = await world.cluster.client.get(coordination_v1.Lease, "n1", "kube-node-lease")
    assert lease.spec.holder_identity == "n1"
    assert lease.metadata.owner_references[0].kind == "Node"
    change = {"metadata": {"labels": {"touched": "yes"}}}
    await world.cluster.client.patch(coordination_v1.Lease, "n1", change, namespace="kube-node-lease")
    await world.cluster.clock.advance(seconds=11)
    renewed = await world.cluster.client.get(coordination_v1.Lease, "n1", "kube-node-lease")
    assert renewed.spec.renew_time != lease.spec.renew_time
    assert (renewed.metadata.labels or {})["touched"] == "yes"
