"""Config maps and secrets that volumes are made of, followed by a watch each, so that a change reaches the pods at once.

The node authorizer lets an agent watch only single objects, by name, that a pod of its node uses. Each is watched as long as a pod here uses
it. Until a watch has begun, and for everything else, objects are read directly. Upstream: kubelet `util/manager/watch_based_manager.go`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct, field

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory, SharedInformer
from pinnace.component.clock import Clock
from pinnace.kubelet.environment import ClientSource
from pinnace.machinery.errors import not_found

T = TypeVar("T", core_v1.ConfigMap, core_v1.Secret)
_Key = tuple[type[Any], str, str]


class _Item(Struct):
    """One object: its watch, the pods that use it, and the version that they were given."""

    informer: SharedInformer[Any]
    task: asyncio.Task[None]
    pods: set[str] = field(default_factory=set)
    given: str = ""


class WatchedSource(ClientSource):
    """Objects of all pods of one node."""

    def __init__(self, client: Client, clock: Clock) -> None:
        super().__init__(client)
        self._client, self._clock = client, clock
        self._items: dict[_Key, _Item] = {}
        self._group: asyncio.TaskGroup | None = None
        self.on_change: Callable[[str], None] = lambda _: None

    def carry_in(self, group: asyncio.TaskGroup) -> None:
        """Let the watches live in the agent's own group."""
        self._group = group

    def follow(self, pod: core_v1.Pod) -> None:
        """Follow all that a pod's volumes are made of; safe to repeat."""
        for cls, name in _references(pod):
            key = (cls, pod.metadata.namespace, name)
            item = self._items.get(key) or self._begin(key)
            if item is not None:
                item.pods.add(pod.metadata.uid)

    def release(self, uid: str) -> None:
        """Follow for a pod no more."""
        for key, item in [(key, item) for key, item in self._items.items() if uid in item.pods]:
            item.pods.discard(uid)
            if not item.pods:
                item.task.cancel()
                del self._items[key]

    async def config_map(self, namespace: str, name: str) -> core_v1.ConfigMap:
        return self._known(core_v1.ConfigMap, namespace, name) or await super().config_map(namespace, name)

    async def secret(self, namespace: str, name: str) -> core_v1.Secret:
        return self._known(core_v1.Secret, namespace, name) or await super().secret(namespace, name)

    def _known(self, cls: type[T], namespace: str, name: str) -> T | None:
        """Return an object from its watch; None when there is none yet.

        Raises:
            NotFound: the watch says that there is no such object.
        """
        item = self._items.get((cls, namespace, name))
        if item is None or not item.informer.has_synced:
            return None
        found: T | None = item.informer.cache.get(f"{namespace}/{name}")
        item.given = found.metadata.resource_version if found is not None else ""
        if found is None:
            raise not_found("", "configmaps" if cls is core_v1.ConfigMap else "secrets", name)
        return found

    def _begin(self, key: _Key) -> _Item | None:
        if self._group is None:
            return None
        cls, namespace, name = key
        factory = InformerFactory(self._client, self._clock)
        informer: SharedInformer[Any] = factory.informer(cls, namespace, field_selector=f"metadata.name={name}")
        task = self._group.create_task(factory.run(), name=f"watch of {cls.__name__} {namespace}/{name}")
        item = self._items[key] = _Item(informer, task)

        def changed(obj: Any) -> None:
            if obj.metadata.resource_version != item.given:
                for uid in tuple(item.pods):
                    self.on_change(uid)

        informer.add_handler(changed, lambda _, obj: changed(obj), changed)
        return item


def _references(pod: core_v1.Pod) -> set[tuple[type[Any], str]]:
    """Return type and name of what a pod's volumes are made of."""
    found: set[tuple[type[Any], str]] = set()
    for volume in pod.spec.volumes or ():
        if volume.config_map is not None:
            found.add((core_v1.ConfigMap, volume.config_map.name))
        if volume.secret is not None:
            found.add((core_v1.Secret, volume.secret.secret_name))
        for part in (volume.projected.sources or ()) if volume.projected is not None else ():
            if part.config_map is not None:
                found.add((core_v1.ConfigMap, part.config_map.name))
            if part.secret is not None:
                found.add((core_v1.Secret, part.secret.name))
    return found
