"""What the node agent is told at its start: names, folders, addresses."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct, field

from pinnace import VERSION


class Signal(Struct, frozen=True):
    """What is watched: the condition of a node that has too little of it, and the resource that pods are ended for."""

    condition: str
    resource: str


SIGNALS: Mapping[str, Signal] = {
    "memory.available": Signal("MemoryPressure", "memory"),
    "nodefs.available": Signal("DiskPressure", "ephemeral-storage"),
    "nodefs.inodesFree": Signal("DiskPressure", "inodes"),
    "imagefs.available": Signal("DiskPressure", "ephemeral-storage"),
    "imagefs.inodesFree": Signal("DiskPressure", "inodes"),
    "pid.available": Signal("PIDPressure", "pids"),
}
_EVICTION_HARD: Mapping[str, str] = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}


class ShutdownGroup(Struct, frozen=True):
    """Pods of this priority and above, and how long they may take to end when the machine goes down."""

    priority: int
    seconds: int


class KubeletConfig(Struct, frozen=True, kw_only=True):
    """Settings of one node; seconds and bytes where a name says so."""

    node_name: str
    node_ip: str
    root_dir: Path = Path("/var/lib/kubelet")
    log_dir: Path = Path("/var/log/pods")
    container_log_links: Path | None = None
    port: int = 10250
    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ()
    resolv_conf: Path = Path("/etc/resolv.conf")
    cgroup_root: str = "/kubepods"
    max_pods: int = 110
    # For each processor; zero for as many as `max_pods` says.
    pods_per_core: int = 0
    # Processes of one pod; no limit below one.
    pod_pids_limit: int = -1
    static_pod_path: Path | None = None
    # What pods may not have, by resource.
    kube_reserved: Mapping[str, str] = field(default_factory=dict)
    system_reserved: Mapping[str, str] = field(default_factory=dict)
    # By signal, the least that there has to be: an amount, or a share like `10%`. What is soft counts after its seconds.
    eviction_hard: Mapping[str, str] = field(default_factory=lambda: _EVICTION_HARD)
    eviction_soft: Mapping[str, str] = field(default_factory=dict)
    eviction_soft_seconds: Mapping[str, float] = field(default_factory=dict)
    # The most that a pod gets to end when a soft threshold ends it.
    eviction_max_grace_seconds: int = 0
    # For how long a pressure is told after it was last seen.
    eviction_transition_seconds: float = 300.0
    # How full the disk of images has to be until some go, and how full it may be then.
    image_gc_high_percent: int = 85
    image_gc_low_percent: int = 80
    image_min_age_seconds: float = 120.0
    # Images that were unused for longer go in any case; zero for never.
    image_max_age_seconds: float = 0.0
    # Gives the images that are never cleaned away, as no registry has them.
    kept_images: Callable[[], frozenset[str]] = frozenset
    node_labels: Mapping[str, str] = field(default_factory=dict)
    node_annotations: Mapping[str, str] = field(default_factory=dict)
    version: str = VERSION
    # Seconds between two looks at the whole runtime; zero when its events tell everything.
    relist_seconds: float = 1.0
    # Seconds until a pod with which all is well is looked at again; zero for never.
    sync_seconds: float = 60.0
    # Seconds that the agent's waking times are multiples of, so that agents of one process write together; zero for whenever.
    beat_seconds: float = 0.0
    container_log_max_bytes: int = 10 * 1024 * 1024
    container_log_max_files: int = 5
    # In which order, and how fast, pods end when the machine goes down; none for not at all.
    shutdown_groups: tuple[ShutdownGroup, ...] = ()
