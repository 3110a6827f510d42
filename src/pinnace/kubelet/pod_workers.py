"""One worker per pod: brings the runtime to what the pod wants, in order, and says how it stands.

    syncing ──deleted, finished, rejected──▶ terminating ──containers ended──▶ terminated ──deleted──▶ gone

A worker never goes back. Deletion interrupts a sync that waits (for an image, for a hook). Everything is worked out anew from the
runtime's records at each sync, so a restarted agent goes on where the last one was. Upstream: kubelet `pod_workers.go`,
kuberuntime `kuberuntime_manager.go`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client import Client, EventRecorder
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet import container_config as making
from pinnace.kubelet import pod_status
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.environment import ConfigError, PodFacts, Source, expand, variables
from pinnace.kubelet.handlers import Handlers, HookFailed
from pinnace.kubelet.images import ImageManager, ImageUnavailable
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.pod_files import PodFiles
from pinnace.kubelet.prober import Kind, Listener, Prober
from pinnace.kubelet.probes import Target
from pinnace.kubelet.runtime import (
    CONTAINER_HASH,
    ContainerConfig,
    ContainerRuntime,
    Instance,
    RuntimeFailure,
    Sandbox,
    Security,
    State,
)
from pinnace.kubelet.volumes import VolumeError
from pinnace.machinery import quantity, timestamps
from pinnace.machinery.errors import ApiError, Conflict, NotFound

_SYNC_SECONDS, _RETRY_SECONDS = 60.0, 10.0
_FIRST_RESTART_SECONDS, _MOST_RESTART_SECONDS = 10.0, 300.0
_log = get_logger("pod-worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What all workers of a node share."""

    config: KubeletConfig
    client: Client
    clock: Clock
    runtime: ContainerRuntime
    images: ImageManager
    files: PodFiles
    source: Source
    events: EventRecorder
    handlers: Handlers
    pleg: Pleg
    prober: Prober
    services: Callable[[], Iterable[core_v1.Service]]
    network_reason: Callable[[], str]
    runtime_name: Callable[[], str]
    allocatable: dict[str, str]
    admit: Callable[[core_v1.Pod], tuple[str, str] | None]


