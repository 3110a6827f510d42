"""All registries of a server: one a kind and version, over one store.

Invariant: between the beginning of `running` and its end every cache follows the store. A resource that is not stored (reviews,
bindings) has a registry that stays empty.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Never

from pinnace.api import resources
from pinnace.api.core_v1 import Event
from pinnace.api.meta_v1 import DeleteOptions, ObjectMeta, Preconditions
from pinnace.api.resources import Resource
from pinnace.apiserver.registry import deletion
from pinnace.apiserver.registry.objects import RegistryObjects, system_call
from pinnace.apiserver.registry.store import Registry
from pinnace.apiserver.registry.strategy import DEFAULT, Objects, Strategy
from pinnace.apiserver.registry.table import STRATEGIES, VERSIONS
from pinnace.apiserver.storage import ResourceStorage, Storage
from pinnace.component.clock import Clock
from pinnace.component.identity import Identity
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError
from pinnace.store.interface import Store

# Seconds between two sweeps for objects whose time is over.
EXPIRY_PERIOD_SECONDS = 60.0
_log = get_logger("registries")


class Registries:
    """The registries, by their resource."""

    def __init__(self, store: Store, clock: Clock, identity: Identity) -> None:
        self._clock = clock
        self._identity = identity
        self._storage = Storage(store, clock)
        self._registries = {one: self._make(one) for one in resources.RESOURCES if one.stored_in is None}
        self._registries |= {one: self._versioned(one) for one in resources.RESOURCES if one.stored_in is not None}
        self.objects: Objects = RegistryObjects(self.of, clock, identity)

    def _make(self, resource: Resource) -> Registry[Any]:
        strategy: Strategy[Any] = STRATEGIES.get((resource.group, resource.plural), DEFAULT)
        storage = self._storage.add(resource, fields_of=_fields_of(strategy), indexed=strategy.selectable.indexed)
        return Registry(resource, strategy, storage)

    def _versioned(self, resource: Resource) -> Registry[Any]:
        """Return another version's door to objects that are stored."""
        version = VERSIONS[resource.api_version, resource.plural]
        stored = self.of(resources.stored(resource))
        return Registry(stored.resource, version.strategy, stored.storage, version)

    def kept(self) -> Iterator[tuple[Resource, ResourceStorage[Any]]]:
        """Return each place that objects are kept in, with the resource they are stored as."""
        return (
            (one, registry.storage)
            for one, registry in self._registries.items()
            if one.stored_in is None and one.is_stored
        )

    def of(self, resource: Resource) -> Registry[Any]:
        """Return the registry of a resource."""
        return self._registries[resource]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the caches in step with the store while the block lasts."""
        async with self._storage.running():
            yield

    def end_watches(self) -> None:
        """End every watch of every kind."""
        self._storage.end_watches()

    async def expire_events(self) -> Never:
        """Delete objects whose kind gives them a time to live, when it is over."""
        async for _ in self._clock.ticker(EXPIRY_PERIOD_SECONDS):
            for registry in self._registries.values():
                if registry.version is None and registry.strategy.ttl_seconds is not None:
                    await self._expire(registry, self._clock.time() - registry.strategy.ttl_seconds)
        raise AssertionError("a ticker ends only by cancellation")

    async def _expire(self, registry: Registry[Any], before: float) -> None:
        page = await registry.storage.list("")
        for entry in page.entries:
            if _last_written(entry.object) >= before:
                continue
            meta: ObjectMeta = entry.object.metadata
            options = DeleteOptions(preconditions=Preconditions(uid=meta.uid, resource_version=meta.resource_version))
            call = system_call(registry.resource, self._clock, self._identity, self.objects)
            try:
                await deletion.delete(registry, call, meta.name, meta.namespace, options)
            except ApiError as error:
                _log.debug("not expired", name=meta.name, reason=error.message)


def _fields_of(strategy: Strategy[Any]) -> Callable[[Any], Mapping[str, str]]:
    fields = tuple(strategy.selectable.fields.items())

    def fields_of(obj: Any) -> Mapping[str, str]:
        meta: ObjectMeta = obj.metadata
        values = {"metadata.name": meta.name, "metadata.namespace": meta.namespace}
        for label, value in fields:
            values[label] = value(obj)
        return values

    return fields_of


def _last_written(obj: Any) -> float:
    """Return when an object was written last, as far as it tells."""
    return max(map(timestamps.parse, _times(obj)), default=0.0)


def _times(obj: Any) -> Iterator[str]:
    meta: ObjectMeta = obj.metadata
    times = [meta.creation_timestamp]
    if isinstance(obj, Event):
        times += [obj.last_timestamp, obj.event_time, obj.series.last_observed_time if obj.series else None]
    return (time for time in times if time)
