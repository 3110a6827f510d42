"""What the agent keeps of pods beside the runtime: volumes, hosts files, termination messages, logs.

    <root>/pods/<uid>/{volumes,etc-hosts,containers/<container>/<attempt>}     <logs>/<ns>_<pod>_<uid>/<container>/<attempt>.log

`PodFiles` is the seam: `DiskFiles` keeps them where upstream does, the simulated node keeps none. Upstream: kubelet `kubelet_pods.go`,
kuberuntime `kuberuntime_container.go`.
"""

import asyncio
import re
import shutil
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Protocol

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet import container_config as making
from pinnace.kubelet import logs
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.environment import ConfigError, PodFacts, expand
from pinnace.kubelet.runtime import TERMINATION_POLICY, Instance, Mount
from pinnace.kubelet.volumes import Volumes, subpath

_VARIABLE = re.compile(r"\$\(([^)]+)\)")
# Upstream's limits on what a container may leave behind as its last words.
_MESSAGE_BYTES, _TAIL_LINES, _TAIL_BYTES = 4096, 80, 2048


class PodFiles(Protocol):
    """The files of all pods of one node."""

    @abstractmethod
    async def prepare(self, facts: PodFacts) -> Mapping[str, Path]:
        """Make a pod's folders and set its volumes up, or bring them up to date; returns where each is on the node.

        Raises:
            VolumeError: a volume cannot be set up.
        """

    @abstractmethod
    def mounts(
        self,
        facts: PodFacts,
        container: core_v1.Container,
        attempt: int,
        volumes: Mapping[str, Path],
        env: Mapping[str, str],
    ) -> tuple[Mount, ...]:
        """Return all that is mounted into a container that is about to be made.

        Raises:
            ConfigError: a mount names what is not there.
        """

    @abstractmethod
    def started(self, pod: core_v1.Pod, container: str, container_id: str, attempt: int) -> None:
        """Learn that a container runs."""

    @abstractmethod
    def message(self, pod: core_v1.Pod, run: Instance) -> str:
        """Return what a container that has ended said last."""

    @abstractmethod
    def log(
        self, pod: core_v1.Pod, run: Instance, options: logs.LogOptions, running: Callable[[], bool]
    ) -> AsyncIterator[bytes] | None:
        """Yield the log of one run of a container; None when there is none."""

    @abstractmethod
    async def remove_volumes(self, uid: str) -> None:
        """Take a pod's volumes away; harmless when there are none."""

    @abstractmethod
    async def remove(self, pod: core_v1.Pod) -> None:
        """Take all that is left of a pod away."""

    @abstractmethod
    def owners(self) -> frozenset[str]:
        """Return the UIDs of the pods that have files here."""


