"""The API server's own way to its objects: for strategies, admission, tokens and what is made at start.

Writes go through the kinds' rules, and not through authentication, authorization or admission: the server trusts itself.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import resources
from pinnace.api.meta_v1 import DeleteOptions, Preconditions
from pinnace.api.resources import Resource
from pinnace.apiserver.registry import deletion
from pinnace.apiserver.registry.store import Call, Registry
from pinnace.apiserver.registry.strategy import Context, Objects
from pinnace.apiserver.storage import Entry
from pinnace.component.clock import Clock
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.machinery.errors import NotFound

S = TypeVar("S", bound=Struct)

# Objects kept decoded for those who read them through `RegistryObjects`.
DECODED_LIMIT = 1024
# Lists kept whole, and objects in one of them.
LISTS_LIMIT, LIST_LIMIT_OBJECTS = 1024, 64
# Who the server is when it acts by itself.
SYSTEM = UserInfo("system:apiserver", groups=("system:masters",))


def system_call(resource: Resource, clock: Clock, identity: Identity, objects: Objects) -> Call:
    """Return a write that the server makes by itself."""
    return Call(
        context=Context(
            user=SYSTEM,
            now=clock.time(),
            identity=identity,
            objects=objects,
            group=resource.group,
            plural=resource.plural,
        )
    )


class RegistryObjects(Objects):
    """Objects by their type, straight from the registries."""

    def __init__(self, registry: Callable[[Resource], Registry[Any]], clock: Clock, identity: Identity) -> None:
        self._registry = registry
        self._clock = clock
        self._identity = identity
        # Namespaces, service accounts and the like are asked for by every other write: decoded once per version.
        self._decoded: dict[str, tuple[Entry[Any], Any]] = {}
        # So are short lists, such as of limit ranges and priority classes: kept until anything of their kind changes.
        self._lists: dict[tuple[type[Any], str], tuple[int, tuple[Any, ...]]] = {}

    def _object(self, entry: Entry[Any]) -> Any:
        known = self._decoded.get(entry.key)
        if known is not None and known[0] is entry:
            return known[1]
        if len(self._decoded) >= DECODED_LIMIT:
            self._decoded.clear()
        obj = entry.object
        self._decoded[entry.key] = (entry, obj)
        return obj

    def _of(self, cls: type[Any]) -> Registry[Any]:
        registry = self._registry(resources.by_type(cls))
        assert registry.version is None, "the server itself speaks the stored versions"
        return registry

    def _call(self, resource: Resource) -> Call:
        return system_call(resource, self._clock, self._identity, self)

    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None:
        entry: Entry[S] | None = self._of(cls).storage.get(name, namespace)
        return None if entry is None else self._object(entry)

    async def list(self, cls: type[S], namespace: str = "") -> tuple[S, ...]:
        storage = self._of(cls).storage
        if not len(storage):
            return ()
        known = self._lists.get((cls, namespace))
        if known is not None and known[0] == storage.changed:
            return known[1]
        # Whatever has been answered is in the cache; waiting for writes under way would cost every create a turn of the loop.
        objects = tuple(self._object(entry) for entry in storage.current(namespace))
        if len(objects) <= LIST_LIMIT_OBJECTS:
            if len(self._lists) >= LISTS_LIMIT:
                self._lists.clear()
            self._lists[cls, namespace] = (storage.changed, objects)
        return objects

    async def create(self, obj: S) -> S:
        registry = self._of(type(obj))
        resource = registry.resource
        obj = replace(obj, kind=resource.kind, api_version=resource.api_version)
        written = await registry.create(self._call(resource), registry.strategy.default(obj))
        created: S = written.object
        return created

    async def update(self, obj: S, subresource: str = "") -> S:
        registry = self._of(type(obj))
        meta = obj.metadata  # type: ignore[attr-defined]

        async def build(entry: Entry[S]) -> S:  # noqa: ARG001
            return obj

        written = await registry.update(
            self._call(registry.resource), meta.name, meta.namespace, build, subresource=subresource
        )
        updated: S = written.object
        return updated

    async def delete(self, cls: type[S], name: str, namespace: str = "", *, uid: str = "") -> None:
        registry = self._of(cls)
        options = DeleteOptions(preconditions=Preconditions(uid=uid) if uid else None)
        try:
            await deletion.delete(registry, self._call(registry.resource), name, namespace, options)
        except NotFound:
            return
