"""The end of a cluster's containers: stopped with the cluster, and removed with it without a trace.

Shims are recognised by the socket in their command line; whatever descends from one is a container of the cluster. The order matters:
nobody may start containers any more (the server has ended) before processes are stopped, and no process may use a mount that goes.
What could not be removed is returned, never passed over in silence.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pinnace.cluster import firewall_rules, service_proxy
from pinnace.cluster.cni import PodNetwork
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, search_path
from pinnace.cluster.detached import command_lines
from pinnace.cluster.mounts import unmount_below
from pinnace.component.clock import Clock
from pinnace.network.netlink import withdraw

# Seconds that containers have to end by themselves; less than the usual 30, since somebody waits at a terminal.
GRACE_SECONDS, KILL_SECONDS = 10.0, 5.0
_LOOK_SECONDS = 0.02
_CGROUPS = Path("/sys/fs/cgroup")
_CNI_RESULTS = Path("/var/lib/cni/results")


async def stop_containers(containerd: Containerd, clock: Clock) -> None:
    """End every container, first by asking, and containerd after them; what it knows of them is kept."""
    for number, limit_seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        _send(container_processes(containerd.paths.socket), number)
        with contextlib.suppress(TimeoutError):
            async with clock.timeout(limit_seconds):
                while container_processes(containerd.paths.socket):
                    await clock.sleep(_LOOK_SECONDS)
    await containerd.stop()
    _send(shims(containerd.paths.socket), signal.SIGKILL)


async def remove(containerd: Containerd, root: Path, network: PodNetwork, cgroup: str, clock: Clock) -> list[str]:
    """Remove containers, network, rules and cgroups of a cluster, and what is mounted below `root`; files are left to the caller.

    Returns: what could not be removed, and why. Harmless to repeat, and when there was nothing.
    """
    paths = containerd.paths
    _send(container_processes(paths.socket), signal.SIGKILL)
    await containerd.stop()
    _send([*container_processes(paths.socket), *shims(paths.socket)], signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with clock.timeout(KILL_SECONDS):
            while container_processes(paths.socket) or shims(paths.socket):
                await clock.sleep(_LOOK_SECONDS)
    _remove_shim_sockets(paths)
    left = unmount_below(root)
    left += _remove_bridge(network.bridge)
    if complaint := service_proxy.remove_rules(network):
        left.append(complaint)
    if complaint := firewall_rules.remove(network.name):
        left.append(complaint)
    left += await asyncio.to_thread(withdraw, network.metric, network.tunnel)
    _remove_results(network.name)
    return left + _remove_cgroups(cgroup)


def shims(socket: Path) -> list[int]:
    """Return the shims that report to the containerd behind this socket."""
    return [pid for pid, words in command_lines() if "containerd-shim" in words[0] and str(socket) in words]


def container_processes(socket: Path) -> list[int]:
    """Return every process inside a container of this containerd."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = shims(socket)
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything, so fields are counted after its end.
            state, parent = (entry / "stat").read_text().rpartition(") ")[2].split(" ")[:2]
        except OSError:
            continue
        if state != "Z":
            yield int(entry.name), int(parent)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _remove_shim_sockets(paths: ContainerdPaths) -> None:
    for address in paths.state.glob("io.containerd.runtime.v2.task/*/*/address"):
        socket = Path(address.read_text().removeprefix("unix://"))
        socket.unlink(missing_ok=True)
        for folder in (socket.parent, socket.parent.parent):
            with contextlib.suppress(OSError):  # somebody else's shims live there as well
                folder.rmdir()


def _remove_results(network: str) -> None:
    for result in _CNI_RESULTS.glob(f"{network}-*"):
        result.unlink(missing_ok=True)


def _remove_bridge(bridge: str) -> list[str]:
    if not Path(f"/sys/class/net/{bridge}").exists():
        return []
    ip = shutil.which("ip", path=search_path())
    if ip is None:
        return [f"bridge {bridge}: ip, which would remove it, is not installed"]
    done = subprocess.run([ip, "link", "delete", bridge], capture_output=True, text=True, check=False)
    return [f"bridge {bridge}: {done.stderr.strip()}"] if done.returncode != 0 else []


def _remove_cgroups(cgroup: str) -> list[str]:
    """Remove a cgroup and those below it, in every hierarchy of v1 and in v2; they are folders without processes by now."""
    name = cgroup.strip("/")
    left = []
    for top in [_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")] if name else []:
        below = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for folder in [*below, top]:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                left.append(f"cgroup {folder}: {error.strerror}")
    return left
