"""The scheduler: takes pods without a node off the queue, chooses, and binds.

Cycles run one after the other and never wait; bindings run beside them, a bounded number at a time. What a cycle decides counts
at once in the cache, and is taken back when the binding fails. Upstream: pkg/scheduler/scheduler.go, eventhandlers.go.
"""

import asyncio
import random
from typing import Any, Never

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client import Client, EventRecorder, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError, NotFound
from pinnace.machinery.meta import key as key_of
from pinnace.scheduler.cache import SchedulerCache
from pinnace.scheduler.framework import ClusterEvent
from pinnace.scheduler.queue import QueuedPod, SchedulingQueue
from pinnace.scheduler.registry import Profile
from pinnace.scheduler.schedule_one import Placement, Unschedulable, schedule

# Bindings under way at once, and cycles between two breaths for everyone else on the event loop.
BINDINGS_AT_ONCE, CYCLES_AT_ONCE = 64, 16
_log = get_logger("scheduler")


class Scheduler:
    """Schedules the pods of one profile."""

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        clock: Clock,
        profile: Profile,
        *,
        source: random.Random,
    ) -> None:
        self._client = client
        self._clock = clock
        self._profile = profile
        self._random = source
        self._cache = SchedulerCache()
        self._queue = SchedulingQueue(clock, profile.pre_enqueue)
        self._recorder = EventRecorder(client, clock, component=profile.scheduler_name)
        self._slots = asyncio.Semaphore(BINDINGS_AT_ONCE)
        self._pods = informers.informer(core_v1.Pod)
        self._nodes = informers.informer(core_v1.Node)
        self._namespaces = informers.informer(core_v1.Namespace)
        self._namespaces.add_handler(
            self._namespace_seen, lambda _, new: self._namespace_seen(new), self._namespace_gone
        )
        self._nodes.add_handler(self._node_added, self._node_updated, self._node_deleted)
        self._pods.add_handler(self._pod_added, self._pod_updated, self._pod_deleted)

    async def run(self) -> Never:
        """Schedule for ever."""
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        await self._namespaces.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run(), name="scheduling queue")
            group.create_task(self._recorder.run(), name="scheduler events")
            while True:
                for _ in range(CYCLES_AT_ONCE):
                    queued = await self._queue.pop()
                    await self._cycle(queued, group)
                await self._clock.sleep(0)
        raise AssertionError("the loop above ends by an error only")

    async def _cycle(self, queued: QueuedPod, group: asyncio.TaskGroup) -> None:
        pod = queued.pod
        if pod.metadata.deletion_timestamp is not None:
            self._queue.remove(queued.key)
            return
        try:
            result = schedule(self._profile, pod, self._cache.nodes, self._random)
        except Exception as error:  # noqa: BLE001 - a plug-in's bug must not stop all others' pods
            _log.exception("scheduling cycle failed", pod=queued.key)
            self._queue.reject(queued, None)
            group.create_task(self._tell(pod, "SchedulerError", str(error)), name=f"scheduler error {queued.key}")
            return
        if isinstance(result, Unschedulable):
            self._queue.reject(queued, result.waits_for)
            self._queue.finish_cycle()
            group.create_task(self._tell(pod, "Unschedulable", result.message), name=f"unschedulable {queued.key}")
            return
        self._cache.assume(pod, result.node)
        await self._slots.acquire()
        hold = self._clock.hold("binding")
        task = group.create_task(self._bind(queued, result), name=f"bind {queued.key}")
        task.add_done_callback(lambda _: self._slots.release())
        task.add_done_callback(lambda _: hold.release())
        self._queue.finish_cycle()

    async def _bind(self, queued: QueuedPod, placement: Placement) -> None:
        pod = queued.pod
        try:
            await self._profile.bind.bind(pod, placement.node)
        except NotFound:
            self._cache.remove_pod(queued.key)
            self._queue.remove(queued.key)
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            self._cache.remove_pod(queued.key)
            self._queue.reject(queued, None)
            _log.warning("binding failed", pod=queued.key, node=placement.node, error=str(error))
            await self._tell(pod, "SchedulerError", f"binding rejected: {error}")
        else:
            self._queue.remove(queued.key)
            text = f"Successfully assigned {queued.key} to {placement.node}"
            self._recorder.event(pod, "Normal", "Scheduled", text)

    async def _tell(self, pod: core_v1.Pod, reason: str, message: str) -> None:
        """Write down why a pod has no node: as an event, and as its PodScheduled condition when that changes."""
        self._recorder.event(pod, "Warning", "FailedScheduling", message)
        old = next((item for item in pod.status.conditions if item.type == "PodScheduled"), None)
        if old is not None and (old.status, old.reason, old.message) == ("False", reason, message):
            return
        now = timestamps.format(self._clock.time())
        since = old.last_transition_time if old is not None and old.status == "False" else now
        condition = core_v1.PodCondition(
            type="PodScheduled", status="False", reason=reason, message=message, last_transition_time=since
        )
        patch: dict[str, Any] = {
            "metadata": {"uid": pod.metadata.uid},
            "status": {
                "conditions": [
                    {
                        "type": condition.type,
                        "status": condition.status,
                        "reason": reason,
                        "message": message,
                        "lastTransitionTime": since,
                        "lastProbeTime": None,
                    }
                ]
            },
        }
        try:
            await self._client.patch(
                core_v1.Pod,
                pod.metadata.name,
                patch,
                type=PatchType.STRATEGIC,
                namespace=pod.metadata.namespace,
                subresource="status",
            )
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            _log.debug("condition not written", pod=key_of(pod), error=str(error))

    # ── what the informers tell ──

    def _is_ours(self, pod: core_v1.Pod) -> bool:
        return (
            not pod.spec.node_name
            and (pod.spec.scheduler_name or self._profile.scheduler_name) == self._profile.scheduler_name
            and pod.status.phase not in {"Succeeded", "Failed"}
        )

    def _pod_added(self, pod: core_v1.Pod) -> None:
        if pod.spec.node_name:
            self._cache.set_pod(pod)
            self._queue.move(frozenset({ClusterEvent.POD_ADDED}))
        elif self._is_ours(pod):
            self._queue.add(pod)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        key = key_of(new)
        if new.spec.node_name:
            self._queue.remove(key)
            finished = new.status.phase in {"Succeeded", "Failed"} and old.status.phase != new.status.phase
            self._cache.set_pod(new)
            if finished:
                self._queue.move(frozenset({ClusterEvent.POD_DELETED}))
            elif not old.spec.node_name:
                self._queue.move(frozenset({ClusterEvent.POD_ADDED}))
            elif _looks(old) != _looks(new):
                self._queue.move(frozenset({ClusterEvent.POD_LABELS_CHANGED}))
        elif self._is_ours(new):
            if new.metadata.deletion_timestamp is not None:
                self._queue.remove(key)
            elif not self._cache.is_assumed(key):
                self._queue.update(replace(new))
        else:
            self._queue.remove(key)

    def _pod_deleted(self, pod: core_v1.Pod) -> None:
        key = key_of(pod)
        self._queue.remove(key)
        if self._cache.remove_pod(key):
            self._queue.move(frozenset({ClusterEvent.POD_DELETED}))

    def _node_added(self, node: core_v1.Node) -> None:
        self._cache.nodes.set_node(node)
        self._queue.move(frozenset({ClusterEvent.NODE_ADDED}))

    def _node_updated(self, old: core_v1.Node, new: core_v1.Node) -> None:
        events = set()
        if old.status.allocatable != new.status.allocatable:
            events.add(ClusterEvent.NODE_ALLOCATABLE_CHANGED)
        if old.metadata.labels != new.metadata.labels:
            events.add(ClusterEvent.NODE_LABELS_CHANGED)
        if old.spec.taints != new.spec.taints or old.spec.unschedulable != new.spec.unschedulable:
            events.add(ClusterEvent.NODE_TAINTS_CHANGED)
        if events or old.status.images != new.status.images:
            self._cache.nodes.set_node(new)
        if events:
            self._queue.move(frozenset(events))

    def _node_deleted(self, node: core_v1.Node) -> None:
        self._cache.nodes.remove_node(node.metadata.name)
        self._queue.move(frozenset({ClusterEvent.NODE_DELETED}))

    def _namespace_seen(self, namespace: core_v1.Namespace) -> None:
        self._cache.nodes.pods.set_namespace(namespace.metadata.name, namespace.metadata.labels)

    def _namespace_gone(self, namespace: core_v1.Namespace) -> None:
        self._cache.nodes.pods.set_namespace(namespace.metadata.name, None)


def _looks(pod: core_v1.Pod) -> tuple[object, bool]:
    """Return what may change of that by which other pods' selectors see a pod."""
    return pod.metadata.labels, pod.metadata.deletion_timestamp is not None
