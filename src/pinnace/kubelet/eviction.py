"""Watches over memory and disk; tells of pressure, and ends pods before the machine suffers.

A signal below a threshold is a condition of the node, and stays one for a while (five minutes). Disk is first won back by removing dead containers and
unused images; if that does not help, and at once for memory and processes, one pod ends per look: those that use more than they asked for
first, then those of lower priority, then those that use the most above what they asked for. A soft threshold has to be met for its grace
period, and gives pods a grace of their own. Pods that fill more of the disk than their own limits
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
from pinnace.kubelet.admission import Refusal, tolerates
from pinnace.kubelet.config import SIGNALS, KubeletConfig, Signal
from pinnace.kubelet.disk_limits import DiskLimits
from pinnace.kubelet.garbage import Garbage
from pinnace.kubelet.machine import Machine
from pinnace.kubelet.node_allocatable import of_capacity
from pinnace.kubelet.node_status import about
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import PodRecords, RuntimeFailure, Usage
from pinnace.kubelet.static_pods import is_static
from pinnace.machinery import quantity

_PERIOD_SECONDS = 10.0
# What a pod gets to end when a hard threshold ends it.
_HARD_GRACE_SECONDS = 1
_CRITICAL_PRIORITY = 2_000_000_000
# What of a container's usage counts for a resource.
_AMOUNTS: Mapping[str, Callable[[Usage], int]] = {
    "memory": lambda each: each.memory_bytes,
    "ephemeral-storage": lambda each: each.disk_bytes,
    "inodes": lambda each: each.inodes,
}
_MEMORY_TAINT = core_v1.Taint(key="node.kubernetes.io/memory-pressure", effect="NoSchedule")
_log = get_logger("eviction")


class Threshold(Struct, frozen=True):
    """The least that there has to be of a signal; `grace_seconds` is how long there may be less, None for not at all."""

    name: str
    amount: str
    grace_seconds: float | None = None

    @property
    def signal(self) -> Signal:
        return SIGNALS[self.name]


class Met(Struct, frozen=True):
    """A signal that is below a threshold: what there is, and what there should be."""

    threshold: Threshold
    available: int
    least: int

    @property
    def signal(self) -> Signal:
        return self.threshold.signal


def thresholds(config: KubeletConfig) -> tuple[Threshold, ...]:
    """Return what a node watches, in the order in which it is acted on: memory first, what is hard before what is soft."""
    hard = [Threshold(name, amount) for name, amount in config.eviction_hard.items()]
    soft = [
        Threshold(name, amount, config.eviction_soft_seconds[name]) for name, amount in config.eviction_soft.items()
    ]
    return tuple(sorted((*hard, *soft), key=lambda each: (each.signal.resource != "memory", each.grace_seconds or 0)))


def observe(machine: Machine, watched: Iterable[Threshold]) -> list[Met]:
    """Return the thresholds that are met now; those of signals that nobody knows are not."""
    disk, memory, pids = machine.disk(), machine.memory(), machine.pids()
    nodefs, inodes = (disk.available_bytes, disk.capacity_bytes), (disk.inodes_free, disk.inodes)
    known = {
        "memory.available": (memory.available_bytes, memory.capacity_bytes),
        "nodefs.available": nodefs,
        "nodefs.inodesFree": inodes,
        "imagefs.available": nodefs,
        "imagefs.inodesFree": inodes,
        "pid.available": (pids.most - pids.running, pids.most),
    }
    found = []
    for threshold in watched:
        available, capacity = known[threshold.name]
        least = of_capacity(threshold.amount, capacity)
        if capacity and available < least:
            found.append(Met(threshold, available, least))
    return found


def ranked(pods: Iterable[core_v1.Pod], used: Mapping[str, int], resource: str) -> list[core_v1.Pod]:
    """Return pods in the order in which they are ended; `used` is by UID."""

    def order(pod: core_v1.Pod) -> tuple[bool, int, int]:
        if resource == "pids":
            # Nobody can ask for processes.
            return False, pod.spec.priority or 0, -used.get(pod.metadata.uid, 0)
        over = used.get(pod.metadata.uid, 0) - pod_resources.requests(pod).get(resource, 0)
        return over <= 0, pod.spec.priority or 0, -over

    return sorted((pod for pod in pods if not is_critical(pod)), key=order)


def is_critical(pod: core_v1.Pod) -> bool:
    """Tell whether the node cannot do without a pod."""
    return is_static(pod) or (pod.spec.priority or 0) >= _CRITICAL_PRIORITY


def message(pod: core_v1.Pod, met: Met, used: Mapping[str, int]) -> str:
    """Return why a pod has to go; `used` is by container."""
    resource = met.signal.resource
    text = (
        f"The node was low on resource: {resource}. Threshold quantity: {_amount(met.least)}, "
        f"available: {_amount(met.available)}. "
    )
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        using, asked = used.get(container.name, 0), container.resources.requests.get(resource, "0")
        if resource not in {"inodes", "pids"} and using > quantity.parse(asked).value():
            text += (
                f"Container {container.name} was using {_amount(using)}, request is {quantity.canonical(asked)}, "
                f"has larger consumption of {resource}. "
            )
    return text


class Evictions:
    """Watches over one node. `pods` are those that run, `evict` ends one with a message and a grace in seconds."""

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
        evict: Callable[[core_v1.Pod, str, int], None],
        processes: Callable[[core_v1.Pod], int],
    ) -> None:
        self._config, self._clock, self._machine, self._records = config, clock, machine, records
        self._pleg, self._garbage, self._events = pleg, garbage, events
        self._pods, self._evict, self._processes = pods, evict, processes
        self._watched = thresholds(config)
        # Since when each threshold has been met, on the monotonic clock.
        self._since: dict[Threshold, float] = {}
        self._limits = DiskLimits(config)
        # When each condition was last true, on the monotonic clock.
        self._last: dict[str, float] = {}

    def pressures(self) -> frozenset[str]:
        """Return the conditions of the node that are true."""
        now = self._clock.monotonic()
        return frozenset(name for name, at in self._last.items() if now - at < self._config.eviction_transition_seconds)

    def refusal(self, pod: core_v1.Pod) -> Refusal | None:
        """Return why the node, as it is now, does not take another pod; None when it does."""
        found = self.pressures()
        if not found or is_critical(pod):
            return None
        if found == {"MemoryPressure"} and (
            pod.status.qos_class != "BestEffort"
            or any(tolerates(toleration, _MEMORY_TAINT) for toleration in pod.spec.tolerations)
        ):
            return None
        return Refusal("Evicted", f"The node had condition: [{' '.join(sorted(found))}]. ")

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
        met = observe(self._machine, self._watched)
        now = self._clock.monotonic()
        self._since = {each.threshold: self._since.get(each.threshold, now) for each in met}
        for each in met:
            self._last[each.signal.condition] = now
        met = [each for each in met if now - self._since[each.threshold] >= (each.threshold.grace_seconds or 0)]
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
                self._evict(pod, text, _HARD_GRACE_SECONDS)
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
            if not observe(self._machine, (first.threshold,)):
                return
        used: dict[str, dict[str, int]] = {}
        if resource in _AMOUNTS:
            used = self._by_container(await self._records.usage(), _AMOUNTS[resource])
            totals = {uid: sum(parts.values()) for uid, parts in used.items()}
        else:
            totals = {pod.metadata.uid: self._processes(pod) for pod in self._pods()}
        for pod in ranked(self._pods(), totals, resource):
            text = message(pod, first, used.get(pod.metadata.uid, {}))
            self._evict(pod, text, self._grace_seconds(pod, first.threshold))
            return

    def _grace_seconds(self, pod: core_v1.Pod, threshold: Threshold) -> int:
        if threshold.grace_seconds is None:
            return _HARD_GRACE_SECONDS
        asked = pod.spec.termination_grace_period_seconds
        most = self._config.eviction_max_grace_seconds
        return most if asked is None else min(asked, most)

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
