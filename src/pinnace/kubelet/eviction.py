"""Watches over memory and disk; tells of pressure, and ends pods before the machine suffers.

A signal below its threshold is a condition of the node for at least five minutes. Disk is first won back by removing dead containers and
unused images; if that does not help, and at once for memory, one pod ends per look: those that use more than they asked for first, then
those of lower priority, then those that use the most above what they asked for. A pod also ends when it fills more of the disk than its
own limits allow. Upstream: kubelet `eviction/eviction_manager.go`, `eviction/helpers.go`.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Never

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import EventRecorder
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet import pod_resources
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.garbage import Garbage
from pinnace.kubelet.machine import Machine
from pinnace.kubelet.node_status import about
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import PodRecords, RuntimeFailure, State, Usage
from pinnace.machinery import quantity

_PERIOD_SECONDS, _LINGER_SECONDS = 10.0, 300.0
_MEMORY_BYTES = 100 * 1024 * 1024
_CRITICAL_PRIORITY = 2_000_000_000
_log = get_logger("eviction")


class Signal(Struct, frozen=True):
    """One threshold: what it is of, and below how much it is met."""

    name: str
    condition: str
    resource: str
    percent: int = 0
    least: int = 0


SIGNALS = (
    Signal("memory.available", "MemoryPressure", "memory", least=_MEMORY_BYTES),
    Signal("nodefs.available", "DiskPressure", "ephemeral-storage", percent=10),
    Signal("nodefs.inodesFree", "DiskPressure", "inodes", percent=5),
    Signal("imagefs.available", "DiskPressure", "ephemeral-storage", percent=15),
    Signal("imagefs.inodesFree", "DiskPressure", "inodes", percent=5),
)


class Met(Struct, frozen=True):
    """A signal that is below its threshold: what there is, and what there should be."""

    signal: Signal
    available: int
    threshold: int


def observe(machine: Machine) -> list[Met]:
    """Return the signals that are below their thresholds now; those that nobody knows are not."""
    disk, memory = machine.disk(), machine.memory()
    known = {
        "memory.available": (memory.available_bytes, memory.capacity_bytes),
        "nodefs.available": (disk.available_bytes, disk.capacity_bytes),
        "nodefs.inodesFree": (disk.inodes_free, disk.inodes),
        "imagefs.available": (disk.available_bytes, disk.capacity_bytes),
        "imagefs.inodesFree": (disk.inodes_free, disk.inodes),
    }
    found = []
    for signal in SIGNALS:
        available, capacity = known[signal.name]
        threshold = signal.least or capacity * signal.percent // 100
        if capacity and available < threshold:
            found.append(Met(signal, available, threshold))
    return found


def ranked(pods: Iterable[core_v1.Pod], used: Mapping[str, int], resource: str) -> list[core_v1.Pod]:
    """Return pods in the order in which they are ended; `used` is by UID."""

    def order(pod: core_v1.Pod) -> tuple[bool, int, int]:
        over = used.get(pod.metadata.uid, 0) - pod_resources.requests(pod).get(resource, 0)
        return over <= 0, pod.spec.priority or 0, -over

    return sorted((pod for pod in pods if not is_critical(pod)), key=order)


def is_critical(pod: core_v1.Pod) -> bool:
    """Tell whether the node cannot do without a pod."""
    source = (pod.metadata.annotations or {}).get("kubernetes.io/config.source", "api")
    return source != "api" or (pod.spec.priority or 0) >= _CRITICAL_PRIORITY


class Evictions:
    """Watches over one node. `pods` are those that run, `evict` ends one with a message."""

    def __init__(
        self,
        config: KubeletConfig,
        clock: Clock,
        machine: Machine,
        records: PodRecords,
        pleg: Pleg,
        garbage: Garbage,
        events: EventRecorder,
        *,
        pods: Callable[[], Sequence[core_v1.Pod]],
        evict: Callable[[core_v1.Pod, str], None],
    ) -> None:
        self._config, self._clock, self._machine, self._records = config, clock, machine, records
        self._pleg, self._garbage, self._events = pleg, garbage, events
        self._pods, self._evict = pods, evict
        # When each condition was last true, on the monotonic clock.
        self._last: dict[str, float] = {}

    def pressures(self) -> frozenset[str]:
        """Return the conditions of the node that are true."""
        now = self._clock.monotonic()
        return frozenset(name for name, at in self._last.items() if now - at < _LINGER_SECONDS)

    async def run(self) -> Never:
        """Watch for ever."""
        async for _ in self._clock.ticker(_PERIOD_SECONDS):
            try:
                await self.look()
            except (RuntimeFailure, OSError) as error:
                _log.warning("node not looked at", error=str(error))
        raise AssertionError("a ticker does not end")

    async def look(self) -> None:
        """Look at the machine and the pods' disks once, and act."""
        met = observe(self._machine)
        now = self._clock.monotonic()
        for each in met:
            self._last[each.signal.condition] = now
        if met:
            await self._relieve(met)
        usage = {each.container_id: each for each in await self._records.usage()}
        for pod in self._pods():
            message = await self._over_own_limits(pod, usage)
            if message:
                self._evict(pod, message)

    async def _relieve(self, met: list[Met]) -> None:
        first = met[0]
        node = about(self._config.node_name)
        self._events.event(node, "Warning", "EvictionThresholdMet", f"Attempting to reclaim {first.signal.resource}")
        if first.signal.condition == "DiskPressure":
            await self._garbage.collect_containers()
            await self._garbage.collect_images(always=True)
            if first.signal.name not in {each.signal.name for each in observe(self._machine)}:
                return
        used = await self._used("memory" if first.signal.resource == "memory" else "disk")
        for pod in ranked(self._pods(), used, first.signal.resource):
            self._evict(pod, self._message(pod, first, used))
            return

    async def _used(self, what: str) -> dict[str, int]:
        """Return what each pod uses, by UID."""
        owners = {run.id: uid for uid in self._pleg.uids() for run in self._pleg.record(uid).instances}
        found: dict[str, int] = {}
        for each in await self._records.usage():
            uid = owners.get(each.container_id)
            if uid is not None:
                found[uid] = found.get(uid, 0) + (each.memory_bytes if what == "memory" else each.disk_bytes)
        return found

    @staticmethod
    def _message(pod: core_v1.Pod, met: Met, used: Mapping[str, int]) -> str:
        resource = met.signal.resource
        text = (
            f"The node was low on resource: {resource}. Threshold quantity: {_amount(met.threshold)}, "
            f"available: {_amount(met.available)}. "
        )
        asked, using = pod_resources.requests(pod).get(resource, 0), used.get(pod.metadata.uid, 0)
        if using > asked and resource != "inodes":
            for container in pod.spec.containers or ():
                text += (
                    f"Container {container.name} was using {_amount(using)}, request is "
                    f"{container.resources.requests.get(resource, '0')}, has larger consumption of {resource}. "
                )
                break
        return text

    async def _over_own_limits(self, pod: core_v1.Pod, usage: Mapping[str, Usage]) -> str:
        """Return what a pod fills more of than it may; empty when nothing."""
        for volume in pod.spec.volumes or ():
            limit = volume.empty_dir.size_limit if volume.empty_dir is not None else None
            if limit and volume.empty_dir is not None and volume.empty_dir.medium != "Memory":
                base = self._config.root_dir / "pods" / pod.metadata.uid / "volumes/kubernetes.io~empty-dir"
                if await asyncio.to_thread(_size_of, base / volume.name) > quantity.parse(limit).value():
                    return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". '
        for container in pod.spec.containers or ():
            limit = container.resources.limits.get("ephemeral-storage")
            runs = self._pleg.record(pod.metadata.uid).of(container.name)
            if not limit or not runs or runs[0].state is not State.RUNNING or runs[0].id not in usage:
                continue
            folder = f"{pod.metadata.namespace}_{pod.metadata.name}_{pod.metadata.uid}"
            logs = await asyncio.to_thread(_size_of, self._config.log_dir / folder / container.name)
            if usage[runs[0].id].disk_bytes + logs > quantity.parse(limit).value():
                return f'Container {container.name} exceeded its local ephemeral storage limit "{limit}". '
        return ""


def _size_of(folder: Path) -> int:
    """Return the bytes that a folder takes on its disk; what vanishes meanwhile counts for nothing."""
    total = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - os.walk gives texts
            except OSError:
                continue
    return total


def _amount(count: int) -> str:
    """Return bytes or pieces as upstream prints them."""
    return f"{count // 1024}Ki" if count % 1024 == 0 and count else str(count)
