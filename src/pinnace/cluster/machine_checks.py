"""What a machine has of what a cluster needs: each check with what was seen, what depends on it, and the mend.

    CLUSTER   nothing works without it
    PODS      without it pods are simulated
    COMFORT   everything works, but slower or less conveniently

Looking changes nothing on the machine. Whatever keeps a node from real pods (`this_node`) is among the failed checks of PODS.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from pinnace.cluster.containerd_config import (
    CAP_SYS_RESOURCE,
    CNI_BIN_DIRS,
    CNI_PLUGINS,
    cni_bin_dir,
    has_capability,
    search_path,
)
from pinnace.cluster.local_images import is_static
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.ports import API_PORT, KUBELET_PORT, free_port
from pinnace.cluster.server_state import running_state
from pinnace.component.kubeconfig import KubeconfigError, load, user_file

CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
# Upstream's thresholds: with less of the disk free, the node refuses pods and evicts those it has.
LEAST_FREE_PERCENT = 15
# Program → Debian's package, for programs whose absence keeps real pods away.
_TOOLS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
}
_STATIC_TOOLS = {"busybox": "busybox-static", "catatonit": "catatonit"}
_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
# Seconds for a probing program to end.
_PROBE_LIMIT_SECONDS = 10.0


class Need(StrEnum):
    """What depends on a check."""

    CLUSTER = "cluster"
    PODS = "pods"
    COMFORT = "comfort"


class Finding(Struct, frozen=True):
    """One check: what was looked for, what was seen, and what to do when that is not good."""

    what: str
    need: Need
    is_good: bool
    seen: str
    mend: str


def findings(paths: ClusterPaths) -> Iterator[Finding]:
    """Yield every check of this machine, for a cluster in one folder."""
    yield from _basis()
    yield from _kernel()
    yield from _rights(paths)
    yield from _tools()
    yield from _ports(paths)
    yield _kubeconfig()


def _basis() -> Iterator[Finding]:
    version, system = platform.python_version(), platform.system()
    yield Finding("Python", Need.CLUSTER, sys.version_info >= (3, 11), version, "install Python 3.11 or later")
    seen = f"{system} {platform.release()}"
    yield Finding("Linux", Need.PODS, system == "Linux", seen, "run on Linux; elsewhere nodes are simulated")


def _kernel() -> Iterator[Finding]:
    lacking = [name for name in _NAMESPACES if not Path("/proc/self/ns", name).exists()]
    yield _present("namespaces", lacking, "use a kernel that is built with namespaces, as every distribution's is")
    missing = [name for name in _CONTROLLERS if not _has_controller(name)]
    yield _present(
        "cgroups", missing, "mount cgroup2 at /sys/fs/cgroup; on some boards, boot with cgroup_enable=memory"
    )
    overlay = "\toverlay\n" in _text("/proc/filesystems") or _can_load("overlay")
    seen = "overlayfs" if overlay else "no overlayfs: every image layer is copied"
    yield Finding("file system of containers", Need.COMFORT, overlay, seen, "install the kernel's modules")
    for kind in ("bridge", "veth"):
        complaint = _probed("unshare", "--net", "ip", "link", "add", "name", "probe", "type", kind)
        yield Finding(
            f"network device {kind}", Need.PODS, not complaint, complaint or "can be made", f"modprobe {kind}"
        )
    complaint = _probed("nft", "list", "tables")
    yield Finding("nf_tables", Need.PODS, not complaint, complaint or "answers", "modprobe nf_tables")
    bridged = Path("/proc/sys/net/bridge").exists() or _can_load("br_netfilter")
    seen = "there" if bridged else "not there: pods of one node reach each other's Services by a detour"
    yield Finding("br_netfilter", Need.COMFORT, bridged, seen, "install the kernel's modules")


def _rights(paths: ClusterPaths) -> Iterator[Finding]:
    root = os.geteuid() == 0
    yield Finding("root", Need.PODS, root, "yes" if root else "no", "run as root, for example with sudo")
    status = _text("/proc/self/status")
    named = {"CAP_NET_ADMIN": CAP_NET_ADMIN, "CAP_SYS_ADMIN": CAP_SYS_ADMIN}
    lacking = [name for name, number in named.items() if not has_capability(status, number)]
    yield _present("capabilities", lacking, "run as root; in a container, give it --privileged")
    oom = has_capability(status, CAP_SYS_RESOURCE)
    seen = "has CAP_SYS_RESOURCE" if oom else "lacks CAP_SYS_RESOURCE: pods cannot be shielded from the OOM killer"
    yield Finding("OOM scores", Need.COMFORT, oom, seen, "run outside of a container, or give it --privileged")
    # A folder that may not even be looked at is none that can be used.
    folder = next(folder for folder in (paths.root, *paths.root.parents) if os.path.exists(folder))  # noqa: PTH110
    writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    seen = f"{folder} may {'' if writable else 'not '}be written to"
    yield Finding("data folder", Need.CLUSTER, writable, seen, "become root, or choose another --data-dir")
    disk = shutil.disk_usage(folder)
    percent = 100 * disk.free // disk.total if disk.total else 0
    seen = f"{disk.free / 2**30:.1f} GiB free, {percent} %"
    mend = f"make room, or choose another --data-dir: below {LEAST_FREE_PERCENT} % pods are evicted"
    yield Finding("disk", Need.COMFORT, percent >= LEAST_FREE_PERCENT, seen, mend)


def _tools() -> Iterator[Finding]:
    for name, package in _TOOLS.items():
        found = shutil.which(name, path=search_path())
        yield Finding(name, Need.PODS, found is not None, found or "not found", _install(package))
    folder = cni_bin_dir(CNI_BIN_DIRS)
    seen = folder or f"no folder holds {', '.join(CNI_PLUGINS)}"
    yield Finding("CNI plug-ins", Need.PODS, bool(folder), seen, _install("containernetworking-plugins"))
    for name, package in _STATIC_TOOLS.items():
        found = shutil.which(name, path=search_path())
        good = found is not None and is_static(Path(found).read_bytes())
        seen = "not found" if found is None else found if good else f"{found} needs libraries"
        yield Finding(name, Need.PODS, good, seen, _install(package))
    conntrack = shutil.which("conntrack", path=search_path())
    seen = conntrack or "not found: connections of UDP outlive the pods they led to"
    yield Finding("conntrack", Need.COMFORT, conntrack is not None, seen, _install("conntrack"))
    kubectl = shutil.which("kubectl")
    yield Finding("kubectl", Need.COMFORT, kubectl is not None, kubectl or "not found", _install("kubernetes-client"))


def _ports(paths: ClusterPaths) -> Iterator[Finding]:
    runs = _runs(paths)
    for port, mend in (
        (API_PORT, "stop what listens there, or let `pinnace up` take another one, or pass --port"),
        (KUBELET_PORT, "stop what listens there; the node takes another one meanwhile"),
    ):
        good = runs or free_port(port) == port
        seen = "the cluster runs" if runs else "free" if good else "in use"
        yield Finding(f"port {port}", Need.COMFORT, good, seen, mend)


def _runs(paths: ClusterPaths) -> bool:
    try:
        return running_state(paths) is not None
    except PermissionError:
        return False


def _kubeconfig() -> Finding:
    path = user_file()
    try:
        load(path)
    except (KubeconfigError, OSError) as error:
        seen = str(error).splitlines()[0]
        return Finding("your kubeconfig", Need.COMFORT, False, seen, "mend it, or move it away")
    return Finding("your kubeconfig", Need.COMFORT, True, str(path) if path.exists() else f"{path} will be made", "")


def _present(what: str, lacking: list[str], mend: str) -> Finding:
    seen = f"missing: {', '.join(lacking)}" if lacking else "complete"
    return Finding(what, Need.PODS, not lacking, seen, mend)


def _has_controller(name: str) -> bool:
    second = _text("/sys/fs/cgroup/cgroup.controllers").split()
    return name in second or Path("/sys/fs/cgroup", name).is_dir()


def _can_load(module: str) -> bool:
    """Tell whether the kernel has a module, and loads it when it is needed."""
    return not _probed("modprobe", "--dry-run", module)


def _probed(program: str, *arguments: str) -> str:
    """Run a program that changes nothing outside of itself; return its complaint, empty when there was none."""
    found = shutil.which(program, path=search_path())
    if found is None:
        return f"not known, as {program} is not installed"
    if os.geteuid() != 0:
        return "only root can tell"
    environment = {**os.environ, "PATH": search_path()}
    try:
        done = subprocess.run(
            [found, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=_PROBE_LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"{program} does not answer"
    words = done.stderr.strip().splitlines() or [f"{program} failed"]
    return words[-1] if done.returncode != 0 else ""


def _install(package: str) -> str:
    return f"on Debian and Ubuntu, apt-get install {package}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
