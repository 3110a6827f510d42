"""What a node is made of: processors, memory, disk, kernel. Upstream: kubelet `cadvisor`, `nodestatus/setters.go`."""

import os
import platform
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pinnace.api import core_v1

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Machine(Protocol):
    """A machine that is a node."""

    @abstractmethod
    def capacity(self) -> Mapping[str, str]:
        """Return what it has: `cpu`, `memory`, `ephemeral-storage`, `hugepages-*`."""

    @abstractmethod
    def info(self) -> core_v1.NodeSystemInfo:
        """Return what it is; runtime and agent versions are left to the caller."""


class LinuxMachine(Machine):
    """This machine; `root` lies on the disk that pods may fill."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._root = root

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

    def info(self) -> core_v1.NodeSystemInfo:
        release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
        machine = platform.machine()
        return core_v1.NodeSystemInfo(
            machine_id=(_read("/etc/machine-id") or _read("/var/lib/dbus/machine-id")).strip(),
            system_uuid=_read("/sys/class/dmi/id/product_uuid").strip(),
            boot_id=_read("/proc/sys/kernel/random/boot_id").strip(),
            kernel_version=platform.release(),
            os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
            operating_system="linux",
            architecture=_ARCHITECTURES.get(machine, machine),
        )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