class DiskFiles(PodFiles):
    """Files where upstream's agent has them."""

    def __init__(self, config: KubeletConfig, volumes: Volumes, clock: Clock) -> None:
        self._config, self._volumes, self._clock = config, volumes, clock

    async def prepare(self, facts: PodFacts) -> Mapping[str, Path]:
        making.log_dir(self._config, facts.pod).mkdir(parents=True, exist_ok=True)
        return await self._volumes.prepare(facts)

    def mounts(
        self,
        facts: PodFacts,
        container: core_v1.Container,
        attempt: int,
        volumes: Mapping[str, Path],
        env: Mapping[str, str],
    ) -> tuple[Mount, ...]:
        pod = facts.pod
        found = [
            self._mount(facts, container.name, index, mount, volumes, env)
            for index, mount in enumerate(container.volume_mounts)
        ]
        if not any(mount.container_path == "/etc/hosts" for mount in found):
            hosts = self._volumes.pod_dir(pod.metadata.uid) / "etc-hosts"
            hosts.parent.mkdir(parents=True, exist_ok=True)
            hosts.write_text(making.hosts(self._config, pod, facts.pod_ips), encoding="utf-8")
            found.append(Mount(container_path="/etc/hosts", host_path=str(hosts)))
        if container.termination_message_path:
            message = self._message_file(pod.metadata.uid, container.name, attempt)
            message.parent.mkdir(parents=True, exist_ok=True)
            message.touch()
            message.chmod(0o666)
            found.append(Mount(container_path=container.termination_message_path, host_path=str(message)))
        (making.log_dir(self._config, pod) / container.name).mkdir(parents=True, exist_ok=True)
        return tuple(found)

    def _mount(
        self,
        facts: PodFacts,
        container: str,
        index: int,
        mount: core_v1.VolumeMount,
        volumes: Mapping[str, Path],
        env: Mapping[str, str],
    ) -> Mount:
        if mount.name not in volumes:
            raise ConfigError(f'cannot find volume "{mount.name}" to mount into container')
        path = volumes[mount.name]
        if not path.exists():
            path.mkdir(parents=True)  # a hostPath without a type, as the runtime would do
        below = _path_below(mount, env)
        if below:
            base = self._volumes.pod_dir(facts.pod.metadata.uid) / "volume-subpaths"
            path = subpath.bind(path, below, base / mount.name / container / str(index))
        return Mount(
            container_path=mount.mount_path,
            host_path=str(path),
            read_only=mount.read_only or _is_read_only(facts.pod, mount.name),
            propagation=mount.mount_propagation or "None",
        )

    def started(self, pod: core_v1.Pod, container: str, container_id: str, attempt: int) -> None:
        links = self._config.container_log_links
        if links is None:
            return
        links.mkdir(parents=True, exist_ok=True)
        name = f"{pod.metadata.name}_{pod.metadata.namespace}_{container}-{container_id}"[:251] + ".log"
        (links / name).unlink(missing_ok=True)
        (links / name).symlink_to(self._log_file(pod, container, attempt))

    def message(self, pod: core_v1.Pod, run: Instance) -> str:
        try:
            path = self._message_file(pod.metadata.uid, run.name, run.restart_count)
            data = path.read_bytes()[-_MESSAGE_BYTES:]
        except OSError:
            data = b""
        if not data and run.exit_code and run.annotations.get(TERMINATION_POLICY) == "FallbackToLogsOnError":
            data = _log_tail(self._log_file(pod, run.name, run.restart_count))
        return data.decode(errors="replace")

    def log(
        self, pod: core_v1.Pod, run: Instance, options: logs.LogOptions, running: Callable[[], bool]
    ) -> AsyncIterator[bytes] | None:
        path = self._log_file(pod, run.name, run.restart_count)
        return logs.read(path, options, self._clock, running) if path.exists() else None

    async def remove_volumes(self, uid: str) -> None:
        await self._volumes.remove(uid)

    async def remove(self, pod: core_v1.Pod) -> None:
        await self._volumes.remove(pod.metadata.uid)
        await asyncio.to_thread(_remove_traces, self._config, pod)

    def owners(self) -> frozenset[str]:
        folder = self._config.root_dir / "pods"
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    def _log_file(self, pod: core_v1.Pod, container: str, attempt: int) -> Path:
        return making.log_dir(self._config, pod) / container / f"{attempt}.log"

    def _message_file(self, uid: str, container: str, attempt: int) -> Path:
        return self._volumes.pod_dir(uid) / "containers" / container / f"{attempt:08x}"


def _is_read_only(pod: core_v1.Pod, name: str) -> bool:
    """Tell whether nobody may write a volume: what is made of objects, and what was claimed so."""
    volume = next((each for each in pod.spec.volumes or () if each.name == name), None)
    if volume is None:
        return False
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.read_only
    return any((volume.config_map, volume.secret, volume.downward_api, volume.projected))


def _path_below(mount: core_v1.VolumeMount, env: Mapping[str, str]) -> str:
    """Return the part of the volume that is mounted; empty for all of it."""
    if mount.sub_path or not mount.sub_path_expr:
        return mount.sub_path
    missing = next((name for name in _VARIABLE.findall(mount.sub_path_expr) if not env.get(name)), None)
    if missing is not None:
        raise ConfigError(f"missing value for {missing}")
    return expand(mount.sub_path_expr, env)


def _log_tail(path: Path) -> bytes:
    try:
        lines = path.read_bytes().splitlines()[-_TAIL_LINES:]
    except OSError:
        return b""
    return b"\n".join(line.split(b" ", 3)[-1] for line in lines)[-_TAIL_BYTES:]


def _remove_traces(config: KubeletConfig, pod: core_v1.Pod) -> None:
    folder = making.log_dir(config, pod)
    shutil.rmtree(folder, ignore_errors=True)
    if config.container_log_links is not None:
        for link in config.container_log_links.glob(f"{pod.metadata.name}_{pod.metadata.namespace}_*.log"):
            if link.is_symlink() and link.readlink().is_relative_to(folder):
                link.unlink(missing_ok=True)
