"""The life of pods on a simulated node: order of starts and ends, deadlines, graces, evictions, a new agent."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.client import PatchType
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.machinery.errors import NotFound

if TYPE_CHECKING:
    from .conftest import World


def container(name: str, *command: str, restart: str | None = None, **fields: object) -> core_v1.Container:
    return core_v1.Container(name=name, image="app", command=command, restart_policy=restart, **fields)  # type: ignore[arg-type]


def states(pod: core_v1.Pod) -> dict[str, str]:
    """Return `running`, `waiting` or the exit code by container."""
    found = {}
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        state = status.state
        ended = state.terminated
        found[status.name] = str(ended.exit_code) if ended else "running" if state.running else "waiting"
    return found


async def test_init_containers_run_in_order(world: World) -> None:
    """One after the other, then the rest; the pod is Pending until then."""
    init = (container("one", "sleep", "10"), container("two", "sleep", "10"))
    await world.pod("steps", init_containers=init)
    pod = await world.after("steps", 5)
    assert (pod.status.phase, states(pod)) == ("Pending", {"one": "running", "two": "waiting", "main": "waiting"})
    pod = await world.after("steps", 10)
    assert states(pod) == {"one": "0", "two": "running", "main": "waiting"}
    pod = await world.after("steps", 10)
    assert (pod.status.phase, states(pod)) == ("Running", {"one": "0", "two": "0", "main": "running"})


async def test_failed_init_container_fails_the_pod(world: World) -> None:
    """In a pod that never restarts nothing else is started."""
    await world.pod("broken", init_containers=(container("one", "false"),))
    pod = await world.after("broken", 2)
    assert (pod.status.phase, states(pod)["one"]) == ("Failed", "1")
    assert not pod.status.container_statuses[0].container_id


async def test_sidecar_starts_first_and_does_not_keep_a_job(world: World) -> None:
    """It runs before and beside the others, and is ended when they are done: the pod succeeds."""
    init = (container("side", "sleep", "inf", restart="Always"), container("two", "sleep", "5"))
    main = container("main", "sleep", "10")
    await world.pod("job", containers=(main,), init_containers=init)
    assert states(await world.after("job", 2)) == {"side": "running", "two": "running", "main": "waiting"}
    assert states(await world.after("job", 5)) == {"side": "running", "two": "0", "main": "running"}
    pod = await world.after("job", 12)
    assert (pod.status.phase, states(pod)) == ("Succeeded", {"side": "143", "two": "0", "main": "0"})


async def test_sidecar_waits_for_its_startup_probe(world: World) -> None:
    """The next container starts only when the probe has succeeded."""
    probe = core_v1.Probe(tcp_socket=core_v1.TCPSocketAction(port=80), period_seconds=1, failure_threshold=30)
    side = container("side", "sleep", "inf", restart="Always", startup_probe=probe)
    await world.pod("slow", init_containers=(side,), annotations={"ready-after-seconds.side": "8"})
    assert states(await world.after("slow", 5)) == {"side": "running", "main": "waiting"}
    assert states(await world.after("slow", 5)) == {"side": "running", "main": "running"}


async def test_sidecars_end_after_the_others_the_last_first(world: World) -> None:
    """Each waits for all that came after it in the spec."""
    init = (container("a", restart="Always"), container("b", restart="Always"))
    await world.pod("stack", init_containers=init, annotations={"stop-seconds": "2"})
    await world.after("stack", 1)
    await world.cluster.client.delete(core_v1.Pod, "stack", "default")
    order = []
    for _ in range(7):
        await world.cluster.clock.advance(seconds=1)
        for name, state in states_in_runtime(world).items():
            if state == "exited" and name not in order:
                order.append(name)
    assert order[:2] == ["main", "b"]
    with pytest.raises(NotFound):
        await world.get("stack")


def states_in_runtime(world: World) -> dict[str, str]:
    pleg = world.kubelet._pleg
    return {run.name: run.state.value for uid in pleg.uids() for run in pleg.record(uid).instances}


async def test_deadline_ends_the_pod(world: World) -> None:
    """A pod that is active for too long fails with upstream's reason, at the second."""
    await world.pod("late", active_deadline_seconds=30, restart="Always")
    assert (await world.after("late", 29)).status.phase == "Running"
    pod = await world.after("late", 2)
    assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")
    assert pod.status.message == "Pod was active on the node longer than the specified deadline"


