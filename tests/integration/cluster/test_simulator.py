"""Nodes that ask to be simulated: made, stopped, started, removed and made again, under a clock that only the test moves."""

import pytest
from msgspec.structs import replace

from integration.controllers.workloads import condition, pod
from pinnace.api import coordination_v1, core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.cluster import simulated_fleet as fleet
from pinnace.cluster.node_template import template
from pinnace.cluster.simulated_node import SIMULATED_LABEL, STOPPED_ANNOTATION
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


async def node(cluster: Cluster, name: str) -> core_v1.Node:
    await cluster.settle()
    return await cluster.client.get(core_v1.Node, name)


async def lease(cluster: Cluster, name: str) -> str:
    found = await cluster.client.get(coordination_v1.Lease, name, "kube-node-lease")
    return found.spec.renew_time or ""


@pytest.mark.cluster(nodes=0)
async def test_node_that_asks_is_simulated(cluster: Cluster) -> None:
    """A Node with the label becomes Ready with what its object says it has, and with a range from the simulated ones."""
    await fleet.add_nodes(cluster.client, template(b"", "zone=a", "cpu=3,memory=5Gi,pods=7"), 2, "sim")
    await cluster.wait_ready(["sim-1", "sim-2"])
    found = await node(cluster, "sim-1")
    assert condition(found, "Ready")[:2] == ("True", "KubeletReady")
    assert (found.status.capacity["cpu"], found.status.capacity["memory"], found.status.capacity["pods"]) == (
        "3",
        "5Gi",
        "7",
    )
    assert found.metadata.labels["zone"] == "a"
    assert found.spec.pod_cidr.startswith("100.64.")
    assert found.spec.pod_cidr != (await node(cluster, "sim-2")).spec.pod_cidr
    addresses = {(await node(cluster, name)).status.addresses[0].address for name in ("sim-1", "sim-2")}
    assert addresses == {"192.0.2.1", "192.0.2.2"}


async def test_stopped_node_is_silent_and_comes_back(cluster: Cluster, namespace: str) -> None:
    """A stopped node renews nothing and becomes NotReady; started again it is Ready, with its range, address and pods."""
    await cluster.client.create(pod("one", namespace))
    await cluster.clock.advance(seconds=5)
    before = await node(cluster, "node-1")
    running = await cluster.client.get(core_v1.Pod, "one", namespace)
    assert running.status.phase == "Running"
    await cluster.stop_node("node-1")
    renewed = await lease(cluster, "node-1")
    await cluster.clock.advance(seconds=60)
    assert condition(await node(cluster, "node-1"), "Ready")[:2] == ("Unknown", "NodeStatusUnknown")
    assert await lease(cluster, "node-1") == renewed
    await cluster.start_node("node-1")
    await cluster.wait_ready(["node-1"])
    after = await node(cluster, "node-1")
    assert (after.spec.pod_cidr, after.status.addresses) == (before.spec.pod_cidr, before.status.addresses)
    again = await cluster.client.get(core_v1.Pod, "one", namespace)
    assert condition(again, "Ready")[0] == "True"
    assert again.status.container_statuses[0].restart_count == 0
    assert again.status.container_statuses[0].container_id == running.status.container_statuses[0].container_id


async def test_removed_node_is_forgotten(cluster: Cluster) -> None:
    """With its object the agent ends: nothing renews the lease, which goes too, and the name is free for another node."""
    first = await node(cluster, "node-1")
    await cluster.remove_node("node-1")
    await cluster.clock.advance(seconds=30)
    with pytest.raises(NotFound):
        await node(cluster, "node-1")
    with pytest.raises(NotFound):
        await lease(cluster, "node-1")
    await cluster.add_node("node-1", cpu="2")
    second = await node(cluster, "node-1")
    assert second.metadata.uid != first.metadata.uid
    assert second.status.capacity["cpu"] == "2"


async def test_name_reused_at_once_has_one_agent(cluster: Cluster) -> None:
    """A node deleted and made again in one breath is Ready under its new identity, with one lease that is its own."""
    await cluster.client.delete(core_v1.Node, "node-1")
    await cluster.add_node("node-1")
    found = await node(cluster, "node-1")
    await cluster.clock.advance(minutes=2)
    owned = await cluster.client.get(coordination_v1.Lease, "node-1", "kube-node-lease")
    assert [owner.uid for owner in owned.metadata.owner_references] == [found.metadata.uid]
    assert condition(await node(cluster, "node-1"), "Ready")[0] == "True"


async def test_real_node_cannot_be_stopped_or_removed_as_a_simulated_one(cluster: Cluster) -> None:
    """What nobody simulates is refused by name, and left as it is."""
    await cluster.client.create(core_v1.Node(metadata=ObjectMeta(name="real")))
    with pytest.raises(fleet.NotSimulated, match="node real is a real one"):
        await fleet.set_stopped(cluster.client, "real", stopped=True)
    with pytest.raises(fleet.NotSimulated):
        await fleet.remove_node(cluster.client, "real")
    assert STOPPED_ANNOTATION not in (await node(cluster, "real")).metadata.annotations


