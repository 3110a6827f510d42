"""Whether a pod fills more of the disk than its own limits allow: a volume, the pod as a whole, or one of its containers.

What counts is what containers write to their own layer and to their logs, and what lies in empty directories on the disk. Upstream:
kubelet `eviction/eviction_manager.go` (localStorageEviction).
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.kubelet import pod_resources
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.container_config import log_dir
from pinnace.machinery import quantity

_RESOURCE = "ephemeral-storage"


class DiskLimits:
    """The limits of one node's pods."""

    def __init__(self, config: KubeletConfig) -> None:
        self._config = config

    async def exceeded(self, pod: core_v1.Pod, written: Mapping[str, int]) -> str:
        """Return what a pod fills too much of; empty when nothing. `written` is what each running container's own layer takes."""
        if not _is_limited(pod):
            return ""
        return await asyncio.to_thread(self._exceeded, pod, written)

    def _exceeded(self, pod: core_v1.Pod, written: Mapping[str, int]) -> str:
        found = occupied(self._config, pod)
        volumes = found.volumes
        for volume in pod.spec.volumes:
            limit = volume.empty_dir.size_limit if volume.empty_dir is not None else None
            if limit and 0 < quantity.parse(limit).value() < volumes.get(volume.name, 0):
                return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{quantity.canonical(limit)}". '
        used = {name: layer + found.logs.get(name, 0) for name, layer in written.items()}
        most = pod_resources.limits(pod).get(_RESOURCE)
        if most is not None and sum(used.values()) + sum(volumes.values()) > most:
            amount = quantity.of_value(most, _family(pod))
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {amount}. "
        for container in pod.spec.containers:
            limit = container.resources.limits.get(_RESOURCE)
            if limit and 0 < quantity.parse(limit).value() < used.get(container.name, 0):
                shown = quantity.canonical(limit)
                return f'Container {container.name} exceeded its local ephemeral storage limit "{shown}". '
        return ""


class Occupied(Struct, frozen=True):
    """The bytes that a pod's empty directories on the disk, and its containers' logs, take; by name."""

    volumes: Mapping[str, int]
    logs: Mapping[str, int]


def occupied(config: KubeletConfig, pod: core_v1.Pod) -> Occupied:
    """Return what lies on the disk for a pod; walks through all of it."""
    base = config.root_dir / "pods" / pod.metadata.uid / "volumes/kubernetes.io~empty-dir"
    logs, spec = log_dir(config, pod), pod.spec
    return Occupied(
        {volume.name: size_of(base / volume.name) for volume in spec.volumes if _is_on_disk(volume)},
        {each.name: size_of(logs / each.name) for each in (*spec.init_containers, *spec.containers)},
    )


def size_of(folder: Path) -> int:
    """Return the bytes that a folder takes on its disk; what vanishes meanwhile counts for nothing."""
    total = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - os.walk gives texts
            except OSError:
                continue
    return total


def _is_limited(pod: core_v1.Pod) -> bool:
    return _RESOURCE in pod_resources.limits(pod) or any(
        volume.empty_dir is not None and volume.empty_dir.size_limit for volume in pod.spec.volumes
    )


def _is_on_disk(volume: core_v1.Volume) -> bool:
    return volume.empty_dir is not None and volume.empty_dir.medium != "Memory"


def _family(pod: core_v1.Pod) -> quantity.Family:
    """Return the suffixes that the first limit is written with, as a sum of quantities keeps them."""
    limits = (container.resources.limits.get(_RESOURCE) for container in pod.spec.containers)
    return next((quantity.parse(limit).family for limit in limits if limit), "binary")
