"""What the node agent is told at its start: names, folders, addresses."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct, field

from pinnace import VERSION


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
