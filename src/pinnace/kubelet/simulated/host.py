"""The rest of a simulated node: a machine that is only described, files that are not written, pods that answer by themselves."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pinnace.api import core_v1
from pinnace.client import Client
from pinnace.kubelet.cgroups import PodCgroups
from pinnace.kubelet.environment import ClientSource, ConfigError, PodFacts
from pinnace.kubelet.logs import LogOptions
from pinnace.kubelet.machine import Disk, Machine, Memory, Pids
from pinnace.kubelet.network_usage import Interface
from pinnace.kubelet.pod_files import PodFiles
from pinnace.kubelet.pod_network import HttpAnswer, HttpCall, PodNetwork
from pinnace.kubelet.runtime import Instance, Mount
from pinnace.kubelet.volumes import ClaimNotReady, Claims, VolumeError
from pinnace.machinery import timestamps
from pinnace.machinery.errors import NotFound


class Containers(Protocol):
    """What the files and the network want to know of containers."""

    def lines(self, container_id: str) -> Sequence[tuple[float, str]]:
        """Return what a container has logged: time and text."""

    def termination_message(self, container_id: str) -> str:
        """Return a container's last words."""

    def answers(self, ip: str) -> bool:
        """Tell whether an address answers connections."""


class SimulatedMachine(Machine):
    """A machine on paper."""

    def __init__(
        self,
        *,
        cpu: str,
        memory: str,
        ephemeral_storage: str,
        extended_resources: Mapping[str, str],
        architecture: str,
        name: str,
    ) -> None:
        self._capacity = {
            "cpu": cpu,
            "ephemeral-storage": ephemeral_storage,
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
            "memory": memory,
            **extended_resources,
        }
        # The same in each process: a restart of the simulation is no reboot of the machine.
        machine_id, boot_id = (
            hashlib.blake2b(f"{what} {name}".encode(), digest_size=16).hexdigest() for what in ("machine", "boot")
        )
        self._info = core_v1.NodeSystemInfo(
            machine_id=machine_id,
            system_uuid=machine_id,
            boot_id=boot_id,
            kernel_version="simulated",
            os_image="Simulated Linux",
            operating_system="linux",
            architecture=architecture,
        )

    def capacity(self) -> Mapping[str, str]:
        return self._capacity

    def info(self) -> core_v1.NodeSystemInfo:
        return self._info

    def disk(self) -> Disk:
        return Disk()

    def memory(self) -> Memory:
        return Memory()

    def swap(self) -> Memory:
        return Memory()

    def interfaces(self) -> tuple[Interface, ...]:
        return ()

    def pids(self) -> Pids:
        return Pids()

    def cpu_nanos(self) -> int:
        return 0


