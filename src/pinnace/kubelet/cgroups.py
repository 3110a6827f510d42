"""The kernel's control groups of pods, above those that the runtime makes for containers.

    <root>                         cpu and memory: what the node has, less what is kept for others
    <root>/pod<uid>                Guaranteed
    <root>/burstable/pod<uid>      cpu: what its pods ask for together
    <root>/besteffort/pod<uid>     cpu: the least there is

Both versions of the kernel's interface are known: version 1 has a tree per controller, version 2 one tree. Where the groups cannot be
written (no rights, no such controller), pods run without them, and that is said once. Upstream: kubelet `cm/pod_container_manager_linux.go`,
`cm/qos_container_manager_linux.go`, `cm/helpers_linux.go`.
"""

import errno
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.component.logging import get_logger
from pinnace.kubelet import pod_resources
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.container_config import CPU_PERIOD, cgroup_parent, cpu_quota, cpu_shares

MOUNT = Path("/sys/fs/cgroup")
_TIERS = {"Burstable": "burstable", "BestEffort": "besteffort"}
_CONTROLLERS = ("cpu", "memory", "pids")
_LEAST_SHARES = 2
_log = get_logger("cgroups")


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of a group; None leaves one as it is."""

    shares: int | None = None
    quota: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None


class PodCgroups(Protocol):
    """The groups of all pods of one node."""

    @abstractmethod
    def limit_all(self, amounts: Mapping[str, str]) -> bool:
        """Keep all pods together to what the node gives them; tells whether they are."""

    @abstractmethod
    def create(self, pod: core_v1.Pod) -> None:
        """Make a pod's group, or bring its limits up to date."""

    @abstractmethod
    def processes(self, pod: core_v1.Pod) -> int:
        """Return how many processes a pod has, threads included; zero where nobody knows."""

    @abstractmethod
    def one_process(self, pod: core_v1.Pod) -> int | None:
        """Return the ID of a process of a pod; None where nobody knows, or there is none."""

    @abstractmethod
    def balance(self, pods: Iterable[core_v1.Pod]) -> None:
        """Give the tiers the weight that their pods ask for."""

    @abstractmethod
    def remove(self, pod: core_v1.Pod) -> None:
        """Take a pod's group away; harmless when there is none."""


class KernelCgroups(PodCgroups):
    """Groups of this machine's kernel."""

    def __init__(self, config: KubeletConfig, mount: Path = MOUNT) -> None:
        self._config, self._mount = config, mount
        self._unified = (mount / "cgroup.controllers").exists()
        self._said = False
        self._weights: dict[str, int] = {}

    def limit_all(self, amounts: Mapping[str, str]) -> bool:
        cores, memory = (pod_resources.amount(amounts, name) for name in ("cpu", "memory"))
        return self._set(self._config.cgroup_root, Limits(shares=cpu_shares(cores), memory_bytes=memory))

    def create(self, pod: core_v1.Pod) -> None:
        limits = pod_limits(pod)
        if self._config.pod_pids_limit > 0:
            limits = replace(limits, pids=self._config.pod_pids_limit)
        self._set(cgroup_parent(self._config, pod), limits)

    def processes(self, pod: core_v1.Pod) -> int:
        try:
            return int((self._counted(pod) / "pids.current").read_text())
        except (OSError, ValueError):
            return 0

    def one_process(self, pod: core_v1.Pod) -> int | None:
        for file in self._counted(pod).glob("*/cgroup.procs"):
            try:
                found = file.read_text().split()
            except OSError:
                continue
            if found:
                return int(found[0])
        return None

    def _counted(self, pod: core_v1.Pod) -> Path:
        """Return the folder of a pod's group in which its processes are counted."""
        top = self._mount if self._unified else self._mount / "pids"
        return top / cgroup_parent(self._config, pod).lstrip("/")

    def balance(self, pods: Iterable[core_v1.Pod]) -> None:
        asked = sum(pod_resources.requests(pod).get("cpu", 0) for pod in pods if pod.status.qos_class == "Burstable")
        for name, shares in (("burstable", cpu_shares(asked)), ("besteffort", _LEAST_SHARES)):
            if self._weights.get(name) != shares:
                self._set(f"{self._config.cgroup_root}/{name}", Limits(shares=shares))
                self._weights[name] = shares

    def remove(self, pod: core_v1.Pod) -> None:
        below = cgroup_parent(self._config, pod).lstrip("/")
        for top in (self._mount,) if self._unified else tuple(self._mount.glob("*")):
            with suppress(OSError):
                (top / below).rmdir()

    def _set(self, group: str, limits: Limits) -> bool:
        try:
            if self._unified:
                self._set_unified(group.lstrip("/"), limits)
            else:
                self._set_divided(group.lstrip("/"), limits)
        except OSError as error:
            if not self._said:
                _log.warning("pods run without control groups of their own", group=group, error=str(error))
                self._said = True
            return False
        return True

    def _set_divided(self, group: str, limits: Limits) -> None:
        for controller in _CONTROLLERS:
            top = self._mount / controller
            if top.is_dir():
                (top / group).mkdir(parents=True, exist_ok=True)
        cpu, memory = self._mount / "cpu" / group, self._mount / "memory" / group
        if limits.shares is not None:
            (cpu / "cpu.shares").write_text(str(limits.shares))
        if limits.quota is not None:
            (cpu / "cpu.cfs_period_us").write_text(str(CPU_PERIOD))
            (cpu / "cpu.cfs_quota_us").write_text(str(limits.quota))
        if limits.memory_bytes is not None:
            (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
        if limits.pids is not None:
            (self._mount / "pids" / group / "pids.max").write_text(str(limits.pids))

    def _set_unified(self, group: str, limits: Limits) -> None:
        at = self._mount
        for part in group.split("/"):
            _enable(at)
            at /= part
            at.mkdir(exist_ok=True)
        if limits.shares is not None:
            (at / "cpu.weight").write_text(str(weight(limits.shares)))
        if limits.quota is not None:
            quota = str(limits.quota) if limits.quota > 0 else "max"
            (at / "cpu.max").write_text(f"{quota} {CPU_PERIOD}")
        if limits.memory_bytes is not None:
            (at / "memory.max").write_text(str(limits.memory_bytes))
        if limits.pids is not None:
            (at / "pids.max").write_text(str(limits.pids))


def pod_limits(pod: core_v1.Pod) -> Limits:
    """Return the limits of a pod's group by its quality of service."""
    if pod.status.qos_class == "BestEffort":
        return Limits(shares=_LEAST_SHARES)
    asked, most = pod_resources.requests(pod), pod_resources.limits(pod)
    cpu = most.get("cpu", 0) if pod_resources.every_container_limits(pod, "cpu") else 0
    memory = most.get("memory", 0) if pod_resources.every_container_limits(pod, "memory") else 0
    return Limits(
        shares=cpu_shares(asked.get("cpu", 0)), quota=cpu_quota(cpu) if cpu else None, memory_bytes=memory or None
    )


def weight(shares: int) -> int:
    """Return version 2's weight for version 1's shares, as the agent converts them (the runtime has a formula of its own)."""
    return 1 + (shares - 2) * 9999 // 262142


def _enable(folder: Path) -> None:
    """Let the groups below a folder of version 2 use the controllers that it has."""
    has = (folder / "cgroup.controllers").read_text().split()
    for controller in _CONTROLLERS:
        if controller in has:
            try:
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError as error:
                # A group that has processes of its own cannot hand a controller on; what it has already handed on works.
                if error.errno != errno.EBUSY:
                    raise
