"""What a cluster's own containerd is told, from what this machine can do; pure, but for `detect`.

Invariant: nothing of it lies outside the cluster's folder, so that it never meets the distribution's containerd. Shape of the file:
containerd's configuration version 2, read by 1.6 and 1.7, and by 2.x, which migrates it while reading.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

PAUSE_IMAGE = "localhost/pinnace/pause:1"
CNI_BIN_DIRS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
CAP_SYS_RESOURCE = 24
# Bytes of a Unix socket's path, its final zero included; containerd adds `.ttrpc` to the one it is given.
SOCKET_PATH_LIMIT_BYTES = 108 - len(".ttrpc")


class ContainerdError(Exception):
    """containerd cannot be used; the text says what, why, and what to do."""


class ContainerdPaths(Struct, frozen=True):
    """The files of one containerd, all under `root`."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def socket(self) -> Path:
        return self.root / "containerd.sock"

    @property
    def data(self) -> Path:
        """Images, snapshots, metadata: survives a reboot."""
        return self.root / "root"

    @property
    def state(self) -> Path:
        """Sockets, mounts, running tasks: worth nothing after a reboot."""
        return self.root / "state"

    @property
    def boot_id(self) -> Path:
        """Which boot of the machine `state` belongs to."""
        return self.root / "boot_id"

    @property
    def cni_conf(self) -> Path:
        return self.root / "cni/net.d"

    @property
    def cni_data(self) -> Path:
        """Addresses that host-local has given away."""
        return self.root / "cni/networks"

    @property
    def registries(self) -> Path:
        """Mirrors of image registries: `<host>/hosts.toml`, as containerd documents them."""
        return self.root / "certs.d"

    @property
    def log(self) -> Path:
        return self.root / "containerd.log"

    def check(self) -> None:
        """Refuse a folder whose name leaves no room for a socket.

        Raises:
            ContainerdError: it does.
        """
        if len(os.fsencode(self.socket)) >= SOCKET_PATH_LIMIT_BYTES:
            raise ContainerdError(
                f"{self.root}: the name is too long for a Unix socket in it: choose a shorter --data-dir"
            )


class Machine(Struct, frozen=True):
    """What matters here of a machine; `missing` names the tools that real pods need and that are not there."""

    can_raise_oom_score: bool
    has_overlay: bool
    cni_bin_dir: str
    missing: tuple[str, ...]


def detect() -> Machine:
    """Look at this machine."""
    tools = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "ip", "busybox", "catatonit")
    missing = [tool for tool in tools if shutil.which(tool, path=search_path()) is None]
    if platform.system() != "Linux":
        missing.insert(0, "Linux")
    folder = cni_bin_dir(CNI_BIN_DIRS)
    if not folder:
        missing.append("CNI plug-ins (containernetworking-plugins)")
    status = _read("/proc/self/status")
    return Machine(
        can_raise_oom_score=has_capability(status, CAP_SYS_RESOURCE),
        has_overlay=_has_overlay(),
        cni_bin_dir=folder,
        missing=tuple(missing),
    )


def missing_for_containers() -> list[str]:
    """Return what real pods need and this machine, or this user, has not."""
    return list(detect().missing) if os.geteuid() == 0 else ["root"]


def search_path() -> str:
    """Return PATH with the folders of administrators' tools, which users' PATHs lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"])


def has_capability(status: str, number: int) -> bool:
    """Tell whether a process has a capability, from its `/proc/<pid>/status`."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> number & 1)


def cni_bin_dir(folders: Iterable[str]) -> str:
    """Return the first folder that holds every plug-in in use, or an empty text."""
    return next(
        (folder for folder in folders if all(os.access(f"{folder}/{name}", os.X_OK) for name in CNI_PLUGINS)), ""
    )


def render(paths: ContainerdPaths, machine: Machine) -> str:
    """Return the configuration file."""
    snapshotter = "overlayfs" if machine.has_overlay else "native"
    return f"""version = 2
root = {_quoted(paths.data)}
state = {_quoted(paths.state)}
oom_score = 0

[grpc]
  address = {_quoted(paths.socket)}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {_quoted(PAUSE_IMAGE)}
  restrict_oom_score_adj = {_flag(not machine.can_raise_oom_score)}
  disable_apparmor = {_flag(not Path("/sys/kernel/security/apparmor").exists())}
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {_quoted(machine.cni_bin_dir)}
    conf_dir = {_quoted(paths.cni_conf)}
    max_conf_num = 1
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = {_quoted(snapshotter)}
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = {_quoted(paths.state / "runc")}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {_quoted(paths.registries)}

[plugins."io.containerd.internal.v1.opt"]
  path = {_quoted(paths.root / "opt")}
"""


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value itself
    return "true" if value else "false"


def _has_overlay() -> bool:
    """Tell whether overlayfs can be mounted; a kernel lists a file system that is a module only once that is loaded."""
    if "\toverlay\n" not in _read("/proc/filesystems") and (modprobe := shutil.which("modprobe", path=search_path())):
        subprocess.run([modprobe, "overlay"], check=False, capture_output=True)
    return "\toverlay\n" in _read("/proc/filesystems")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
