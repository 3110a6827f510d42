"""Frees what nobody needs any more: dead containers and sandboxes each minute, unused images when the disk is nearly full.

Of each container the newest dead run stays, for its log; of each pod the newest sandbox. Images go when more than a share of the disk (85 %)
is used, down to another (80 %), those first that nobody has asked for the longest; where it is set, also those that were unused for too
long. Upstream: kubelet `container/container_gc.go`,
`images/image_gc_manager.go`.
"""

from collections.abc import Iterable, Sequence
from typing import Never, Protocol

from pinnace.client import EventRecorder
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.images import ImageManager
from pinnace.kubelet.machine import Disk, Machine
from pinnace.kubelet.node_status import about
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.runtime import ContainerRuntime, Image, Images, PodRecord, RuntimeFailure, State

_CONTAINER_SECONDS, _IMAGE_SECONDS = 60.0, 300.0
_log = get_logger("garbage")


class Runtime(ContainerRuntime, Images, Protocol):
    """What can remove things."""


def dead(records: Iterable[PodRecord]) -> tuple[list[str], list[str]]:
    """Return the containers and the sandboxes that nobody needs."""
    containers, sandboxes = [], []
    for record in records:
        seen: set[str] = set()
        kept: set[str] = set()
        for run in record.instances:
            if run.state is State.EXITED and run.name in seen:
                containers.append(run.id)
            else:
                kept.add(run.sandbox_id)
            if run.state is State.EXITED:
                seen.add(run.name)
        sandboxes += [old.id for old in record.sandboxes[1:] if not old.ready and old.id not in kept]
    return containers, sandboxes


class Garbage:
    """Cleans up one node."""

    def __init__(
        self,
        config: KubeletConfig,
        clock: Clock,
        runtime: Runtime,
        pleg: Pleg,
        images: ImageManager,
        machine: Machine,
        events: EventRecorder,
    ) -> None:
        self._config, self._clock, self._runtime, self._pleg = config, clock, runtime, pleg
        self._images, self._machine, self._events = images, machine, events
        # When each image was first seen, on the monotonic clock.
        self._seen: dict[str, float] = {}

    async def collect_containers_regularly(self) -> Never:
        """Remove dead containers for ever."""
        async for _ in self._clock.ticker(_CONTAINER_SECONDS):
            await self.collect_containers()
        raise AssertionError("a ticker does not end")

    async def collect_images_regularly(self) -> Never:
        """Watch over the disk for ever."""
        async for _ in self._clock.ticker(_IMAGE_SECONDS):
            await self.collect_images()
        raise AssertionError("a ticker does not end")

    async def collect_containers(self) -> None:
        """Remove dead containers and sandboxes now."""
        containers, sandboxes = dead(self._pleg.record(uid) for uid in self._pleg.uids())
        try:
            for container in containers:
                await self._runtime.remove_container(container)
            for sandbox in sandboxes:
                await self._runtime.end_sandbox(sandbox, remove=True)
        except RuntimeFailure as error:
            _log.warning("dead containers not removed", error=str(error))

    async def collect_images(self, *, always: bool = False) -> int:
        """Remove unused images if the disk is nearly full, or all of them; returns the bytes they had."""
        disk = self._machine.disk()
        wanted = disk.capacity_bytes if always else self._to_free(disk)
        freed = 0
        for image in await self._unused(always=always):
            if freed >= wanted and not self._is_too_old(image):
                continue
            try:
                await self._runtime.remove_image(image.id)
            except RuntimeFailure as error:
                _log.warning("image not removed", image=image.id, error=str(error))
                continue
            freed += image.size_bytes
            self._seen.pop(image.id, None)
        if freed < wanted and not always:
            percent = 100 - disk.available_bytes * 100 // max(disk.capacity_bytes, 1)
            text = (
                f"Insufficient free disk space on the node's image filesystem ({percent}% of {_size(disk.capacity_bytes)} "
                f"used). Failed to free sufficient space by deleting unused images ({_size(wanted)} needed, "
                f"{_size(freed)} freed)."
            )
            self._events.event(about(self._config.node_name), "Warning", "FreeDiskSpaceFailed", text)
        return freed

    async def _present(self) -> Sequence[Image]:
        try:
            return await self._runtime.images()
        except RuntimeFailure:
            return ()

    async def _note(self, present: Iterable[Image]) -> None:
        now = self._clock.monotonic()
        self._seen = {image.id: self._seen.get(image.id, now) for image in present}

    async def _unused(self, *, always: bool) -> list[Image]:
        """Return images that no container has, the least recently asked for first."""
        present = await self._present()
        await self._note(present)
        records = [self._pleg.record(uid) for uid in self._pleg.uids()]
        held = {name for record in records for run in record.instances for name in (run.image, run.image_id)}
        now = self._clock.monotonic()
        free = [
            image
            for image in present
            if not held & {image.id, *image.tags, *image.digests}
            and not self._is_kept(image)
            and (always or now - self._seen[image.id] >= self._config.image_min_age_seconds)
        ]
        return sorted(free, key=self._last_used)

    def _last_used(self, image: Image) -> float:
        return self._images.last_used(image.id) or self._seen[image.id]

    def _is_too_old(self, image: Image) -> bool:
        most = self._config.image_max_age_seconds
        return most > 0 and self._clock.monotonic() - self._last_used(image) > most

    def _to_free(self, disk: Disk) -> int:
        """Return the bytes to free; zero while enough is free."""
        used = disk.capacity_bytes - disk.available_bytes
        if used * 100 < disk.capacity_bytes * self._config.image_gc_high_percent:
            return 0
        return used - disk.capacity_bytes * self._config.image_gc_low_percent // 100

    def _is_kept(self, image: Image) -> bool:
        names = {*image.tags, *image.digests}
        return bool(names & self._config.kept_images()) or any("/pause:" in name for name in names)


def _size(count: int) -> str:
    """Return bytes as people read them."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
