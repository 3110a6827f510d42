"""The node agent: registers the node, keeps it alive, and runs a worker for each pod that is bound to it.

Nothing is kept but what the API server and the runtime know: a restarted agent finds its containers by their labels. Pods that the
runtime has and the API server has not are ended. Pods of the node's own files do not wait for the API server. Upstream: kubelet `kubelet.go`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Never

from pinnace.api import core_v1
from pinnace.client import Client, EventRecorder, EventWriter
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError, Request, Response, Upgrade
from pinnace.component.identity import Identity
from pinnace.component.logging import get_logger
from pinnace.kubelet.admission import NODE_AFFINITY, Refusal, admit
from pinnace.kubelet.cgroups import KernelCgroups
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.environment import ClientSource
from pinnace.kubelet.eviction import Evictions
from pinnace.kubelet.garbage import Garbage
from pinnace.kubelet.handlers import Handlers
from pinnace.kubelet.host import Host
from pinnace.kubelet.images import ImageManager
from pinnace.kubelet.log_rotation import LogRotation
from pinnace.kubelet.machine import LinuxMachine
from pinnace.kubelet.mirror_pods import MirrorPods
from pinnace.kubelet.node_allocatable import enforced
from pinnace.kubelet.node_shutdown import NOT_READY, REFUSAL, NodeShutdown
from pinnace.kubelet.node_status import HEARTBEAT_JITTER, RENEW_SECONDS, UPDATE_SECONDS, NodeStatus, about
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.pod_context import Node
from pinnace.kubelet.pod_files import DiskFiles
from pinnace.kubelet.pod_network import SocketNetwork
from pinnace.kubelet.pod_workers import PodWorker
from pinnace.kubelet.prober import Prober
from pinnace.kubelet.probes import Probes
from pinnace.kubelet.runtime import Runtime, RuntimeFailure
from pinnace.kubelet.server import KubeletServer
from pinnace.kubelet.server_auth import ServerAuth
from pinnace.kubelet.sources import OwnSources, PodHandler, Sources
from pinnace.kubelet.static_pods import PodFolder, StaticPods, is_mirror, without_source
from pinnace.kubelet.stats import Stats
from pinnace.kubelet.status_manager import StatusManager
from pinnace.kubelet.volumes import Volumes
from pinnace.kubelet.watched_source import WatchedSource
from pinnace.machinery.errors import ApiError

# Between looks at a node whose network is not there yet: the first, and the longest that the doubling comes to.
_FAST_SECONDS, _RARE_SECONDS = 0.1, 1.6
_HOUSEKEEPING_SECONDS = 2.0
# Between tries to find or make the lease of the node.
_LEASE_RETRY = Backoff(0.1, 7.0)
_ORPHAN_GRACE_SECONDS = 1
_log = get_logger("kubelet")
Authorize = Callable[[Request], Awaitable[Response | None]]


class Kubelet:
    """One node's agent; `run` it, and serve `handle` on its port."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        clock: Clock,
        identity: Identity,
        runtime: Runtime,
        *,
        host: Host | None = None,
        sources: Sources | None = None,
        static: PodFolder | None = None,
        on_pod_cidr: Callable[[str], None] | None = None,
        authorize: Authorize | None = None,
        event_writer: EventWriter | None = None,
    ) -> None:
        """Make the agent of one node.

        Without `host` it is this machine, without `sources` the agent watches by itself, and without `event_writer` it writes its events itself.
        `static` are the pods of its own files, if there may be any.
        """
        source = ClientSource(client)
        self._watched = WatchedSource(client, clock)
        self._watched.on_change = self._poke
        if host is None:
            volumes = Volumes(config.root_dir, client, self._watched, clock, identity)
            host = Host(
                LinuxMachine(config.root_dir),
                DiskFiles(config, volumes, clock),
                SocketNetwork(),
                KernelCgroups(config),
                upkeep=True,
            )
        self._config, self._clock, self._runtime = config, clock, runtime
        self._on_pod_cidr, self._pod_cidr = on_pod_cidr, ""
        self._writes_events = event_writer is None
        self._events = EventRecorder(client, clock, component="kubelet", host=config.node_name, writer=event_writer)
        self._status = NodeStatus(config, client, clock, runtime, runtime, host.machine, self._events)
        self._sources = sources if sources is not None else OwnSources(client, clock, config.node_name)
        self._pleg = Pleg(runtime, clock, config.relist_seconds)
        self._pleg.on_change = self._poke
        self._prober = Prober(Probes(runtime, host.network, clock), clock)
        self._statuses = StatusManager(client, clock)
        self._static = StaticPods(static, clock, start=self._begin, end=self._gone)
        self._mirrors = MirrorPods(
            client, clock, self._statuses, pods=lambda: self._static.running, node=lambda: self._status.node
        )
        self._group: asyncio.TaskGroup | None = None
        self._workers: dict[str, PodWorker] = {}
        self._orphaned = asyncio.Event()
        self._node_changed = asyncio.Event()
        # Set once the API server has been told that the node is ready.
        self.ready = asyncio.Event()
        self._node = Node(
            config=config,
            client=client,
            clock=clock,
            runtime=runtime,
            images=ImageManager(runtime, source, clock),
            files=host.files,
            cgroups=host.cgroups,
            source=source,
            events=self._events,
            handlers=Handlers(runtime, host.network, clock),
            pleg=self._pleg,
            prober=self._prober,
            statuses=self._statuses,
            services=self._sources.services,
            network_reason=self._network_reason,
            runtime_name=self._runtime_name,
            allocatable=self._status.allocatable,
            began_at=clock.time(),
            admit=self._admit,
        )
        images = self._node.images
        self._host = host
        self._garbage = Garbage(config, clock, runtime, self._pleg, images, host.machine, self._events)
        self._evictions = Evictions(
            config,
            clock,
            host.machine,
            runtime,
            self._pleg,
            self._garbage,
            self._events,
            pods=self.pods,
            evict=self._evict,
            processes=host.cgroups.processes,
        )
        self._status.pressures = self._evictions.pressures
        self._shutdown = NodeShutdown(
            config.shutdown_groups,
            config.node_name,
            clock,
            self._events,
            workers=lambda: tuple(self._workers.values()),
            tell=self._write_status,
        )
        self._status.troubles = lambda: (NOT_READY,) if self._shutdown.is_going_on else ()
        stats = Stats(config, clock, runtime, self._pleg, host.machine, host.cgroups, self.pods)
        auth = authorize or ServerAuth(client, clock, config.node_name)
        self._server = KubeletServer(
            config, clock, runtime, host.files, self._pleg, stats, self._prober, self.pods, auth
        )

    async def handle(self, request: Request) -> Response | Upgrade:
        """Answer a request to this node's port."""
        return await self._server.handle(request)

    async def shut_down(self) -> None:
        """End the pods, as the machine is about to go down; returns when it may."""
        await self._shutdown.begin()

    async def call_off_shutdown(self) -> None:
        """Take pods again, as the machine stays up; harmless when it was to stay."""
        await self._shutdown.call_off()

    def pods(self) -> list[core_v1.Pod]:
        """Return the pods of this node."""
        return [worker.pod for worker in self._workers.values()]

    async def run(self) -> Never:
        """Be a node until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            group = self._group
            self._prober.carry_in(group)
            self._statuses.carry_in(group)
            if self._host.upkeep:
                self._watched.carry_in(group)
            if self._writes_events:
                group.create_task(self._events.run(), name="kubelet events")
            followed = asyncio.Event()
            group.create_task(self._follow_runtime(group, followed), name="kubelet pleg")
            await self._status.register(self._sources.node())
            node = about(self._config.node_name)
            self._events.event(node, "Normal", "Starting", "Starting kubelet.")
            if self._host.cgroups.limit_all(enforced(self._status.capacity, self._config)):
                text = "Updated Node Allocatable limit across pods"
                self._events.event(node, "Normal", "NodeAllocatableEnforced", text)
            group.create_task(self._lease(), name="kubelet lease")
            group.create_task(self._node_status(), name="kubelet node status")
            await followed.wait()
            synced = asyncio.Event()
            handler = PodHandler(self._seen, self._gone, self._node_changed.set)
            group.create_task(self._sources.run(handler, synced), name="kubelet sources")
            await synced.wait()
            group.create_task(self._mirrors.run(), name="kubelet mirror pods")
            self._orphaned.set()
            group.create_task(self._housekeeping(), name="kubelet housekeeping")
            if self._host.upkeep:
                rotation = LogRotation(self._config, self._clock, self._pleg, self._runtime)
                group.create_task(rotation.run(), name="kubelet log rotation")
                group.create_task(self._garbage.collect_containers_regularly(), name="kubelet container garbage")
                group.create_task(self._garbage.collect_images_regularly(), name="kubelet image garbage")
                group.create_task(self._evictions.run(), name="kubelet evictions")
        raise AssertionError("a node's tasks do not end")

    async def _follow_runtime(self, group: asyncio.TaskGroup, followed: asyncio.Event) -> Never:
        """Follow the runtime for ever; as soon as its containers are known, the node's own pods begin."""
        await self._first_relist()
        self._static.look()
        group.create_task(self._static.run(), name="kubelet static pods")
        followed.set()
        await self._pleg.run()

    async def _first_relist(self) -> None:
        while True:
            try:
                return await self._pleg.relist()
            except RuntimeFailure as error:
                _log.warning("container runtime does not answer", error=str(error))
                await self._clock.sleep(1.0)

    async def _node_status(self) -> None:
        """Keep the node's status: looking often, and whenever the node changes, until it has its network; then as upstream."""
        said, pause = "", _FAST_SECONDS
        while True:
            self._node_changed.clear()
            try:
                node = await self._status.update(self._sources.node())
                await self._follow_pod_cidr(node.spec.pod_cidr)
                said = ""
            except (ApiError, HttpError, RuntimeFailure) as error:
                said = _warn_once("node status not written", error, said)
            if not self._network_reason():
                if not said:
                    self.ready.set()
                await self._clock.sleep(self._until_beat(UPDATE_SECONDS))
            elif await self._wait_node_changed(pause):
                pause = _FAST_SECONDS
            else:
                pause = min(2 * pause, _RARE_SECONDS)

    async def _write_status(self) -> None:
        try:
            await self._status.update(self._sources.node())
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            _log.warning("node status not written", error=str(error))

    async def _wait_node_changed(self, limit_seconds: float) -> bool:
        """Wait for a change of the Node, so long at most; tell whether there was one."""
        try:
            async with self._clock.timeout(limit_seconds):
                await self._node_changed.wait()
        except TimeoutError:
            return False
        return True

    async def _follow_pod_cidr(self, cidr: str) -> None:
        if not cidr or cidr == self._pod_cidr:
            return
        if self._on_pod_cidr is not None:
            self._on_pod_cidr(cidr)
        await self._runtime.set_pod_cidr(cidr)
        self._pod_cidr = cidr

    async def _lease(self) -> None:
        said, failures = "", 0
        while True:
            try:
                await self._status.renew_lease()
                said, failures = "", 0
            except (ApiError, HttpError) as error:
                said, failures = _warn_once("lease not renewed", error, said), failures + 1
            await self._clock.sleep(_LEASE_RETRY.delay(failures) if failures else self._until_beat(RENEW_SECONDS))

    def _until_beat(self, seconds: float) -> float:
        """Return about so many seconds, up to the next beat that the agents of this process have in common."""
        wait, beat = self._clock.jittered(seconds, HEARTBEAT_JITTER), self._config.beat_seconds
        if not beat:
            return wait
        now = self._clock.monotonic()
        return math.ceil((now + wait) / beat) * beat - now

    def _network_reason(self) -> str:
        health = self._status.health
        return health.network_reason if health is not None else "container runtime is down"

    def _runtime_name(self) -> str:
        health = self._status.health
        return health.version.partition("://")[0] if health is not None else "containerd"

    def _seen(self, pod: core_v1.Pod) -> None:
        """Take note of a pod as the API server has it."""
        if is_mirror(pod):
            return self._mirrors.seen(pod)
        self._statuses.observe(pod)
        if (worker := self._workers.get(pod.metadata.uid)) is not None:
            return worker.update(without_source(pod))
        return self._begin(without_source(pod))

    def _begin(self, pod: core_v1.Pod) -> None:
        assert self._group is not None
        uid = pod.metadata.uid
        self._statuses.observe(pod)
        worker = self._workers[uid] = PodWorker(self._node, pod)
        self._watched.follow(pod)
        self._host.cgroups.balance(self._bound())
        self._mirrors.check()
        task = self._group.create_task(worker.run(), name=f"pod {pod.metadata.namespace}/{pod.metadata.name}")
        task.add_done_callback(lambda done: self._left(uid, done))

    def _left(self, uid: str, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self._workers.pop(uid, None)
        self._watched.release(uid)
        self._statuses.forget(uid)
        self._static.left(uid)
        self._host.cgroups.balance(self._bound())
        self._mirrors.check()
        self._orphaned.set()

    def _gone(self, pod: core_v1.Pod) -> None:
        """Learn that a pod is no more where it came from."""
        if is_mirror(pod):
            return self._mirrors.gone(pod)
        if (worker := self._workers.get(pod.metadata.uid)) is not None:
            worker.remove()
        return None

    def _bound(self) -> Iterator[core_v1.Pod]:
        """Yield all pods that are this node's to run: those of its own files, and those bound to it that stand for no other."""
        yield from self._static.running.values()
        yield from (pod for pod in self._sources.pods() if not is_mirror(pod))

    def _poke(self, uid: str) -> None:
        if (worker := self._workers.get(uid)) is not None:
            worker.poke()
        else:
            self._orphaned.set()

    async def _housekeeping(self) -> None:
        """End what the runtime has of pods that nobody knows; looks when there may be some, and again after failures."""
        while True:
            await self._orphaned.wait()
            self._orphaned.clear()
            known = {*self._workers, *(pod.metadata.uid for pod in self._bound())}
            for uid in sorted({*self._pleg.uids(), *self._host.files.owners()} - known):
                try:
                    await self._end_orphan(uid)
                except (RuntimeFailure, OSError) as error:
                    _log.warning("orphan not ended", uid=uid, error=str(error))
                    self._orphaned.set()
            await self._clock.sleep(_HOUSEKEEPING_SECONDS)

    async def _end_orphan(self, uid: str) -> None:
        record = self._pleg.record(uid)
        for run in record.instances:
            await self._runtime.stop_container(run.id, _ORPHAN_GRACE_SECONDS)
            await self._runtime.remove_container(run.id)
        for sandbox in record.sandboxes:
            await self._runtime.end_sandbox(sandbox.id, remove=True)
        await self._node.files.remove_volumes(uid)
        await self._pleg.refresh(uid)

    def _evict(self, pod: core_v1.Pod, message: str, grace_seconds: int) -> None:
        if (worker := self._workers.get(pod.metadata.uid)) is not None:
            worker.evict(message, grace_seconds)

    async def _admit(self, pod: core_v1.Pod) -> Refusal | None:
        """Judge a pod by the node as last seen; a mismatch of labels by the node as it is, for they may be younger than that."""
        if (pressed := self._evictions.refusal(pod)) is not None:
            return pressed
        others = [other for other in self._bound() if other.metadata.uid != pod.metadata.uid]
        refused = admit(pod, others, self._sources.node() or self._status.node, self._status.allocatable)
        if refused is None and self._shutdown.is_going_on:
            return REFUSAL
        if refused is None or refused.reason != NODE_AFFINITY:
            return refused
        try:
            node = await self._status.read()
        except (ApiError, HttpError) as error:
            _log.warning("node not read anew", pod=pod.metadata.name, error=str(error))
            return refused
        return admit(pod, others, node, self._status.allocatable)


def _warn_once(event: str, error: Exception, said: str) -> str:
    """Log a failure unless it is the one that was said last; returns what has been said now."""
    if str(error) != said:
        _log.warning(event, error=str(error))
    return str(error)