@pytest.mark.parametrize(("stop", "gone_after", "code"), [("0", 1, 143), ("5", 6, 143), ("never", 21, 137)])
async def test_deleted_pod_gets_its_grace(world: World, stop: str, gone_after: float, code: int) -> None:
    """It goes when its process obeys, or when the grace is over."""
    await world.pod("web", termination_grace_period_seconds=20, annotations={"stop-seconds": stop})
    await world.after("web", 1)
    await world.cluster.client.delete(core_v1.Pod, "web", "default")
    if gone_after > 2:
        assert (await world.after("web", gone_after - 2)).metadata.deletion_timestamp
        await world.cluster.clock.advance(seconds=2)
    else:
        await world.cluster.clock.advance(seconds=gone_after)
    with pytest.raises(NotFound):
        await world.get("web")
    assert ("Killing", "Stopping container main") in await world.told("web")


async def test_shorter_grace_takes_over(world: World) -> None:
    """A second delete with less grace ends a pod that is still ending."""
    await world.pod("web", termination_grace_period_seconds=600, annotations={"stop-seconds": "never"})
    await world.after("web", 1)
    await world.cluster.client.delete(core_v1.Pod, "web", "default")
    await world.after("web", 60)
    await world.cluster.client.delete(core_v1.Pod, "web", "default", grace_period_seconds=5)
    with pytest.raises(NotFound):
        await world.after("web", 7)


async def test_forced_deletion_frees_the_name_and_ends_the_containers(world: World) -> None:
    """Without grace the object goes at once, and the agent ends what is left."""
    await world.pod("web", annotations={"stop-seconds": "never"})
    await world.after("web", 1)
    await world.cluster.client.delete(core_v1.Pod, "web", "default", grace_period_seconds=0)
    await world.cluster.clock.advance(seconds=4)
    assert world.kubelet.pods() == []
    assert await world.runtime.pods() == {}


async def test_hooks_run_around_a_container(world: World) -> None:
    """A failing postStart ends the container and says so; a preStop uses up the grace."""
    bad = core_v1.Lifecycle(post_start=core_v1.LifecycleHandler(exec=core_v1.ExecAction(command=("false",))))
    await world.pod("bad", containers=(container("main", lifecycle=bad),), restart="Never")
    await world.after("bad", 3)
    assert ("FailedPostStartHook", "PostStartHook failed") in await world.told("bad")
    slow = core_v1.Lifecycle(pre_stop=core_v1.LifecycleHandler(sleep=core_v1.SleepAction(seconds=8)))
    await world.pod("slow", containers=(container("main", lifecycle=slow),))
    await world.after("slow", 1)
    await world.cluster.client.delete(core_v1.Pod, "slow", "default")
    assert states(await world.after("slow", 7))["main"] == "running"
    with pytest.raises(NotFound):
        await world.after("slow", 3)


async def test_liveness_restarts_the_container(world: World) -> None:
    """After as many failures as the threshold says, with upstream's words."""
    probe = core_v1.Probe(http_get=core_v1.HTTPGetAction(path="/", port=80), period_seconds=5, failure_threshold=2)
    main = container("main", liveness_probe=probe)
    await world.pod("dying", containers=(main,), restart="Always", annotations={"live-for-seconds": "12"})
    assert (await world.after("dying", 14)).status.container_statuses[0].restart_count == 0
    pod = await world.after("dying", 10)
    assert pod.status.container_statuses[0].restart_count == 1
    told = await world.told("dying")
    assert ("Killing", "Container main failed liveness probe, will be restarted") in told
    assert any(
        reason == "Unhealthy" and text.startswith('Liveness probe failed: Get "http://10.') for reason, text in told
    )


