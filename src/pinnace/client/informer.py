"""Shared informers: one list and watch per type and selection, one copy of each object, any number of handlers.

The cache follows the server: list, then watch from the list's version; when the watch ends it is taken up where it stopped, and
when that is too long ago everything is listed anew and the handlers are told the difference. Handlers run in the order of events,
in one uninterrupted step each. Upstream: client-go `tools/cache` (reflector.go, shared_informer.go).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Never, TypeVar

import msgspec
from msgspec import Struct

from pinnace.client.rest import Client, Listing
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.machinery.errors import ApiError, Expired
from pinnace.machinery.meta import key as key_of

T = TypeVar("T", bound=Struct)

_RETRY = Backoff(0.2, 30.0)
# Seconds from which on a watch that ended counts as one that worked.
_LASTING_SECONDS = 1.0
_log = get_logger("informer")

IndexFunction = Callable[[Any], Iterable[str]]


class Cache(Generic[T]):
    """Objects by key (`namespace/name`), with indexes; what it gives out is shared and never changed."""

    def __init__(self) -> None:
        self._objects: dict[str, T] = {}
        self._functions: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: str) -> T | None:
        return self._objects.get(key)

    def keys(self) -> Iterable[str]:
        return self._objects.keys()

    def list(self, namespace: str | None = None) -> list[T]:
        """Return all objects, or those of a namespace."""
        if namespace is None:
            return list(self._objects.values())
        prefix = f"{namespace}/"
        return [obj for key, obj in self._objects.items() if key.startswith(prefix)]

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index: `function` gives the values under which an object is found. A second call of the name is ignored."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._enter(name, key, obj)

    def by_index(self, name: str, value: str) -> Sequence[T]:
        """Return the objects that an index has under a value, in the order of their arrival."""
        return [self._objects[key] for key in self._indexes[name].get(value, ())]

    def put(self, key: str, obj: T) -> T | None:
        """Set an object and return the one it replaces."""
        old = self.remove(key)
        self._objects[key] = obj
        for name in self._functions:
            self._enter(name, key, obj)
        return old

    def remove(self, key: str) -> T | None:
        """Take an object out and return it."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, function in self._functions.items():
                for value in function(old):
                    keys = self._indexes[name].get(value, {})
                    keys.pop(key, None)
                    if not keys:
                        self._indexes[name].pop(value, None)
        return old

    def _enter(self, name: str, key: str, obj: T) -> None:
        for value in self._functions[name](obj):
            self._indexes[name].setdefault(value, {})[key] = None


class Handler(Generic[T]):
    """What someone does about changes; all of it at once, none of it waiting."""

    def __init__(
        self,
        on_add: Callable[[T], None] | None,
        on_update: Callable[[T, T], None] | None,
        on_delete: Callable[[T], None] | None,
    ) -> None:
        self.on_add = on_add or (lambda _: None)
        self.on_update = on_update or (lambda _, __: None)
        self.on_delete = on_delete or (lambda _: None)


class SharedInformer(Generic[T]):
    """Follows one type; a component, started by its factory."""

    def __init__(
        self,
        cls: type[T],
        client: Client,
        clock: Clock,
        *,
        namespace: str | None,
        field_selector: str,
        label_selector: str,
    ) -> None:
        self.cls = cls
        self.cache: Cache[T] = Cache()
        self._client = client
        self._clock = clock
        self._scope: dict[str, Any] = {
            "namespace": namespace,
            "field_selector": field_selector,
            "label_selector": label_selector,
        }
        self._handlers: list[Handler[T]] = []
        self._synced = asyncio.Event()
        self._version = ""

    @property
    def has_synced(self) -> bool:
        """Whether the first list is in the cache."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the first list is in the cache."""
        await self._synced.wait()

    def add_handler(
        self,
        on_add: Callable[[T], None] | None = None,
        on_update: Callable[[T, T], None] | None = None,
        on_delete: Callable[[T], None] | None = None,
    ) -> None:
        """Tell someone of every change; what is in the cache already is told as added."""
        handler = Handler(on_add, on_update, on_delete)
        for obj in self.cache.list():
            handler.on_add(obj)
        self._handlers.append(handler)

    async def run(self) -> Never:
        """Follow the server for ever, through its absences."""
        failures = 0
        while True:
            begun = self._clock.monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Expired:
                self._version = ""
            except (ApiError, HttpError, OSError, TimeoutError, msgspec.DecodeError) as error:
                _log.warning("list or watch failed", type=self.cls.__name__, error=str(error) or type(error).__name__)
            # A watch that lasts ends without fault; one that ends at once must not be reopened in a tight loop.
            lasted = self._clock.monotonic() - begun >= _LASTING_SECONDS
            failures = 0 if lasted else failures + 1
            if failures:
                await self._clock.sleep(_RETRY.delay(failures))

    async def _list(self) -> None:
        found: Listing[T] = await self._client.list(self.cls, **self._scope)
        self._replace(found.items)
        self._version = found.resource_version
        self._synced.set()

    async def _watch(self) -> None:
        async with self._client.watch(self.cls, resource_version=self._version, **self._scope) as events:
            async for event in events:
                obj: Any = event.object
                self._version = obj.metadata.resource_version
                if event.type == "DELETED":
                    self._remove(key_of(obj))
                elif event.type in {"ADDED", "MODIFIED"}:
                    self._put(obj)

    def _replace(self, items: Iterable[T]) -> None:
        listed = {key_of(item): item for item in items}
        for key in [key for key in self.cache.keys() if key not in listed]:  # noqa: SIM118 - a Cache is no mapping
            self._remove(key)
        for obj in listed.values():
            self._put(obj)

    def _put(self, obj: T) -> None:
        old = self.cache.put(key_of(obj), obj)
        if old is not None and _version(old) == _version(obj):
            return
        for handler in self._handlers:
            if old is None:
                handler.on_add(obj)
            elif _uid(old) != _uid(obj):
                # One object went and another came under its name, unseen in between.
                handler.on_delete(old)
                handler.on_add(obj)
            else:
                handler.on_update(old, obj)

    def _remove(self, key: str) -> None:
        old = self.cache.remove(key)
        if old is not None:
            for handler in self._handlers:
                handler.on_delete(old)


def _version(obj: Any) -> str:
    found: str = obj.metadata.resource_version
    return found


def _uid(obj: Any) -> str:
    found: str = obj.metadata.uid
    return found


class InformerFactory:
    """Gives out one informer per type and selection, and runs them."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._informers: dict[tuple[Any, ...], SharedInformer[Any]] = {}
        self._group: asyncio.TaskGroup | None = None

    def informer(
        self, cls: type[T], namespace: str | None = None, *, field_selector: str = "", label_selector: str = ""
    ) -> SharedInformer[T]:
        """Return the informer of a type; a new one starts at once when the factory runs."""
        key = (cls, namespace, field_selector, label_selector)
        found = self._informers.get(key)
        if found is None:
            found = self._informers[key] = SharedInformer(
                cls,
                self._client,
                self._clock,
                namespace=namespace,
                field_selector=field_selector,
                label_selector=label_selector,
            )
            if self._group is not None:
                self._start(self._group, found)
        return found

    async def run(self) -> Never:
        """Run every informer, the later ones too."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for informer in self._informers.values():
                self._start(group, informer)
            await asyncio.Event().wait()
        raise AssertionError("informers run until they are cancelled")

    async def wait_synced(self) -> None:
        """Wait until every informer asked for so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    @staticmethod
    def _start(group: asyncio.TaskGroup, informer: SharedInformer[Any]) -> None:
        group.create_task(informer.run(), name=f"informer {informer.cls.__name__}")
