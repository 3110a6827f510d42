"""Writes the statuses of pods: in order per pod, only the latest, until the API server has it.

Whoever sets a status does not wait for it; what comes while a write is on its way replaces what still waits. Conditions and fields of
others are kept as the API server has them at the moment of writing. The status of a static pod is written to its mirror, while it has one.
Upstream: kubelet `status/status_manager.go`.
"""

import asyncio

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client import Client
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.kubelet.pod_status import DISRUPTION, OWN_CONDITIONS
from pinnace.machinery.errors import ApiError, Conflict, NotFound

_RETRY = Backoff(0.1, 10.0)
_log = get_logger("status-manager")


class _Entry(Struct):
    """One pod: as the API server has it (a static one without a mirror: as its file has it), and as it shall be."""

    pod: core_v1.Pod
    wanted: core_v1.PodStatus | None = None
    last: core_v1.PodStatus | None = None
    writing: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class StatusManager:
    """The statuses of all pods of one node."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._entries: dict[str, _Entry] = {}
        self._group: asyncio.TaskGroup | None = None

    def carry_in(self, group: asyncio.TaskGroup) -> None:
        """Let the writing tasks live in the agent's own group."""
        self._group = group

    def observe(self, pod: core_v1.Pod) -> None:
        """Take note of a pod as the API server has it."""
        entry = self._entries.get(pod.metadata.uid)
        if entry is None:
            entry = self._entries[pod.metadata.uid] = _Entry(pod)
            entry.idle.set()
        elif _revision(pod) > _revision(entry.pod):
            entry.pod = pod
            self._restore(entry)

    def reflect(self, uid: str, mirror: core_v1.Pod | None) -> None:
        """Write a static pod's status to a mirror from now on, or to none; harmless when no such pod runs."""
        entry = self._entries.get(uid)
        if entry is None:
            return
        if mirror is None:
            entry.pod = replace(entry.pod, metadata=replace(entry.pod.metadata, resource_version=""))
        elif mirror.metadata.uid != entry.pod.metadata.uid or _revision(mirror) > _revision(entry.pod):
            entry.pod = mirror
            self._restore(entry)

    def _restore(self, entry: _Entry) -> None:
        """Have the status written again when somebody else changed what is the agent's: the node was given up, say, and has returned."""
        if entry.last is not None and _undone(entry.pod.status, entry.last):
            self._want(entry, entry.last)

    def forget(self, uid: str) -> None:
        """Drop a pod that is gone."""
        entry = self._entries.pop(uid, None)
        if entry is not None:
            entry.wanted = None

    def status(self, uid: str) -> core_v1.PodStatus:
        """Return a pod's status as it shall be, with what others say now."""
        entry = self._entries[uid]
        return entry.pod.status if entry.last is None else merged(entry.pod.status, entry.last)

    def set(self, uid: str, status: core_v1.PodStatus) -> None:
        """Have a status written."""
        entry = self._entries[uid]
        if status == entry.last and not _undone(entry.pod.status, status):
            return
        self._want(entry, status)

    def _want(self, entry: _Entry, status: core_v1.PodStatus) -> None:
        entry.wanted = entry.last = status
        if not entry.writing and self._group is not None:
            entry.writing = True
            entry.idle.clear()
            self._group.create_task(self._write(entry), name=f"status of pod {entry.pod.metadata.name}")

    async def flush(self, uid: str) -> None:
        """Wait until the API server has what was set, or has the pod no more."""
        if (entry := self._entries.get(uid)) is not None:
            await entry.idle.wait()

    async def _write(self, entry: _Entry) -> None:
        failures = 0
        try:
            while entry.wanted is not None:
                status, entry.wanted = entry.wanted, None
                try:
                    await self._put(entry, status)
                    failures = 0
                except NotFound:
                    return
                except (ApiError, HttpError, OSError, TimeoutError) as error:
                    failures += 1
                    _log.warning("pod status not written", pod=entry.pod.metadata.name, error=str(error))
                    # Unless something newer has come meanwhile.
                    entry.wanted = entry.last
                    await self._clock.sleep(_RETRY.delay(failures))
        finally:
            entry.writing = False
            entry.idle.set()

    async def _put(self, entry: _Entry, status: core_v1.PodStatus) -> None:
        while True:
            pod = entry.pod
            wanted = merged(pod.status, status)
            if wanted == pod.status or not pod.metadata.resource_version:
                return
            try:
                written = await self._client.update(replace(pod, status=wanted), subresource="status")
            except Conflict:
                fresh = await self._client.get(core_v1.Pod, pod.metadata.name, pod.metadata.namespace)
                if fresh.metadata.uid != pod.metadata.uid:
                    raise NotFound(f'pod "{pod.metadata.name}" was replaced') from None
                entry.pod = fresh
                continue
            if _revision(written) > _revision(entry.pod):
                entry.pod = written
            return


def merged(theirs: core_v1.PodStatus, ours: core_v1.PodStatus) -> core_v1.PodStatus:
    """Return our status with the conditions and fields that are not the agent's as the API server has them."""
    foreign = tuple(item for item in theirs.conditions if item.type not in OWN_CONDITIONS)
    # A disruption is told by whoever sees it first.
    kept = {item.type for item in foreign}
    own = tuple(
        item
        for item in ours.conditions
        if item.type in OWN_CONDITIONS or (item.type == DISRUPTION and DISRUPTION not in kept)
    )
    return replace(
        ours,
        conditions=(*foreign, *own),
        nominated_node_name=theirs.nominated_node_name,
        qos_class=theirs.qos_class or ours.qos_class,
        resource_claim_statuses=theirs.resource_claim_statuses,
        extended_resource_claim_status=theirs.extended_resource_claim_status,
    )


def _undone(theirs: core_v1.PodStatus, ours: core_v1.PodStatus) -> bool:
    """Tell whether somebody else has changed what is the agent's."""
    said = {item.type: item.status for item in theirs.conditions}
    return (
        theirs.phase != ours.phase
        or theirs.container_statuses != ours.container_statuses
        or any(said.get(item.type) != item.status for item in ours.conditions if item.type in OWN_CONDITIONS)
    )


def _revision(pod: core_v1.Pod) -> int:
    version = pod.metadata.resource_version
    return int(version) if version.isdigit() else 0