class SimulatedFiles(PodFiles):
    """No files; volumes are checked for what they refer to, so that a pod waits where a real one would."""

    def __init__(self, containers: Containers, client: Client) -> None:
        self._containers, self._source, self._claims = containers, ClientSource(client), Claims(client)

    async def prepare(self, facts: PodFacts) -> Mapping[str, Path]:
        found = {}
        for volume in facts.pod.spec.volumes or ():
            try:
                await self._check(volume, facts.pod)
            except ClaimNotReady as error:
                raise VolumeError.unprocessed(volume.name, str(error)) from error
            except ConfigError as error:
                raise VolumeError(volume.name, str(error)) from error
            found[volume.name] = Path("/simulated") / facts.pod.metadata.uid / volume.name
        return found

    def mounts(
        self,
        facts: PodFacts,
        container: core_v1.Container,
        attempt: int,
        volumes: Mapping[str, Path],
        env: Mapping[str, str],
    ) -> tuple[Mount, ...]:
        for mount in container.volume_mounts:
            if mount.name not in volumes:
                raise ConfigError(f'cannot find volume "{mount.name}" to mount into container')
        return ()

    def started(self, pod: core_v1.Pod, container: str, container_id: str, attempt: int) -> None:
        return

    def message(self, pod: core_v1.Pod, run: Instance) -> str:
        return self._containers.termination_message(run.id)

    def log(
        self, pod: core_v1.Pod, run: Instance, options: LogOptions, running: Callable[[], bool]
    ) -> AsyncIterator[bytes] | None:
        lines = list(self._containers.lines(run.id))
        if options.tail_lines is not None:
            lines = lines[len(lines) - options.tail_lines :] if options.tail_lines else []
        return _shown(lines, options)

    async def remove_volumes(self, uid: str) -> None:
        self._claims.forget(uid)

    async def remove(self, pod: core_v1.Pod) -> None:
        self._claims.forget(pod.metadata.uid)

    def owners(self) -> frozenset[str]:
        return frozenset()

    async def _check(self, volume: core_v1.Volume, pod: core_v1.Pod) -> None:
        namespace = pod.metadata.namespace
        if (config := volume.config_map) is not None:
            await self._config_map(namespace, config.name, config.items, optional=bool(config.optional))
        if (secret := volume.secret) is not None:
            await self._secret(namespace, secret.secret_name, secret.items, optional=bool(secret.optional))
        if volume.persistent_volume_claim is not None or volume.ephemeral is not None:
            await self._claims.bound(volume, pod)
        for part in (volume.projected.sources or ()) if volume.projected is not None else ():
            if (config_part := part.config_map) is not None:
                await self._config_map(
                    namespace, config_part.name, config_part.items, optional=bool(config_part.optional)
                )
            if (secret_part := part.secret) is not None:
                await self._secret(namespace, secret_part.name, secret_part.items, optional=bool(secret_part.optional))

    async def _config_map(
        self, namespace: str, name: str, items: Iterable[core_v1.KeyToPath], *, optional: bool
    ) -> None:
        try:
            found = await self._source.config_map(namespace, name)
        except NotFound:
            if optional:
                return
            raise ConfigError(f'configmap "{name}" not found') from None
        _require({*found.data, *found.binary_data}, items, "config key", optional=optional)

    async def _secret(self, namespace: str, name: str, items: Iterable[core_v1.KeyToPath], *, optional: bool) -> None:
        try:
            found = await self._source.secret(namespace, name)
        except NotFound:
            if optional:
                return
            raise ConfigError(f'secret "{name}" not found') from None
        _require({*found.data}, items, "secret key", optional=optional)


class SimulatedNetwork(PodNetwork):
    """Pods that answer while their containers run, and are ready and live as their annotations say."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    async def get(self, call: HttpCall) -> HttpAnswer:
        await self.connect(call.host, call.port)
        return HttpAnswer(200, "", b"")

    async def connect(self, host: str, port: int) -> None:
        if not self._containers.answers(host):
            raise ConnectionRefusedError(f"dial tcp {host}:{port}: connect: connection refused")

    async def health(self, host: str, port: int, service: str) -> str:
        await self.connect(host, port)
        return "SERVING"


class NoCgroups(PodCgroups):
    """No control groups."""

    def limit_all(self, amounts: Mapping[str, str]) -> bool:
        return False

    def create(self, pod: core_v1.Pod) -> None:
        return

    def processes(self, pod: core_v1.Pod) -> int:
        return 0

    def one_process(self, pod: core_v1.Pod) -> int | None:
        return None

    def balance(self, pods: Iterable[core_v1.Pod]) -> None:
        return

    def remove(self, pod: core_v1.Pod) -> None:
        return


def _require(keys: set[str], items: Iterable[core_v1.KeyToPath], what: str, *, optional: bool) -> None:
    missing = next((item.key for item in items if item.key not in keys), None)
    if missing is not None and not optional:
        raise ConfigError(f"references non-existent {what}: {missing}")


async def _shown(lines: Sequence[tuple[float, str]], options: LogOptions) -> AsyncIterator[bytes]:
    left = options.limit_bytes
    for time, line in lines:
        if options.since is not None and time < options.since:
            continue
        text = line.encode() + b"\n"
        if options.timestamps:
            text = timestamps.format(time).encode() + b" " + text
        if left is not None:
            text = text[:left]
            left -= len(text)
        if text:
            yield text