async def test_readiness_gate_is_awaited(world: World) -> None:
    """A pod is Ready only when its gates say so, too."""
    await world.pod("gated", readiness_gates=(core_v1.PodReadinessGate(condition_type="example.com/go"),))
    pod = await world.after("gated", 2)
    ready = next(item for item in pod.status.conditions if item.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
    change = {"status": {"conditions": [{"type": "example.com/go", "status": "True"}]}}
    await world.cluster.client.patch(core_v1.Pod, "gated", change, namespace="default", subresource="status")
    pod = await world.after("gated", 1)
    assert {item.type: item.status for item in pod.status.conditions}["Ready"] == "True"


async def test_refused_pod_says_why(world: World) -> None:
    """A pod that asks for more than there is fails on the node."""
    asked = core_v1.ResourceRequirements(requests={"cpu": "100"})
    await world.pod("huge", containers=(container("main", resources=asked),), node_name="n1")
    pod = await world.after("huge", 1)
    assert (pod.status.phase, pod.status.reason) == ("Failed", "OutOfcpu")
    text = "Node didn't have enough resource: cpu, requested: 100000, used: 0, capacity: 8000"
    assert pod.status.message == f"Pod was rejected: {text}"


async def test_evicted_pod_fails_with_a_disruption(world: World) -> None:
    """The status says who ended it and why."""
    await world.pod("greedy", restart="Always")
    pod = await world.after("greedy", 1)
    world.kubelet._evict(pod, "The node was low on resource: memory. ", 1)
    pod = await world.after("greedy", 3)
    assert (pod.status.phase, pod.status.reason) == ("Failed", "Evicted")
    disruption = next(item for item in pod.status.conditions if item.type == "DisruptionTarget")
    assert (disruption.status, disruption.reason) == ("True", "TerminationByKubelet")


async def test_missing_references_are_waited_for(world: World) -> None:
    """A pod waits for the config maps of its volumes and variables, and goes on when they are there."""
    ref = core_v1.EnvVarSource(config_map_key_ref=core_v1.ConfigMapKeySelector(name="late", key="a"))
    main = container("main", env=(core_v1.EnvVar(name="A", value_from=ref),))
    await world.pod("waits", containers=(main,))
    pod = await world.after("waits", 2)
    waiting = pod.status.container_statuses[0].state.waiting
    assert waiting is not None
    assert (waiting.reason, waiting.message) == ("CreateContainerConfigError", 'configmap "late" not found')
    meta = core_v1.ConfigMap(metadata=meta_v1.ObjectMeta(name="late", namespace="default"), data={"a": "1"})
    await world.cluster.client.create(meta)
    assert (await world.after("waits", 12)).status.phase == "Running"


async def test_claim_is_waited_for_until_it_is_bound(world: World) -> None:
    """A pod says what is missing of its claim, step by step, and starts once there is nothing."""
    client, meta = world.cluster.client, meta_v1.ObjectMeta(name="data", namespace="default")
    claimed = core_v1.PersistentVolumeClaimVolumeSource(claim_name="data")
    await world.pod("db", volumes=(core_v1.Volume(name="data", persistent_volume_claim=claimed),), node_name="n1")
    await world.after("db", 1)
    claim = await client.create(
        core_v1.PersistentVolumeClaim(
            metadata=meta,
            spec=core_v1.PersistentVolumeClaimSpec(
                access_modes=("ReadWriteOnce",),
                resources=core_v1.VolumeResourceRequirements(requests={"storage": "1Gi"}),
                volume_name="pv",
                storage_class_name="",
            ),
        )
    )
    await world.after("db", 3)
    start = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process "
    messages = [message for reason, message in await world.told("db") if reason == "FailedMount"]
    assert messages[0].startswith(f"{start}volumes=[data]: error processing PVC default/data: failed to fetch PVC from")
    assert messages[-1] == f"{start}volumes=[data]: error processing PVC default/data: PVC is not bound"
    await client.create(
        core_v1.PersistentVolume(
            metadata=meta_v1.ObjectMeta(name="pv"),
            spec=core_v1.PersistentVolumeSpec(
                capacity={"storage": "1Gi"},
                access_modes=("ReadWriteOnce",),
                host_path=core_v1.HostPathVolumeSource(path="/data"),
                claim_ref=core_v1.ObjectReference(
                    kind="PersistentVolumeClaim", namespace="default", name="data", uid=claim.metadata.uid
                ),
            ),
        )
    )
    bound = {"status": {"phase": "Bound"}}
    await client.patch(core_v1.PersistentVolumeClaim, "data", bound, namespace="default", subresource="status")
    assert (await world.after("db", 3)).status.phase == "Running"


async def test_ephemeral_container_is_added_to_a_running_pod(world: World) -> None:
    """It starts at once, is never restarted, and does not count for the pod's phase."""
    await world.pod("box")
    await world.after("box", 1)
    change = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "app", "command": ["sh", "-c", "exit 3"]}]}}
    await world.cluster.client.patch(core_v1.Pod, "box", change, namespace="default", subresource="ephemeralcontainers")
    pod = await world.after("box", 3)
    (status,) = pod.status.ephemeral_container_statuses
    assert status.state.terminated is not None
    assert (status.state.terminated.exit_code, status.restart_count, status.ready) == (3, 0, False)
    assert pod.status.phase == "Running"


