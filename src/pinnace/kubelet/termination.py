"""Ends containers: hooks first, then the signal, then the kill; sidecars after all others, the last one first.

The grace period covers everything: what a hook or the wait for others took is missing at the end, though two seconds are always left.
Upstream: kuberuntime `kuberuntime_container.go` killContainer, `kuberuntime_termination_order.go`.
"""

import asyncio
from collections.abc import Mapping

from pinnace.api import core_v1
from pinnace.kubelet.handlers import HookFailed
from pinnace.kubelet.pod_containers import everyone, find, is_sidecar
from pinnace.kubelet.pod_context import PodContext
from pinnace.kubelet.runtime import Instance, State

# Upstream's floor, however long hooks took.
_LEAST_SECONDS = 2


async def kill_container(
    pod: PodContext, run: Instance, grace: int, message: str, *, after: tuple[asyncio.Event, ...] = ()
) -> None:
    """End one container; `after` are the ends of others that it has to wait for, within its grace.

    Raises:
        RuntimeFailure: the runtime could not.
    """
    clock, began = pod.node.clock, pod.node.clock.monotonic()
    found = find(pod.pod, run.name)
    if found is not None:
        pod.event("Normal", "Killing", message, run.name)
        hook = found[1].lifecycle.pre_stop if found[1].lifecycle is not None else None
        if hook is not None and grace > 0:
            await _before_stop(pod, found[1], hook, run, grace)
    if after:
        try:
            async with clock.timeout(max(grace - (clock.monotonic() - began), 0)):
                for other in after:
                    await other.wait()
        except TimeoutError:
            pass  # the grace is over: it is ended beside the others
    left = grace - int(clock.monotonic() - began)
    await pod.node.runtime.stop_container(run.id, max(left, min(_LEAST_SECONDS, max(grace, 1))))


async def kill_pod(pod: PodContext, grace: int) -> None:
    """End all containers and the sandboxes' networks; errors as for `kill_container`."""
    await pod.refresh()
    record = pod.record
    running = [run for run in record.instances if run.state is State.RUNNING]
    ended = {run.id: asyncio.Event() for run in running}
    waits = _order(pod.pod, running, ended)
    async with asyncio.TaskGroup() as group:
        for run in running:
            group.create_task(_kill_and_tell(pod, run, grace, ended[run.id], waits[run.id]), name=f"kill {run.name}")
    for sandbox in record.sandboxes:
        if sandbox.ready:
            await pod.node.runtime.end_sandbox(sandbox.id, remove=False)
    await pod.refresh()


async def _kill_and_tell(
    pod: PodContext, run: Instance, grace: int, ended: asyncio.Event, after: tuple[asyncio.Event, ...]
) -> None:
    try:
        await kill_container(pod, run, grace, f"Stopping container {run.name}", after=after)
    finally:
        ended.set()


def _order(
    pod: core_v1.Pod, running: list[Instance], ended: Mapping[str, asyncio.Event]
) -> dict[str, tuple[asyncio.Event, ...]]:
    """Return whose ends each container waits for: a sidecar for all that came after it in the spec."""
    specs = [container for _, container in everyone(pod)]
    place = {container.name: index for index, container in enumerate(specs)}
    sidecars = {container.name for container in pod.spec.init_containers or () if is_sidecar(container)}
    return {
        run.id: tuple(ended[other.id] for other in running if place.get(other.name, 0) > place.get(run.name, 0))
        if run.name in sidecars
        else ()
        for run in running
    }


async def _before_stop(
    pod: PodContext, container: core_v1.Container, hook: core_v1.LifecycleHandler, run: Instance, grace: int
) -> None:
    try:
        async with pod.node.clock.timeout(grace):
            await pod.node.handlers.run(hook, container, run.id, pod.ips())
    except (HookFailed, TimeoutError):
        pod.event("Warning", "FailedPreStopHook", "PreStopHook failed", container.name)
