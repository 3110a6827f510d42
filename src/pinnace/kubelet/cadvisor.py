"""What containers use, under the names that dashboards know: `/metrics/cadvisor` as Prometheus text.

A row with an empty `container` is the pod as a whole. Times are those of the look. Upstream: google/cadvisor `metrics/prometheus.go`,
kubelet `server/server.go` (containerPrometheusLabelsFunc).
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.kubelet import pod_resources
from pinnace.kubelet.runtime import Instance, Usage

_FAMILIES = {
    "container_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed in seconds."),
    "container_fs_usage_bytes": ("gauge", "Number of bytes that are consumed by the container on this filesystem."),
    "container_last_seen": ("gauge", "Last time a container was seen by the exporter"),
    "container_memory_working_set_bytes": ("gauge", "Current working set in bytes."),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds."),
    "machine_cpu_cores": ("gauge", "Number of logical CPU cores."),
    "machine_memory_bytes": ("gauge", "Amount of memory installed on the machine."),
}


class Used(Struct, frozen=True):
    """One running container and what it has used; `group` is the kernel's name of its pod's control group."""

    pod: core_v1.Pod
    run: Instance
    usage: Usage
    group: str


def exposition(info: core_v1.NodeSystemInfo, capacity: Mapping[str, str], used: Iterable[Used]) -> str:
    """Return a node's metrics."""
    rows: dict[str, list[str]] = {name: [] for name in _FAMILIES}

    def put(name: str, labels: Mapping[str, str], value: float, at: int = 0) -> None:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        stamp = f" {at // 1_000_000}" if at else ""
        rows[name].append(f"{name}{{{inner}}} {value}{stamp}\n")

    machine = {"boot_id": info.boot_id, "machine_id": info.machine_id, "system_uuid": info.system_uuid}
    put("machine_cpu_cores", machine, pod_resources.amount(capacity, "cpu") / 1000)
    put("machine_memory_bytes", machine, pod_resources.amount(capacity, "memory"))
    pods: dict[str, list[Used]] = {}
    for each in used:
        pods.setdefault(each.pod.metadata.uid, []).append(each)
        labels = _labels(each, container=True)
        at = each.usage.at
        put("container_cpu_usage_seconds_total", _with_cpu(labels), each.usage.cpu_nanos / 1e9, at)
        put("container_memory_working_set_bytes", labels, each.usage.memory_bytes, at)
        put("container_fs_usage_bytes", {**labels, "device": ""}, each.usage.disk_bytes, at)
        put("container_last_seen", labels, at // 1_000_000_000, at)
        put("container_start_time_seconds", labels, each.run.started_at / 1e9, at)
    for parts in pods.values():
        labels, at = _labels(parts[0], container=False), max(part.usage.at for part in parts)
        nanos = sum(part.usage.cpu_nanos for part in parts)
        put("container_cpu_usage_seconds_total", _with_cpu(labels), nanos / 1e9, at)
        put("container_memory_working_set_bytes", labels, sum(part.usage.memory_bytes for part in parts), at)
        put("container_last_seen", labels, at // 1_000_000_000, at)
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(rows[name])}"
        for name, (kind, text) in _FAMILIES.items()
        if rows[name]
    )


def _labels(each: Used, *, container: bool) -> dict[str, str]:
    meta, run = each.pod.metadata, each.run
    return {
        "container": run.name if container else "",
        "id": f"{each.group}/{run.id}" if container else each.group,
        "image": run.image if container else "",
        "name": run.id if container else "",
        "namespace": meta.namespace,
        "pod": meta.name,
    }


def _with_cpu(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels that say that all processors are meant."""
    return {"container": labels["container"], "cpu": "total", **labels}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