class PodWorker:
    """The life of one pod on this node."""

    def __init__(self, node: Node, pod: core_v1.Pod) -> None:
        self._node, self._pod = node, pod
        self._wake = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._waiting: dict[str, tuple[str, str]] = {}
        self._delays: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._written: core_v1.PodStatus | None = None
        self._removed = False
        self._ended = False
        self._admitted = False
        self._failure = ("", "")
        self._unhealthy: dict[str, str] = {}

    @property
    def pod(self) -> core_v1.Pod:
        """The pod with the latest status."""
        return self._pod

    def update(self, pod: core_v1.Pod) -> None:
        """Take over a newer version of the pod."""
        old, self._pod = self._pod, pod
        deleted = pod.metadata.deletion_timestamp is not None and old.metadata.deletion_timestamp is None
        # What the agent wrote itself comes back here, and is no reason to look again.
        if deleted or pod.status != self._written or _asked(pod) != _asked(old):
            self._wake.set()
        if deleted:
            self._interrupt()

    def remove(self) -> None:
        """Learn that the API server has the pod no more."""
        self._removed = True
        self._wake.set()
        self._interrupt()

    def poke(self) -> None:
        """Look again soon: something changed in the runtime."""
        self._wake.set()

    def unhealthy(self, run_id: str, message: str) -> None:
        """Learn that a run of a container is to be ended, and why."""
        self._unhealthy[run_id] = message
        self.poke()

    async def run(self) -> None:
        """Live until the pod is gone."""
        while True:
            self._wake.clear()
            if self._removed or self._pod.metadata.deletion_timestamp is not None:
                if await self._try(self._delete):
                    return
                delay = 1.0
            elif self._ended:
                delay = _SYNC_SECONDS
            else:
                delay = await self._guarded_sync()
            if delay > 0:
                await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        try:
            async with self._node.clock.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _guarded_sync(self) -> float:
        try:
            async with asyncio.timeout(None) as scope:
                self._scope = scope
                return await self._sync()
        except TimeoutError:
            return 0.0
        except Exception as error:  # noqa: BLE001 - the top of a pod's loop: one pod must not end the others'
            _log.warning("pod not in order yet", pod=self._name(), error=str(error), exc_info=not _expected(error))
            return _RETRY_SECONDS
        finally:
            self._scope = None

    async def _try(self, act: Callable[[], Awaitable[None]]) -> bool:
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - as in `_guarded_sync`
            _log.warning("pod not ended yet", pod=self._name(), error=str(error), exc_info=not _expected(error))
            return False
        return True

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    def _name(self) -> str:
        return f"{self._pod.metadata.namespace}/{self._pod.metadata.name}"

    # Syncing

    async def _sync(self) -> float:
        pod, node = self._pod, self._node
        record = node.pleg.record(pod.metadata.uid)
        if not self._admitted and not record.sandboxes and pod.status.phase not in pod_status.TERMINAL:
            refused = node.admit(pod)
            if refused is not None:
                self.event("Warning", *refused)
                self._failure = (refused[0], f"Pod was rejected: {refused[1]}")
                return await self._finish()
        self._admitted = True
        if self._overdue():
            text = "Pod was active on the node longer than the specified deadline"
            self.event("Normal", "DeadlineExceeded", text)
            self._failure = ("DeadlineExceeded", text)
            return await self._finish()
        status = await self._report()
        if status.phase in pod_status.TERMINAL:
            return await self._finish()
        network = node.network_reason()
        if network and not pod.spec.host_network:
            self.event(
                "Warning", "NetworkNotReady", f"network is not ready: container runtime network not ready: {network}"
            )
            return 1.0
        try:
            paths = await node.files.prepare(self._facts())
        except VolumeError as error:
            self.event("Warning", "FailedMount", str(error))
            return 2.0
        sandbox = await self._sandbox()
        if sandbox is None:
            return 1.0
        await self._report()
        delay = await self._containers(sandbox, paths)
        status = await self._report()
        return 0.0 if status.phase in pod_status.TERMINAL else delay

    async def _sandbox(self) -> Sandbox | None:
        pod, node = self._pod, self._node
        record = node.pleg.record(pod.metadata.uid)
        current = record.sandbox
        if current is not None and current.ready and (current.ips or pod.spec.host_network):
            return current
        if current is not None:
            self.event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
            for run in record.instances:
                if run.state is State.RUNNING:
                    await node.runtime.stop_container(run.id, 2)
            await node.runtime.end_sandbox(current.id, remove=False)
        attempt = current.attempt + 1 if current is not None else 0
        config = making.sandbox(node.config, pod, attempt)
        try:
            await node.runtime.run_sandbox(config)
        except RuntimeFailure as error:
            self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return None
        await node.pleg.refresh(pod.metadata.uid)
        return node.pleg.record(pod.metadata.uid).sandbox

    async def _containers(self, sandbox: Sandbox, paths: Mapping[str, Path]) -> float:
        """Start what should run, in order; return the seconds until the next look."""
        pod, delay = self._pod, _SYNC_SECONDS
        regular_began = any(
            run.sandbox_id == sandbox.id
            for each in pod.spec.containers or ()
            for run in self._node.pleg.record(pod.metadata.uid).of(each.name)
        )
        for container in pod.spec.init_containers or ():
            if regular_began and not pod_status.is_sidecar(container):
                continue
            run = self._latest(container.name, sandbox)
            if not pod_status.is_sidecar(container):
                if run is not None and run.state is State.EXITED and run.exit_code == 0:
                    continue
                if run is not None and run.state is State.RUNNING:
                    return delay
                return min(delay, await self._one(container, sandbox, paths, initial=True))
            delay = min(delay, await self._one(container, sandbox, paths, initial=True))
            run = self._latest(container.name, sandbox)
            if not regular_began and (run is None or run.state is not State.RUNNING):
                return delay
        for container in pod.spec.containers or ():
            delay = min(delay, await self._one(container, sandbox, paths, initial=False))
        return delay

    async def _one(
        self, container: core_v1.Container, sandbox: Sandbox, paths: Mapping[str, Path], *, initial: bool
    ) -> float:
        """Bring one container to where it should be; return the seconds until the next look."""
        name, pod = container.name, self._pod
        run = self._latest(name, sandbox)
        if run is not None and run.state is State.RUNNING:
            if run.annotations.get(CONTAINER_HASH) == making.spec_hash(container):
                self._waiting.pop(name, None)
                failed = self._unhealthy.pop(run.id, "")
                if not failed:
                    self._probe(container, run, initial=initial)
                    return _SYNC_SECONDS
                await self._kill(run, container, self._grace(), failed)
                await self._node.pleg.refresh(self._pod.metadata.uid)
                return 0.0
            text = f"Container {name} definition changed, will be restarted"
            await self._kill(run, container, self._grace(), text)
        elif run is not None and run.state is State.EXITED:
            if not pod_status.may_restart(pod, container, run.exit_code, initial=initial):
                self._waiting.pop(name, None)
                return _SYNC_SECONDS
            remaining = self._backoff(container, run, initial=initial)
            if remaining > 0:
                return remaining
        return await self._start(container, sandbox, paths, initial=initial)

    def _backoff(self, container: core_v1.Container, run: Instance, *, initial: bool) -> float:
        name, pod, finished = container.name, self._pod, run.finished_at / 1e9
        if finished - run.started_at / 1e9 > 2 * _MOST_RESTART_SECONDS:
            self._delays.pop(name, None)
        delay = self._delays.get(name, 0.0)
        remaining = finished + delay - self._node.clock.time()
        if remaining <= 0:
            self._delays[name] = min(delay * 2, _MOST_RESTART_SECONDS) or _FIRST_RESTART_SECONDS
            return 0.0
        whole = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
        text = f"back-off {_duration(delay)} restarting failed container={name} pod={whole}"
        if self._waiting.get(name) != ("CrashLoopBackOff", text):
            self._waiting[name] = ("CrashLoopBackOff", text)
            self.event(
                "Warning", "BackOff", f"Back-off restarting failed container {name} in pod {whole}", container, initial
            )
        return remaining

    async def _start(
        self, container: core_v1.Container, sandbox: Sandbox, paths: Mapping[str, Path], *, initial: bool
    ) -> float:
        node, pod, name = self._node, self._pod, container.name
        runs = node.pleg.record(pod.metadata.uid).of(name)

        def event(kind: str, reason: str, message: str) -> None:
            self.event(kind, reason, message, container, initial)

        try:
            image = await node.images.ensure(pod, container, event)
            attempt = runs[0].restart_count + 1 if runs else 0
            config = await self._config(
                container, image_security=making.security(pod, container, image), attempt=attempt, paths=paths
            )
        except ImageUnavailable as error:
            self._waiting[name] = (error.reason, str(error))
            return max(error.retry_seconds, 0.1)
        except (ConfigError, OSError) as error:
            self._waiting[name] = ("CreateContainerConfigError", str(error))
            event("Warning", "Failed", f"Error: {error}")
            return _RETRY_SECONDS
        reason = "CreateContainerError"
        try:
            made = await node.runtime.create_container(
                sandbox.id, config, making.sandbox(node.config, pod, sandbox.attempt)
            )
            event("Normal", "Created", "Container created")
            reason = "RunContainerError"
            await node.runtime.start_container(made)
        except RuntimeFailure as error:
            self._waiting[name] = (reason, str(error))
            event("Warning", "Failed", f"Error: {error}")
            await node.pleg.refresh(pod.metadata.uid)
            return _RETRY_SECONDS
        event("Normal", "Started", "Container started")
        self._waiting.pop(name, None)
        for old in runs[1:]:
            await node.runtime.remove_container(old.id)
        node.files.started(pod, name, made, attempt)
        await node.pleg.refresh(pod.metadata.uid)
        await self._after_start(container, initial=initial)
        return 0.0

    def _probe(self, container: core_v1.Container, run: Instance, *, initial: bool) -> None:
        """Have the prober follow a running container."""
        if not (container.readiness_probe or container.liveness_probe or container.startup_probe):
            return

        ips = self._ips()
        target = Target(container=container, container_id=run.id, host=ips[0] if ips else "")
        listener = _Listener(self, container, run.id, initial=initial)
        self._node.prober.follow(self._pod.metadata.uid, target, run.started_at / 1e9, listener)

    async def _after_start(self, container: core_v1.Container, *, initial: bool) -> None:
        hook = container.lifecycle.post_start if container.lifecycle is not None else None
        run = self._latest(container.name, None)
        if hook is None or run is None:
            return
        try:
            await self._node.handlers.run(hook, container, run.id, self._ips())
        except HookFailed:
            self.event("Warning", "FailedPostStartHook", "PostStartHook failed", container, initial)
            await self._kill(run, container, self._grace(), "FailedPostStartHook")
            self._waiting[container.name] = ("PostStartHookError", "PostStartHook failed")

    async def _config(
        self, container: core_v1.Container, *, image_security: Security, attempt: int, paths: Mapping[str, Path]
    ) -> ContainerConfig:
        node, pod = self._node, self._pod
        env = await variables(container, self._facts(), node.source, node.services())
        return ContainerConfig(
            name=container.name,
            attempt=attempt,
            image=container.image,
            command=tuple(expand(word, env) for word in container.command),
            args=tuple(expand(word, env) for word in container.args),
            working_dir=container.working_dir,
            env=tuple(env.items()),
            mounts=node.files.mounts(self._facts(), container, attempt, paths, env),
            labels=making.labels(pod, container),
            annotations=making.annotations(container, attempt),
            log_path=f"{container.name}/{attempt}.log",
            stdin=container.stdin,
            stdin_once=container.stdin_once,
            tty=container.tty,
            limits=making.limits(pod, container, quantity.parse(node.allocatable["memory"]).value()),
            security=image_security,
        )

    # Ending

    async def _finish(self) -> float:
        """End what still runs of a pod that is over, and report it; its containers stay to be looked at."""
        await self._stop_all()
        await self._report(ended=True)
        await self._node.files.remove_volumes(self._pod.metadata.uid)
        self._ended = True
        return 0.0

    async def _delete(self) -> None:
        """End a pod that is to go, report it, free what it had, and let the API server forget it."""
        pod, node = self._pod, self._node
        if not self._ended:
            if not self._removed:
                await self._report()
            await self._stop_all()
            if not self._removed:
                await self._report(ended=True)
            self._ended = True
        for sandbox in node.pleg.record(pod.metadata.uid).sandboxes:
            await node.runtime.end_sandbox(sandbox.id, remove=True)
        await node.pleg.refresh(pod.metadata.uid)
        await node.files.remove(pod)
        node.images.forget(pod.metadata.uid)
        if not self._removed:
            try:
                await node.client.delete(
                    core_v1.Pod, pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0, uid=pod.metadata.uid
                )
            except (NotFound, Conflict):
                return

    async def _stop_all(self) -> None:
        pod, node = self._pod, self._node
        node.prober.forget(pod.metadata.uid)
        await node.pleg.refresh(pod.metadata.uid)
        record = node.pleg.record(pod.metadata.uid)
        specs = {each.name: each for each in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))}
        grace = self._grace()
        sidecars = {each.name for each in pod.spec.init_containers or () if pod_status.is_sidecar(each)}
        for late in (False, True):
            async with asyncio.TaskGroup() as group:
                for run in record.instances:
                    if run.state is State.RUNNING and (run.name in sidecars) == late:
                        text = f"Stopping container {run.name}"
                        group.create_task(self._kill(run, specs.get(run.name), grace, text), name=f"kill {run.name}")
        for sandbox in record.sandboxes:
            if sandbox.ready:
                await node.runtime.end_sandbox(sandbox.id, remove=False)
        await node.pleg.refresh(pod.metadata.uid)

    async def _kill(self, run: Instance, container: core_v1.Container | None, grace: int, message: str) -> None:
        node = self._node
        if container is not None:
            initial = container in (self._pod.spec.init_containers or ())
            self.event("Normal", "Killing", message, container, initial)
            hook = container.lifecycle.pre_stop if container.lifecycle is not None else None
            if hook is not None and grace > 0:
                began = node.clock.monotonic()
                try:
                    async with node.clock.timeout(grace):
                        await node.handlers.run(hook, container, run.id, self._ips())
                except (HookFailed, TimeoutError):
                    self.event("Warning", "FailedPreStopHook", "PreStopHook failed", container, initial)
                grace -= int(node.clock.monotonic() - began)
        # At least two seconds, however long the hook took (upstream's floor), unless less was asked for.
        await node.runtime.stop_container(run.id, grace if grace > 0 else 2)

    def _grace(self) -> int:
        meta, spec = self._pod.metadata, self._pod.spec
        if meta.deletion_grace_period_seconds is not None:
            return max(meta.deletion_grace_period_seconds, 1)
        return spec.termination_grace_period_seconds if spec.termination_grace_period_seconds is not None else 30

    # Reporting

    async def _report(self, *, ended: bool = False) -> core_v1.PodStatus:
        """Write the status where it differs from what the API server has."""
        node = self._node
        for _ in range(5):
            pod = self._pod
            record = node.pleg.record(pod.metadata.uid)
            seen = pod_status.Observed(
                record=record,
                host_ip=node.config.node_ip,
                runtime_name=node.runtime_name(),
                waiting={} if ended else self._waiting,
                messages=self._messages(),
                ended=ended,
                reason=self._failure[0],
                message=self._failure[1],
                unready=node.prober.unready(pod),
                unstarted=node.prober.unstarted(pod),
            )
            status = pod_status.make(pod, seen, node.clock.time())
            self._written = status
            if status == pod.status:
                return status
            try:
                self._pod = await node.client.update(replace(pod, status=status), subresource="status")
            except Conflict:
                fresh = await node.client.get(core_v1.Pod, pod.metadata.name, pod.metadata.namespace)
                if fresh.metadata.uid != pod.metadata.uid:
                    self._removed = True
                    return status
                self._pod = fresh
                continue
            except NotFound:
                self._removed = True
            return status
        return self._pod.status

    def _messages(self) -> dict[str, str]:
        found = {}
        for run in self._node.pleg.record(self._pod.metadata.uid).instances:
            if run.state is not State.EXITED:
                continue
            text = self._node.files.message(self._pod, run)
            found[run.id] = f"{run.message}: {text}" if run.message and text else text or run.message
        return found

    def _latest(self, name: str, sandbox: Sandbox | None) -> Instance | None:
        runs = self._node.pleg.record(self._pod.metadata.uid).of(name)
        return next((run for run in runs if sandbox is None or run.sandbox_id == sandbox.id), None)

    def _ips(self) -> tuple[str, ...]:
        if self._pod.spec.host_network:
            return (self._node.config.node_ip,)
        sandbox = self._node.pleg.record(self._pod.metadata.uid).sandbox
        return sandbox.ips if sandbox is not None else ()

    def _facts(self) -> PodFacts:
        config = self._node.config
        return PodFacts(self._pod, config.node_name, config.node_ip, self._ips(), self._node.allocatable)

    def _overdue(self) -> bool:
        limit, start = self._pod.spec.active_deadline_seconds, self._pod.status.start_time
        return limit is not None and bool(start) and self._node.clock.time() - timestamps.parse(start or "") >= limit

    def event(
        self,
        kind: str,
        reason: str,
        message: str,
        container: core_v1.Container | None = None,
        initial: bool = False,  # noqa: FBT001, FBT002 - which list the container is in
    ) -> None:
        path = ""
        if container is not None:
            path = f"spec.{'initContainers' if initial else 'containers'}{{{container.name}}}"
        self._node.events.event(self._pod, kind, reason, message, field_path=path)


class _Listener(Listener):
    """What one container's probes tell its pod's worker."""

    def __init__(self, worker: PodWorker, container: core_v1.Container, run_id: str, *, initial: bool) -> None:
        self._worker, self._container, self._run_id, self._initial = worker, container, run_id, initial

    def changed(self) -> None:
        self._worker.poke()

    def warned(self, reason: str, message: str) -> None:
        self._worker.event("Warning", reason, message, self._container, self._initial)

    def gave_up(self, kind: Kind) -> None:
        self._worker.unhealthy(
            self._run_id, f"Container {self._container.name} failed {kind.lower()} probe, will be restarted"
        )


def _asked(pod: core_v1.Pod) -> tuple[object, ...]:
    """Return what people may change of a pod that runs."""
    return pod.metadata.generation, pod.metadata.labels, pod.metadata.annotations


def _expected(error: Exception) -> bool:
    return isinstance(error, RuntimeFailure | ApiError | OSError)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60}s"
