"""Watches over memory and disk; tells of pressure, and ends pods before the machine suffers.

A signal below its threshold is a condition of the node for at least five minutes. Disk is first won back by removing dead containers and
unused images; if that does not help, and at once for memory, one pod ends per look: those that use more than they asked for first, then
those of lower priority, then those that use the most above what they asked for. Pods that fill more of the disk than their own limits
allow end before that, which may be enough. Upstream: kubelet `eviction/eviction_manager.go`, `eviction/helpers.go`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Never

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import EventRecorder
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet import pod_resources
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.disk_limits import DiskLimits
from pinnace.kubelet.garbage import Garbage
from pinnace.kubelet.machine import Machine
from pinnace.kubelet.node_status import about
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import PodRecords, RuntimeFailure, Usage
from pinnace.machinery import quantity

_PERIOD_SECONDS, _LINGER_SECONDS = 10.0, 300.0
_MEMORY_BYTES = 100 * 1024 * 1024
_CRITICAL_PRIORITY = 2_000_000_000
# What of a container's usage counts for a resource.
_AMOUNTS: Mapping[str, Callable[[Usage], int]] = {
    "memory": lambda each: each.memory_bytes,
    "ephemeral-storage": lambda each: each.disk_bytes,
    "inodes": lambda each: each.inodes,
}
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


def message(pod: core_v1.Pod, met: Met, used: Mapping[str, int]) -> str:
    """Return why a pod has to go; `used` is by container."""
    resource = met.signal.resource
    text = (
        f"The node was low on resource: {resource}. Threshold quantity: {_amount(met.threshold)}, "
        f"available: {_amount(met.available)}. "
    )
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        using, asked = used.get(container.name, 0), container.resources.requests.get(resource, "0")
        if resource != "inodes" and using > quantity.parse(asked).value():
            text += (
                f"Container {container.name} was using {_amount(using)}, request is {quantity.canonical(asked)}, "
                f"has larger consumption of {resource}. "
            )
    return text


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
        self._limits = DiskLimits(config)
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
        usage = await self._records.usage()
        if await self._end_those_over_their_limits(usage):
            return
        if met:
            await self._relieve(met)

    async def _end_those_over_their_limits(self, usage: Sequence[Usage]) -> bool:
        """End pods that fill more than they may; tell whether there were any."""
        found = False
        written = self._by_container(usage, lambda each: each.disk_bytes)
        for pod in self._pods():
            text = await self._limits.exceeded(pod, written.get(pod.metadata.uid, {}))
            if text and not is_critical(pod):
                self._evict(pod, text)
                found = True
        return found

    async def _relieve(self, met: list[Met]) -> None:
        first = met[0]
        resource = first.signal.resource
        node = about(self._config.node_name)
        self._events.event(node, "Warning", "EvictionThresholdMet", f"Attempting to reclaim {resource}")
        if first.signal.condition == "DiskPressure":
            await self._garbage.collect_containers()
            await self._garbage.collect_images(always=True)
            if first.signal.name not in {each.signal.name for each in observe(self._machine)}:
                return
        used = self._by_container(await self._records.usage(), _AMOUNTS[resource])
        totals = {uid: sum(parts.values()) for uid, parts in used.items()}
        for pod in ranked(self._pods(), totals, resource):
            self._evict(pod, message(pod, first, used.get(pod.metadata.uid, {})))
            return

    def _by_container(self, usage: Sequence[Usage], amount: Callable[[Usage], int]) -> dict[str, dict[str, int]]:
        """Return what each container uses, by UID and name."""
        runs = {run.id: (uid, run.name) for uid in self._pleg.uids() for run in self._pleg.record(uid).instances}
        found: dict[str, dict[str, int]] = {}
        for each in usage:
            if each.container_id in runs:
                uid, name = runs[each.container_id]
                found.setdefault(uid, {})[name] = amount(each)
        return found


def _amount(count: int) -> str:
    """Return bytes or pieces as upstream prints them."""
    return str(quantity.of_value(count, "binary"))