async def test_new_agent_takes_over_what_runs(world: World) -> None:
    """Containers live on, counts go on, and what the first agent knew of readiness holds until it is asked anew."""
    probe = core_v1.Probe(http_get=core_v1.HTTPGetAction(path="/", port=80), period_seconds=60)
    await world.pod("web", containers=(container("main", readiness_probe=probe),), restart="Always")
    before = await world.after("web", 30)
    assert before.status.container_statuses[0].ready
    client = world.cluster.client_as(UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated")))
    source = random.Random(2)
    config = KubeletConfig(node_name="n1", node_ip="192.0.2.1", relist_seconds=0, sync_seconds=0)
    second = Kubelet(
        config, client, world.cluster.clock, Identity(source), world.runtime, host=world.runtime.host(client, "n1")
    )
    task = asyncio.get_running_loop().create_task(second.run())
    try:
        after = await world.after("web", 5)
        assert after.status.container_statuses == before.status.container_statuses
        assert len(await world.runtime.pods()) == 1
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_orphan_of_the_runtime_is_ended(world: World) -> None:
    """What the runtime has and nobody knows is ended and removed."""
    from pinnace.kubelet.runtime import SandboxConfig

    await world.runtime.run_sandbox(SandboxConfig(name="lost", namespace="default", uid="nobody"))
    await world.cluster.clock.advance(seconds=5)
    assert await world.runtime.pods() == {}


async def test_condition_that_another_wrote_is_put_right(world: World) -> None:
    """A pod that serves is ready again as soon as somebody, such as the controller of lost nodes, has said that it is not."""
    await world.pod("serves", "sleep", "inf", restart="Always")
    pod = await world.after("serves", 5)
    ready = next(item for item in pod.status.conditions if item.type == "Ready")
    assert ready.status == "True"
    said = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    strategic = PatchType.STRATEGIC
    marked = await world.cluster.client.patch(
        core_v1.Pod, "serves", said, namespace="default", type=strategic, subresource="status"
    )
    assert [item.status for item in marked.status.conditions if item.type == "Ready"] == ["False"]
    pod = await world.after("serves", 1)
    assert [item.status for item in pod.status.conditions if item.type == "Ready"] == ["True"]
