"""What a node is made of: processors, memory, disk, kernel. Upstream: kubelet `cadvisor`, `nodestatus/setters.go`."""

import os
import platform
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.component.architecture import architecture
from pinnace.kubelet.network_usage import Interface, interfaces

_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
# Where machines without DMI have it; upstream's order.
_SYSTEM_UUIDS = (
    "/sys/class/dmi/id/product_uuid",
    "/proc/device-tree/system-id",
    "/proc/device-tree/vm,uuid",
    "/etc/machine-id",
)


class Disk(Struct, frozen=True):
    """How full a file system is; all zero where nobody knows."""

    capacity_bytes: int = 0
    available_bytes: int = 0
    inodes: int = 0
    inodes_free: int = 0


class Memory(Struct, frozen=True):
    """How much memory there is and can still be given; all zero where nobody knows."""

    capacity_bytes: int = 0
    available_bytes: int = 0


class Pids(Struct, frozen=True):
    """How many processes (threads count, too) there may be, and are; all zero where nobody knows."""

    most: int = 0
    running: int = 0


class Machine(Protocol):
    """A machine that is a node."""

    @abstractmethod
    def capacity(self) -> Mapping[str, str]:
        """Return what it has: `cpu`, `memory`, `ephemeral-storage`, `hugepages-*`."""

    @abstractmethod
    def info(self) -> core_v1.NodeSystemInfo:
        """Return what it is; runtime and agent versions are left to the caller."""

    @abstractmethod
    def disk(self) -> Disk:
        """Return how full the file system is that pods and images fill."""

    @abstractmethod
    def memory(self) -> Memory:
        """Return how much memory is left, not counting what the kernel can take back."""

    @abstractmethod
    def swap(self) -> Memory:
        """Return how much swap there is, and is free."""

    @abstractmethod
    def interfaces(self) -> tuple[Interface, ...]:
        """Return what has gone through the machine's network interfaces."""

    @abstractmethod
    def pids(self) -> Pids:
        """Return how many processes there may be, and are."""

    @abstractmethod
    def cpu_nanos(self) -> int:
        """Return for how long its processors have been at work, in nanoseconds of one; 0 where nobody knows."""


class LinuxMachine(Machine):
    """This machine; `root` lies on the disk that pods may fill."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._root = root
        self._info: core_v1.NodeSystemInfo | None = None

    def capacity(self) -> Mapping[str, str]:
        memory = next(
            (line.split()[1] for line in _read("/proc/meminfo").splitlines() if line.startswith("MemTotal:")), "0"
        )
        disk = os.statvfs(self._root)
        return {
            "cpu": str(os.cpu_count() or 1),
            "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
            "memory": f"{memory}Ki",
        }

    def disk(self) -> Disk:
        found = os.statvfs(self._root)
        size = found.f_frsize
        return Disk(found.f_blocks * size, found.f_bavail * size, found.f_files, found.f_favail)

    def memory(self) -> Memory:
        return Memory(*_meminfo("MemTotal", "MemAvailable"))

    def swap(self) -> Memory:
        return Memory(*_meminfo("SwapTotal", "SwapFree"))

    def interfaces(self) -> tuple[Interface, ...]:
        return interfaces()

    def pids(self) -> Pids:
        limits = [int(_read(path) or 0) for path in ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max")]
        _, _, running = _read("/proc/loadavg").partition("/")
        return Pids(min(limits), int(running.split()[0]) if running else 0)

    def cpu_nanos(self) -> int:
        # user, nice, system, idle, iowait, irq, softirq, steal, in ticks
        ticks = [int(word) for word in _read("/proc/stat").partition("\n")[0].split()[1:9]]
        idle = sum(ticks[3:5])
        return (sum(ticks) - idle) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def info(self) -> core_v1.NodeSystemInfo:
        if self._info is None:
            self._info = self._read_info()
        return self._info

    @staticmethod
    def _read_info() -> core_v1.NodeSystemInfo:
        release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
        return core_v1.NodeSystemInfo(
            machine_id=_first(_MACHINE_IDS),
            system_uuid=_first(_SYSTEM_UUIDS),
            boot_id=_read("/proc/sys/kernel/random/boot_id").strip(),
            kernel_version=platform.release(),
            os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
            operating_system="linux",
            architecture=architecture(),
            swap=_swap(_read("/proc/meminfo")),
        )


def _swap(meminfo: str) -> core_v1.NodeSwapStatus | None:
    """Return how much swap there is; None where there is none."""
    found = next((line.split()[1] for line in meminfo.splitlines() if line.startswith("SwapTotal:")), "0")
    return core_v1.NodeSwapStatus(capacity=int(found) * 1024) if found != "0" else None


def _meminfo(*keys: str) -> Iterator[int]:
    """Yield bytes by the kernel's names."""
    lines = dict(line.partition(":")[::2] for line in _read("/proc/meminfo").splitlines())
    for key in keys:
        yield int(lines.get(key, "0 kB").split()[0]) * 1024


def _first(paths: tuple[str, ...]) -> str:
    return next(filter(None, (_read(path).strip() for path in paths)), "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