async def test_node_that_is_no_longer_to_be_simulated_falls_silent(cluster: Cluster) -> None:
    """Without the label the agent ends, and the node is lost as any other."""
    await cluster.client.patch(core_v1.Node, "node-1", {"metadata": {"labels": {SIMULATED_LABEL: None}}})
    await cluster.clock.advance(seconds=60)
    assert condition(await node(cluster, "node-1"), "Ready")[0] == "Unknown"


async def test_as_many_nodes_as_asked_for_are_there(cluster: Cluster) -> None:
    """Asking for so many twice makes none the second time, and more later only the difference."""
    model = template()
    assert sorted(await fleet.ensure_nodes(cluster.client, model, 2, "sim")) == ["sim-1", "sim-2"]
    assert sorted(await fleet.ensure_nodes(cluster.client, model, 2, "sim")) == ["sim-1", "sim-2"]
    assert sorted(await fleet.ensure_nodes(cluster.client, model, 3, "sim")) == ["sim-1", "sim-2", "sim-3"]


async def test_machine_of_this_name_becomes_simulated(cluster: Cluster) -> None:
    """What was a real node is made anew as a simulated one; a simulated one is left as it is."""
    info = core_v1.NodeSystemInfo(container_runtime_version="containerd://1.6.20")
    made = core_v1.Node(metadata=ObjectMeta(name="vm"), status=core_v1.NodeStatus(node_info=info))
    real = await cluster.client.create(made)
    await fleet.simulate(cluster.client, "vm")
    await cluster.wait_ready(["vm"])
    simulated = await node(cluster, "vm")
    assert simulated.metadata.uid != real.metadata.uid
    await fleet.simulate(cluster.client, "vm")
    assert (await node(cluster, "vm")).metadata.uid == simulated.metadata.uid
    await fleet.be_real(cluster.client, "vm")
    assert SIMULATED_LABEL not in (await node(cluster, "vm")).metadata.labels


async def test_node_says_how_slowly_its_pods_start(cluster: Cluster, namespace: str) -> None:
    """Annotations of the Node hold for pods that say nothing themselves."""
    annotations = b'metadata: {annotations: {simulated.pinnace.dev/start-seconds: "20"}}'
    await fleet.add_nodes(cluster.client, template(annotations), 1, "slow")
    await cluster.wait_ready(["slow-1"])
    await cluster.client.create(pod("one", namespace, node_name="slow-1"))
    await cluster.clock.advance(seconds=15)
    assert (await cluster.client.get(core_v1.Pod, "one", namespace)).status.phase == "Pending"
    await cluster.clock.advance(seconds=10)
    assert (await cluster.client.get(core_v1.Pod, "one", namespace)).status.phase == "Running"


async def test_idle_node_writes_its_lease_alone(cluster: Cluster) -> None:
    """A node on which nothing happens renews its lease and writes its status every five minutes, no more often."""
    await cluster.clock.advance(seconds=30)
    before = await node(cluster, "node-1")
    await cluster.clock.advance(minutes=4)
    quiet = await node(cluster, "node-1")
    assert quiet.metadata.resource_version == before.metadata.resource_version
    await cluster.clock.advance(minutes=2)
    assert (await node(cluster, "node-1")).metadata.resource_version != before.metadata.resource_version


STAGES = """
- match: {labels: {app: batch}}
  set: {run-seconds: 5, exit-code: 3}
- match: {namespace: elsewhere}
  set: {start-error: nothing starts here}
- share: 0
  set: {exit-code: 1}
"""


async def test_stages_decide_what_becomes_of_pods(cluster: Cluster, namespace: str) -> None:
    """The first rule that matches holds; a pod's own annotations win, and other pods run on."""
    await fleet.add_nodes(cluster.client, template(stages=STAGES), 1, "staged")
    await cluster.wait_ready(["staged-1"])
    for name, labels in (("fails", {"app": "batch"}), ("runs", {"app": "web"})):
        await cluster.client.create(pod(name, namespace, labels, node_name="staged-1", restart_policy="Never"))
    own = pod("own", namespace, {"app": "batch"}, node_name="staged-1", restart_policy="Never")
    annotations = {"simulated.pinnace.dev/exit-code": "0"}
    await cluster.client.create(replace(own, metadata=replace(own.metadata, annotations=annotations)))
    await cluster.clock.advance(seconds=15)
    phases = {
        name: (await cluster.client.get(core_v1.Pod, name, namespace)).status for name in ("fails", "runs", "own")
    }
    assert {name: status.phase for name, status in phases.items()} == {
        "fails": "Failed",
        "runs": "Running",
        "own": "Succeeded",
    }
    ended = phases["fails"].container_statuses[0].state
    assert ended is not None
    assert ended.terminated is not None
    assert ended.terminated.exit_code == 3


async def test_rules_that_make_no_sense_stop_no_node(cluster: Cluster) -> None:
    """A node whose annotation nobody understands runs without its rules."""
    model = template()
    metadata = replace(model.metadata, annotations={"simulated.pinnace.dev/stages": "nonsense"})
    await fleet.add_nodes(cluster.client, replace(model, metadata=metadata), 1, "odd")
    await cluster.wait_ready(["odd-1"])
