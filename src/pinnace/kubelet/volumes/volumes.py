"""Prepares the volumes of a pod under its folder and takes them away again.

    pods/<uid>/volumes/kubernetes.io~<plugin>/<name>

Kinds that need storage this node has not are refused by name, so that the pod says why it waits. Upstream: `pkg/volume`.
"""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client
from pinnace.component.clock import Clock
from pinnace.component.identity import Identity
from pinnace.kubelet.environment import ConfigError, PodFacts, Source
from pinnace.kubelet.volumes import mounts
from pinnace.kubelet.volumes.atomic_writer import Content, write
from pinnace.kubelet.volumes.claims import ClaimNotReady, Claims
from pinnace.kubelet.volumes.contents import Contents
from pinnace.kubelet.volumes.folders import empty_dir, host_path
from pinnace.kubelet.volumes.ownership import give_to_group
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError


class VolumeError(Exception):
    """A volume cannot be set up; the text follows `MountVolume.SetUp failed for volume "<name>" : `."""

    def __init__(self, volume: str, reason: str) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {reason}')

    @classmethod
    def unprocessed(cls, volume: str, reason: str) -> Self:
        """Say that it is not even known what the volume is."""
        error = cls(volume, reason)
        text = f"Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], "
        error.args = (f"{text}failed to process volumes=[{volume}]: {reason}",)
        return error


class _Prepared(Struct, frozen=True):
    """Where a volume is; `lasting` is written by pods, `shared` is the node's, too."""

    path: Path
    lasting: bool = False
    shared: bool = False


class Volumes:
    """The volumes of all pods of one node."""

    def __init__(self, root: Path, client: Client, source: Source, clock: Clock, identity: Identity) -> None:
        self._root, self._clock, self._identity = root, clock, identity
        self._contents, self._claims = Contents(client, source, clock), Claims(client)
        # Volumes that have their group, by the pod's UID and their name.
        self._given: set[tuple[str, str]] = set()

    def pod_dir(self, uid: str) -> Path:
        """Return the folder of one pod."""
        return self._root / "pods" / uid

    async def prepare(self, facts: PodFacts) -> Mapping[str, Path]:
        """Set up all volumes, or bring their content up to date; returns where each is on the node.

        Raises:
            VolumeError: one of them cannot be.
        """
        found = {}
        for volume in facts.pod.spec.volumes or ():
            try:
                prepared = await self._prepare(volume, facts)
                self._own(volume, prepared, facts.pod)
                found[volume.name] = prepared.path
            except ClaimNotReady as error:
                raise VolumeError.unprocessed(volume.name, str(error)) from error
            except (ConfigError, ApiError, OSError) as error:
                raise VolumeError(volume.name, str(error)) from error
        return found

    async def remove(self, uid: str) -> None:
        """Take all volumes and files of a pod away; harmless when there are none."""
        folder = self.pod_dir(uid)
        await asyncio.to_thread(_remove, folder)
        self._contents.forget(uid)
        self._claims.forget(uid)
        self._given = {key for key in self._given if key[0] != uid}

    def _own(self, volume: core_v1.Volume, prepared: _Prepared, pod: core_v1.Pod) -> None:
        """Give a volume to the pod's group; what the pod shares with the node stays whose it is."""
        context, key = pod.spec.security_context, (pod.metadata.uid, volume.name)
        if context is None or context.fs_group is None or prepared.shared:
            return
        if prepared.lasting and key in self._given:
            return
        mismatch = context.fs_group_change_policy == "OnRootMismatch"
        give_to_group(prepared.path, context.fs_group, unless_right=mismatch and prepared.lasting)
        self._given.add(key)

    async def _prepare(self, volume: core_v1.Volume, facts: PodFacts) -> _Prepared:
        base = self.pod_dir(facts.pod.metadata.uid) / "volumes"
        if (empty := volume.empty_dir) is not None:
            return _Prepared(await empty_dir(base / "kubernetes.io~empty-dir" / volume.name, empty), lasting=True)
        if (host := volume.host_path) is not None:
            return _Prepared(host_path(host.path, host.type or ""), shared=True)
        if volume.persistent_volume_claim is not None or volume.ephemeral is not None:
            found = await self._claims.path(volume, facts.pod)
            return _Prepared(found.path, lasting=True, shared=found.shared)
        files = await self._contents.of(volume, facts)
        if files is None:
            raise ConfigError("no volume plugin matched")
        return _Prepared(self._write(base / f"kubernetes.io~{_plugin(volume)}" / volume.name, files))

    def _write(self, folder: Path, files: Mapping[str, Content]) -> Path:
        now = timestamps.format(self._clock.time()).translate(str.maketrans("-T:", "___")).rstrip("Z")
        write(folder, files, f"{now}.{self._identity.suffix(10)}")
        return folder


def _plugin(volume: core_v1.Volume) -> str:
    if volume.config_map is not None:
        return "configmap"
    if volume.secret is not None:
        return "secret"
    return "downward-api" if volume.downward_api is not None else "projected"


def _remove(folder: Path) -> None:
    """Delete a folder, but nothing that is mounted below it."""
    for point in mounts.below(folder):
        mounts.unmount(point)
    left = mounts.below(folder)
    if left:
        raise OSError(f"{left[0]} is still mounted")
    shutil.rmtree(folder, ignore_errors=True)
