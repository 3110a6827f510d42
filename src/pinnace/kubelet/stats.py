"""What the node and its pods use: `/stats/summary` as JSON, `/metrics/resource` and `/metrics/cadvisor` for Prometheus.

The numbers are the runtime's own; a rate of processor use is the difference of two looks. Upstream: kubelet `server/stats/summary.go`,
`metrics/collectors/resource_metrics.go`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet import cadvisor, network_usage
from pinnace.kubelet.cgroups import PodCgroups
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.container_config import cgroup_parent
from pinnace.kubelet.disk_limits import Occupied, occupied
from pinnace.kubelet.machine import Disk, Machine
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import Instance, PodRecords, State, Usage
from pinnace.machinery import timestamps

# A rate over less than this says nothing.
_LEAST_NANOS = 100_000_000


class Stats:
    """The numbers of one node."""

    def __init__(
        self,
        config: KubeletConfig,
        clock: Clock,
        records: PodRecords,
        pleg: Pleg,
        machine: Machine,
        cgroups: PodCgroups,
        pods: Callable[[], Sequence[core_v1.Pod]],
    ) -> None:
        self._config, self._clock = config, clock
        self._records, self._pleg, self._machine, self._pods = records, pleg, machine, pods
        self._cgroups = cgroups
        self._began = timestamps.format(clock.time())
        self._last: dict[str, Usage] = {}
        self._rates: dict[str, int] = {}
        # The machine's processor time at the last look, when that was, and its rate then.
        self._node_before = (0, float("-inf"))
        self._node_rate = 0

    async def summary(self, *, only_cpu_and_memory: bool = False) -> dict[str, Any]:
        """Return the node's summary; errors as for the runtime's `usage`."""
        usage = await self._look()
        pods = []
        for pod in self._pods():
            made = self._pod(pod, usage)
            pods.append(made if only_cpu_and_memory else made | await self._details(pod, made["containers"], usage))
        memory, disk = self._machine.memory(), self._machine.disk()
        now = timestamps.format(self._clock.time())
        in_pods = _total(pods, "memory", now, "workingSetBytes")["workingSetBytes"]
        used = memory.capacity_bytes - memory.available_bytes if memory.capacity_bytes else in_pods
        node: dict[str, Any] = {
            "nodeName": self._config.node_name,
            "startTime": self._began,
            "cpu": self._node_cpu(pods, now),
            "memory": {"time": now, "availableBytes": memory.available_bytes, "workingSetBytes": used},
        }
        if not only_cpu_and_memory:
            fs = _on(disk, now, disk.capacity_bytes - disk.available_bytes, disk.inodes - disk.inodes_free)
            pids, swap = self._machine.pids(), self._machine.swap()
            node |= {
                "fs": fs,
                "runtime": {"imageFs": fs, "containerFs": fs},
                "rlimit": {"time": now, "maxpid": pids.most, "curproc": pids.running},
                "swap": {
                    "time": now,
                    "swapAvailableBytes": swap.available_bytes,
                    "swapUsageBytes": swap.capacity_bytes - swap.available_bytes,
                },
            }
            if found := self._machine.interfaces():
                node["network"] = network_usage.summary(found, now)
        return {"node": node, "pods": pods}

    def _node_cpu(self, pods: Sequence[Mapping[str, Any]], now: str) -> dict[str, Any]:
        """Return the machine's processor time, or that of its pods where a machine has none of its own."""
        nanos = self._machine.cpu_nanos()
        if not nanos:
            return _total(pods, "cpu", now, "usageNanoCores", "usageCoreNanoSeconds")
        at = self._clock.monotonic()
        before, since = self._node_before
        if (at - since) * 1_000_000_000 >= _LEAST_NANOS:
            self._node_rate = int((nanos - before) / (at - since)) if before else 0
            self._node_before = nanos, at
        return {"time": now, "usageNanoCores": self._node_rate, "usageCoreNanoSeconds": nanos}

    async def cadvisor(self) -> str:
        """Return what containers use under the names that dashboards know."""
        usage = await self._look()
        used = [
            cadvisor.Used(pod, run, usage[run.id], cgroup_parent(self._config, pod))
            for pod in self._pods()
            for run in self._pleg.record(pod.metadata.uid).instances
            if run.state is State.RUNNING and run.id in usage
        ]
        return cadvisor.exposition(self._machine.info(), self._machine.capacity(), used)

    async def metrics(self) -> str:
        """Return processor and memory of node, pods and containers in Prometheus' text format."""
        summary = await self.summary(only_cpu_and_memory=True)
        lines: dict[str, list[str]] = {name: [] for name in _METRICS}

        def put(level: str, labels: str, found: Mapping[str, Any]) -> None:
            if "cpu" in found:
                seconds = found["cpu"]["usageCoreNanoSeconds"] / 1e9
                lines[f"{level}_cpu_usage_seconds_total"].append(f"{labels} {seconds}")
                lines[f"{level}_memory_working_set_bytes"].append(f"{labels} {found['memory']['workingSetBytes']}")

        put("node", "", summary["node"])
        for pod in summary["pods"]:
            ref = pod["podRef"]
            of_pod = f'namespace="{ref["namespace"]}",pod="{ref["name"]}"'
            put("pod", f"{{{of_pod}}}", pod)
            for container in pod["containers"]:
                labels = f'{{container="{container["name"]}",{of_pod}}}'
                put("container", labels, container)
                started = timestamps.parse(container["startTime"])
                lines["container_start_time_seconds"].append(f"{labels} {started}")
        lines["resource_scrape_error"].append(" 0")
        return "".join(
            f"# HELP {name} [STABLE] {text}\n# TYPE {name} {kind}\n"
            + "".join(f"{name}{line}\n" for line in lines[name])
            for name, (kind, text) in _METRICS.items()
            if lines[name]
        )

    async def _look(self) -> dict[str, Usage]:
        found = {each.container_id: each for each in await self._records.usage()}
        for key, new in found.items():
            old = self._last.get(key)
            if old is None:
                self._last[key] = new
            elif new.at - old.at >= _LEAST_NANOS:
                self._rates[key] = max(new.cpu_nanos - old.cpu_nanos, 0) * 1_000_000_000 // (new.at - old.at)
                self._last[key] = new
        self._last = {key: value for key, value in self._last.items() if key in found}
        self._rates = {key: value for key, value in self._rates.items() if key in found}
        return found

    async def _details(
        self, pod: core_v1.Pod, containers: Sequence[dict[str, Any]], usage: Mapping[str, Usage]
    ) -> dict[str, Any]:
        """Return what a pod uses beside processor and memory, and complete its containers with it."""
        now, disk = timestamps.format(self._clock.time()), self._machine.disk()
        found = await asyncio.to_thread(occupied, self._config, pod) if disk.capacity_bytes else Occupied({}, {})
        runs = {run.name: run.id for run in self._pleg.record(pod.metadata.uid).instances if run.id in usage}
        total = sum(found.volumes.values())
        for each in containers:
            layer, logs = usage[runs[each["name"]]], found.logs.get(each["name"], 0)
            each["rootfs"] = _on(disk, now, layer.disk_bytes, layer.inodes)
            each["logs"] = _on(disk, now, logs)
            total += layer.disk_bytes + logs
        made: dict[str, Any] = {
            "volume": [{**_on(disk, now, size), "name": name} for name, size in found.volumes.items()],
            "ephemeral-storage": _on(disk, now, total),
            "process_stats": {"process_count": self._cgroups.processes(pod)},
        }
        process = None if pod.spec.host_network else self._cgroups.one_process(pod)
        if process is not None and (carried := network_usage.interfaces(process)):
            made["network"] = network_usage.summary(carried, now)
        return made

    def _pod(self, pod: core_v1.Pod, usage: Mapping[str, Usage]) -> dict[str, Any]:
        meta = pod.metadata
        runs = [run for run in self._pleg.record(meta.uid).instances if run.state is State.RUNNING]
        containers = [self._container(run, usage[run.id]) for run in runs if run.id in usage]
        now = timestamps.format(self._clock.time())
        made: dict[str, Any] = {
            "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "startTime": pod.status.start_time,
            "containers": containers,
        }
        if containers:
            made["cpu"] = _total(containers, "cpu", now, "usageNanoCores", "usageCoreNanoSeconds")
            made["memory"] = _total(containers, "memory", now, "workingSetBytes")
        return made

    def _container(self, run: Instance, usage: Usage) -> dict[str, Any]:
        at = timestamps.format(usage.at / 1e9)
        return {
            "name": run.name,
            "startTime": timestamps.format(run.started_at / 1e9),
            "cpu": {
                "time": at,
                "usageNanoCores": self._rates.get(run.id, 0),
                "usageCoreNanoSeconds": usage.cpu_nanos,
            },
            "memory": {"time": at, "workingSetBytes": usage.memory_bytes},
        }


_METRICS = {
    f"{level}_{name}": (kind, f"{text} of the {level}")
    for level in ("container", "pod", "node")
    for name, kind, text in (
        ("cpu_usage_seconds_total", "counter", "Cumulative processor time in core-seconds"),
        ("memory_working_set_bytes", "gauge", "Current working set in bytes"),
    )
} | {
    "container_start_time_seconds": ("gauge", "Start time of the container in seconds since the epoch"),
    "resource_scrape_error": ("gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
}


def _on(disk: Disk, now: str, used: int, inodes: int | None = None) -> dict[str, Any]:
    """Return how much of the disk something takes."""
    made = {
        "time": now,
        "availableBytes": disk.available_bytes,
        "capacityBytes": disk.capacity_bytes,
        "usedBytes": used,
        "inodesFree": disk.inodes_free,
        "inodes": disk.inodes,
    }
    return made if inodes is None else {**made, "inodesUsed": inodes}


def _total(parts: Iterable[Mapping[str, Any]], what: str, now: str, *names: str) -> dict[str, Any]:
    having = [part[what] for part in parts if what in part]
    return {"time": now, **{name: sum(part[name] for part in having) for name in names}}
