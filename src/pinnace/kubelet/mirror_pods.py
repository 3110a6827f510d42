"""What the API server is shown of static pods: a copy of each, for as long as it runs.

A mirror that is missing, is being deleted, or is of another version of its pod is made anew; one without a pod goes. Deleting a mirror
thus never ends the pod. The pod's status is written to its mirror. Upstream: kubelet `pod/mirror_client.go`.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Never

from msgspec.structs import replace

from pinnace.api import core_v1, meta_v1
from pinnace.client import Client
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.kubelet.static_pods import CONFIG_HASH, CONFIG_MIRROR, full_name
from pinnace.kubelet.status_manager import StatusManager
from pinnace.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound

_RETRY = Backoff(0.2, 10.0)
_log = get_logger("mirror-pods")


def mirror_of(pod: core_v1.Pod, node: core_v1.Node) -> core_v1.Pod:
    """Return the mirror of a static pod, as its node creates it."""
    meta = pod.metadata
    owner = meta_v1.OwnerReference(
        api_version="v1", kind="Node", name=node.metadata.name, uid=node.metadata.uid, controller=True
    )
    annotations = {**meta.annotations, CONFIG_MIRROR: meta.annotations[CONFIG_HASH]}
    return replace(
        pod,
        metadata=meta_v1.ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            labels=meta.labels,
            annotations=annotations,
            owner_references=(owner,),
        ),
        status=core_v1.PodStatus(),
    )


class MirrorPods:
    """The mirrors of one node's static pods; `pods` gives those that run, by their full names."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        statuses: StatusManager,
        *,
        pods: Callable[[], Mapping[str, core_v1.Pod]],
        node: Callable[[], core_v1.Node | None],
    ) -> None:
        self._client, self._clock, self._statuses = client, clock, statuses
        self._pods, self._node = pods, node
        self._there: dict[str, core_v1.Pod] = {}
        self._wake = asyncio.Event()

    def seen(self, mirror: core_v1.Pod) -> None:
        """Learn of a mirror as the API server has it."""
        self._there[full_name(mirror)] = mirror
        self._statuses.reflect(mirror.metadata.annotations[CONFIG_MIRROR], mirror)
        self._wake.set()

    def gone(self, mirror: core_v1.Pod) -> None:
        """Learn that the API server has a mirror no more."""
        name = full_name(mirror)
        if name in self._there and self._there[name].metadata.uid == mirror.metadata.uid:
            del self._there[name]
            self._statuses.reflect(mirror.metadata.annotations[CONFIG_MIRROR], None)
        self._wake.set()

    def check(self) -> None:
        """Look again: a static pod has begun or ended."""
        self._wake.set()

    async def run(self) -> Never:
        """Keep the mirrors for ever; to be begun when all pods of the API server have been seen."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if await self._settle():
                failures = 0
                continue
            failures += 1
            await self._clock.sleep(_RETRY.delay(failures))
            self._wake.set()

    async def _settle(self) -> bool:
        """Make all mirrors what they should be; tells whether that was possible for all."""
        whole = True
        for name in sorted({*self._there, *self._pods()}):
            try:
                await self._settle_one(name)
            except (ApiError, HttpError, OSError, TimeoutError) as error:
                _log.warning("mirror pod not in order", pod=name, error=str(error))
                whole = False
        return whole

    async def _settle_one(self, name: str) -> None:
        pod, mirror = self._pods().get(name), self._there.get(name)
        if mirror is not None and (pod is None or _is_outdated(mirror, pod)):
            await self._delete(mirror)
            mirror = None
        node = self._node()
        if pod is not None and mirror is None and node is not None:
            try:
                self.seen(await self._client.create(mirror_of(pod, node)))
            except AlreadyExists:
                found = await self._client.get(core_v1.Pod, pod.metadata.name, pod.metadata.namespace)
                if CONFIG_MIRROR not in found.metadata.annotations:
                    raise
                self.seen(found)

    async def _delete(self, mirror: core_v1.Pod) -> None:
        meta = mirror.metadata
        # It may have gone by itself, and another have its name.
        with suppress(NotFound, Conflict):
            await self._client.delete(core_v1.Pod, meta.name, meta.namespace, grace_period_seconds=0, uid=meta.uid)
        self.gone(mirror)


def _is_outdated(mirror: core_v1.Pod, pod: core_v1.Pod) -> bool:
    hashed = pod.metadata.annotations[CONFIG_HASH]
    return mirror.metadata.deletion_timestamp is not None or mirror.metadata.annotations[CONFIG_MIRROR] != hashed
