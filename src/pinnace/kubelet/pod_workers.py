"""One worker per pod: brings the runtime to what the pod wants, in order, and says how it stands.

    syncing ──deleted, finished, rejected──▶ terminating ──containers ended──▶ terminated ──deleted──▶ gone

A worker never goes back. Deletion, and a shorter grace, interrupt what waits (for an image, a hook, a signal to be obeyed). Everything is
worked out anew from the runtime's records at each sync, so a restarted agent goes on where the last one was. Upstream: kubelet
`pod_workers.go`, `kubelet.go` SyncPod.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.kubelet import container_config as making
from pinnace.kubelet import pod_actions, pod_status
from pinnace.kubelet.container_start import start_container
from pinnace.kubelet.crash_backoff import CrashBackoff
from pinnace.kubelet.environment import ConfigError
from pinnace.kubelet.pod_actions import Health, Kill, Start
from pinnace.kubelet.pod_context import Node, PodContext
from pinnace.kubelet.pod_probes import ProbeListener, follow_probes
from pinnace.kubelet.prober import Verdict
from pinnace.kubelet.runtime import RuntimeFailure, State
from pinnace.kubelet.static_pods import is_static
from pinnace.kubelet.termination import kill_container, kill_pod
from pinnace.kubelet.volumes import VolumeError
from pinnace.machinery import durations, timestamps
from pinnace.machinery.errors import ApiError, Conflict, NotFound

_RETRY_SECONDS, _END_RETRY_SECONDS = 10.0, 1.0
_NETWORK_RETRY_SECONDS, _VOLUME_RETRY_SECONDS, _SANDBOX_RETRY_SECONDS = 1.0, 2.0, 2.0
# Containers of a sandbox that is given up get no more than this.
_CHANGED_SANDBOX_GRACE_SECONDS = 2
_REMOVED_GRACE_SECONDS = 1
_log = get_logger("pod-worker")


class PodWorker(ProbeListener):
    """The life of one pod on this node."""

    def __init__(self, node: Node, pod: core_v1.Pod) -> None:
        self._node, self._context = node, PodContext(node, pod)
        self._backoff = CrashBackoff()
        self._wake = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._removed = self._gone = self._admitted = False
        self._ended = asyncio.Event()
        # Reason and message of a pod that failed as a whole.
        self._failure = ("", "")
        self._grace_override: int | None = None
        self._unhealthy: dict[str, Verdict] = {}

    @property
    def pod(self) -> core_v1.Pod:
        """The pod with its latest status."""
        pod = self._context.pod
        return replace(pod, status=self._node.statuses.status(pod.metadata.uid))

    def update(self, pod: core_v1.Pod) -> None:
        """Take over a newer version of the pod; what the agent wrote itself is no reason to look again."""
        old, self._context.pod = self._context.pod, pod
        if _deletion_grace(pod) < _deletion_grace(old):
            self._wake.set()
            self._interrupt()
        elif _asked(pod) != _asked(old):
            self._wake.set()

    def remove(self) -> None:
        """Learn that the API server has the pod no more, or the node its file."""
        self._removed = True
        self._wake.set()
        self._interrupt()

    def evict(self, message: str, grace_seconds: int) -> None:
        """End the pod for the good of the node; harmless when it is ending already."""
        if self.end("Evicted", message, grace_seconds):
            self._context.event("Warning", "Evicted", message)

    def end(self, reason: str, message: str, grace_seconds: int) -> bool:
        """End the pod although nobody has deleted it; tells whether it was not ending already."""
        if self._failure != ("", "") or self._ended.is_set():
            return False
        self._failure, self._grace_override = (reason, message), grace_seconds
        self._wake.set()
        self._interrupt()
        return True

    async def wait_ended(self) -> None:
        """Wait until the containers have ended and the API server knows it."""
        await self._ended.wait()
        await self._node.statuses.flush(self._context.uid)

    def poke(self) -> None:
        """Look again soon: something changed in the runtime."""
        self._wake.set()

    def unhealthy(self, run_id: str, verdict: Verdict) -> None:
        self._unhealthy[run_id] = verdict
        self._wake.set()

    async def run(self) -> None:
        """Live until the pod is gone."""
        while True:
            self._wake.clear()
            if self._removed or self._context.pod.metadata.deletion_timestamp is not None:
                delay = await self._guarded(self._delete, _END_RETRY_SECONDS)
            elif self._ended.is_set():
                delay = math.inf
            else:
                delay = await self._guarded(self._sync, _RETRY_SECONDS)
            if self._gone:
                return
            if delay > 0:
                await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        try:
            async with self._node.clock.timeout(seconds if math.isfinite(seconds) else None):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _guarded(self, act: Callable[[], Awaitable[float]], retry_seconds: float) -> float:
        """Act until done, interrupted or failed; returns the seconds until the next look."""
        try:
            async with asyncio.timeout(None) as self._scope:
                return await act()
        except Exception as error:  # noqa: BLE001 - the top of a pod's loop: one pod must not end the others'
            if isinstance(error, TimeoutError) and self._scope is not None and self._scope.expired():
                return 0.0
            meta = self._context.pod.metadata
            expected = isinstance(error, RuntimeFailure | ApiError | HttpError | OSError)
            _log.warning(
                "pod not in order yet", pod=f"{meta.namespace}/{meta.name}", error=str(error), exc_info=not expected
            )
            return retry_seconds
        finally:
            self._scope = None

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    # Syncing

    async def _sync(self) -> float:
        context, node = self._context, self._node
        if self._failure != ("", "") or not await self._admit():
            return await self._finish()
        if self._seconds_left() <= 0:
            text = "Pod was active on the node longer than the specified deadline"
            context.event("Normal", "DeadlineExceeded", text)
            self._failure = ("DeadlineExceeded", text)
            return await self._finish()
        if self._report().phase in pod_status.TERMINAL:
            return await self._finish()
        if (network := node.network_reason()) and not context.pod.spec.host_network:
            text = f"network is not ready: container runtime network not ready: {network}"
            context.event("Warning", "NetworkNotReady", text)
            return _NETWORK_RETRY_SECONDS
        try:
            volumes = await node.files.prepare(context.facts())
        except VolumeError as error:
            context.event("Warning", "FailedMount", str(error))
            return _VOLUME_RETRY_SECONDS
        delay = await self._act(volumes)
        if self._report().phase in pod_status.TERMINAL:
            return 0.0
        return min(delay, node.config.sync_seconds or math.inf, self._seconds_left())

    async def _admit(self) -> bool:
        """Tell whether the node takes the pod; a pod of which the runtime has something was taken before."""
        pod = self._context.pod
        if not self._admitted and not self._context.record.sandboxes and pod.status.phase not in pod_status.TERMINAL:
            refused = await self._node.admit(pod)
            if refused is not None:
                self._context.event("Warning", refused.reason, refused.message)
                self._failure = (refused.reason, f"Pod was rejected: {refused.message}")
                return False
        self._admitted = True
        return True

    async def _act(self, volumes: Mapping[str, Path]) -> float:
        """Do all that can be done now; returns the seconds until something else can be."""
        context = self._context
        while True:
            follow_probes(context, self)
            health = Health(unhealthy=self._unhealthy, started=self._has_started)
            actions = pod_actions.compute(context.pod, context.record, health)
            if actions.kill:
                await self._kill(actions.kill)
            elif actions.finished:
                if self._report().phase not in pod_status.TERMINAL:
                    await self._finish()
                return math.inf
            elif actions.sandbox:
                if not await self._make_sandbox():
                    return _SANDBOX_RETRY_SECONDS
                self._report()
            else:
                delays = [await self._start(start, volumes) for start in actions.start]
                if 0.0 not in delays:
                    return min(delays, default=math.inf)

    async def _kill(self, kills: tuple[Kill, ...]) -> None:
        for kill in kills:
            grace = kill.grace_seconds if kill.grace_seconds is not None else self._context.grace_seconds()
            await kill_container(self._context, kill.run, grace, kill.message)
            self._unhealthy.pop(kill.run.id, None)
        await self._context.refresh()
        self._report()

    async def _make_sandbox(self) -> bool:
        context, node = self._context, self._node
        record = context.record
        current = record.sandbox
        if current is not None:
            context.event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
            for run in record.instances:
                if run.state is State.RUNNING:
                    await node.runtime.stop_container(run.id, _CHANGED_SANDBOX_GRACE_SECONDS)
            await node.runtime.end_sandbox(current.id, remove=False)
        attempt = current.attempt + 1 if current is not None else 0
        node.cgroups.create(context.pod)
        try:
            await node.runtime.run_sandbox(making.sandbox(node.config, context.pod, attempt))
        except (RuntimeFailure, ConfigError) as error:
            context.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return False
        await context.refresh()
        return True

    async def _start(self, start: Start, volumes: Mapping[str, Path]) -> float:
        """Start one container unless it has to wait; returns the seconds until it is to be tried again, zero when it runs."""
        context, name, image = self._context, start.container.name, start.container.image
        sandbox = context.record.sandbox
        assert sandbox is not None
        run = context.latest(name)
        if run is not None and run.state is State.EXITED:
            remaining = self._backoff.remaining(run, image, self._node.clock.time())
            if remaining > 0:
                self._tell_of_backoff(name, self._backoff.delay(run, image))
                return remaining
        delay = await start_container(context, start, sandbox, volumes)
        if delay == 0.0 and run is not None:
            self._backoff.restarted(run, image)
        self._report()
        return delay

    def _tell_of_backoff(self, name: str, seconds: float) -> None:
        context = self._context
        text = f"back-off {durations.show(seconds)} restarting failed container={name} pod={context.full_name}"
        if context.waiting.get(name) == ("CrashLoopBackOff", text):
            return
        context.waiting[name] = ("CrashLoopBackOff", text)
        message = f"Back-off restarting failed container {name} in pod {context.full_name}"
        context.event("Warning", "BackOff", message, name)

    def _has_started(self, container: core_v1.Container) -> bool:
        return container.name not in self._node.prober.unstarted(self._context.pod)

    def _seconds_left(self) -> float:
        """Return the seconds until the pod's deadline; infinitely many without one."""
        limit = self._context.pod.spec.active_deadline_seconds
        start = self._node.statuses.status(self._context.uid).start_time
        if limit is None or not start:
            return math.inf
        return timestamps.parse(start) + limit - self._node.clock.time()

    # Ending

    async def _finish(self) -> float:
        """End what still runs of a pod that is over, and report it; its containers stay to be looked at."""
        await self._end_containers()
        await self._node.files.remove_volumes(self._context.uid)
        return 0.0

    async def _end_containers(self) -> None:
        context, node = self._context, self._node
        node.prober.spare(context.uid)
        await kill_pod(context, self._grace_seconds())
        node.prober.forget(context.uid)
        if not self._removed:
            self._report(ended=True)
        self._ended.set()

    def _grace_seconds(self) -> int:
        grace = self._context.grace_seconds()
        if self._grace_override is not None:
            grace = min(grace, self._grace_override)
        # The API server has given up a pod that it has no more; of a static pod only the file is gone.
        given_up = self._removed and not is_static(self._context.pod)
        return min(grace, _REMOVED_GRACE_SECONDS) if given_up else grace

    async def _delete(self) -> float:
        """End a pod that is to go, report it, free what it had, and let the API server forget it."""
        context, node = self._context, self._node
        if not self._ended.is_set():
            if not self._removed:
                self._report()
            await self._end_containers()
        for sandbox in context.record.sandboxes:
            await node.runtime.end_sandbox(sandbox.id, remove=True)
        await context.refresh()
        node.cgroups.remove(context.pod)
        await node.files.remove(context.pod)
        node.images.forget(context.uid)
        if not self._removed:
            await node.statuses.flush(context.uid)
            meta = context.pod.metadata
            # It may be gone, and another one have its name.
            with suppress(NotFound, Conflict):
                await node.client.delete(core_v1.Pod, meta.name, meta.namespace, grace_period_seconds=0, uid=meta.uid)
        self._gone = True
        return 0.0

    # Reporting

    def _report(self, *, ended: bool = False) -> core_v1.PodStatus:
        """Have the status written where it differs from what the API server has."""
        context, node = self._context, self._node
        seen = pod_status.Observed(
            record=context.record,
            host_ip=node.config.node_ip,
            runtime_name=node.runtime_name(),
            waiting={} if ended else context.waiting,
            messages=context.last_words(),
            ended=ended,
            reason=self._failure[0],
            message=self._failure[1],
            disrupted=self._grace_override is not None and ended,
            unready=node.prober.unready(context.pod),
            unstarted=node.prober.unstarted(context.pod),
        )
        status = pod_status.make(self.pod, seen, node.clock.time())
        node.statuses.set(context.uid, status)
        return status


def _deletion_grace(pod: core_v1.Pod) -> float:
    """Return the seconds that a pod has been given to end; infinitely many while it is not deleted."""
    if pod.metadata.deletion_timestamp is None:
        return math.inf
    return pod.metadata.deletion_grace_period_seconds or 0


def _asked(pod: core_v1.Pod) -> tuple[object, ...]:
    """Return what others may change of a pod that runs, as far as its worker has to act on it."""
    gates = {gate.condition_type for gate in pod.spec.readiness_gates or ()}
    answers = tuple((item.type, item.status) for item in pod.status.conditions if item.type in gates)
    return pod.metadata.generation, pod.metadata.labels, pod.metadata.annotations, answers
