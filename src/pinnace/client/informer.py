"""Shared informers: one list and watch per type and selection, one copy of each object, any number of handlers.

The cache follows the server: list, then watch from the list's version; when the watch ends it is taken up where it stopped, and
when that is too long ago everything is listed anew and the handlers are told the difference. Handlers run in the order of events,
in one uninterrupted step each; one that raises is logged and counted, and neither the cache nor another handler notices. Upstream:
client-go `tools/cache` (reflector.go, shared_informer.go).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Never, TypeVar

import msgspec
from msgspec import Struct

from pinnace.client.rest import Client, Listing
from pinnace.client.watch_events import without_managed_fields
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.component.metrics import Metrics
from pinnace.machinery.errors import ApiError, Expired
from pinnace.machinery.meta import key as key_of

T = TypeVar("T", bound=Struct)

# Upstream's reflector: from 800 ms to 30 s, doubled, with a jitter of up to the whole delay.
_RETRY, _JITTER = Backoff(0.8, 30.0), 1.0
# Seconds from which on a watch that ended counts as one that worked.
_LASTING_SECONDS = 1.0
_log = get_logger("informer")

IndexFunction = Callable[[Any], Iterable[str]]


class Cache(Generic[T]):
    """Objects by key (`namespace/name`), with indexes; what it gives out is shared and never changed.

    Everything comes in the order in which it arrived first; an update keeps its place.
    """

    def __init__(self) -> None:
        self._objects: dict[str, T] = {}
        self._namespaces: dict[str, dict[str, T]] = {}
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
        found = self._objects if namespace is None else self._namespaces.get(namespace, {})
        return list(found.values())

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index: `function` gives the values under which an object is found. A second call of the name is ignored."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._enter(name, key, tuple(function(obj)))

    def by_index(self, name: str, value: str) -> Sequence[T]:
        """Return the objects that an index has under a value."""
        return [self._objects[key] for key in self._indexes[name].get(value, ())]

    def index_values(self, name: str) -> Sequence[str]:
        """Return the values under which an index has objects."""
        return list(self._indexes[name])

    def put(self, key: str, obj: T) -> T | None:
        """Set an object and return the one it replaces."""
        old = self._objects.get(key)
        self._objects[key] = obj
        self._namespaces.setdefault(_namespace(key), {})[key] = obj
        for name, function in self._functions.items():
            before, now = tuple(function(old)) if old is not None else (), tuple(function(obj))
            if before != now:
                self._leave(name, key, before)
                self._enter(name, key, now)
        return old

    def remove(self, key: str) -> T | None:
        """Take an object out and return it."""
        old = self._objects.pop(key, None)
        if old is not None:
            namespace = _namespace(key)
            del self._namespaces[namespace][key]
            if not self._namespaces[namespace]:
                del self._namespaces[namespace]
            for name, function in self._functions.items():
                self._leave(name, key, tuple(function(old)))
        return old

    def _enter(self, name: str, key: str, values: tuple[str, ...]) -> None:
        for value in values:
            self._indexes[name].setdefault(value, {})[key] = None

    def _leave(self, name: str, key: str, values: tuple[str, ...]) -> None:
        for value in values:
            keys = self._indexes[name].get(value, {})
            keys.pop(key, None)
            if not keys:
                self._indexes[name].pop(value, None)


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


class HandlerFailures:
    """Counts handlers that raised; shared by the informers of a factory."""

    def __init__(self, metrics: Metrics | None) -> None:
        self.count = 0
        self._counter = None
        if metrics is not None:
            text = "Event handlers of informers that raised, by type."
            self._counter = metrics.counter("pinnace_informer_handler_failures", text, ("type",))

    def failed(self, kind: str) -> None:
        """Log and count the exception that is being handled."""
        self.count += 1
        if self._counter is not None:
            self._counter.labels(kind).inc()
        _log.exception("event handler failed", type=kind)


class SharedInformer(Generic[T]):
    """Follows one type; a component, started by its factory."""

    def __init__(
        self,
        cls: type[T],
        client: Client,
        clock: Clock,
        failures: HandlerFailures,
        *,
        namespace: str | None,
        field_selector: str,
        label_selector: str,
    ) -> None:
        self.cls = cls
        self._failures = failures
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

    def has_reached(self, version: int) -> bool:
        """Tell whether the cache shows everything up to a resourceVersion of this type."""
        return self._version.isdecimal() and int(self._version) >= version

    def add_handler(
        self,
        on_add: Callable[[T], None] | None = None,
        on_update: Callable[[T, T], None] | None = None,
        on_delete: Callable[[T], None] | None = None,
    ) -> None:
        """Tell someone of every change; what is in the cache already is told as added."""
        handler = Handler(on_add, on_update, on_delete)
        for obj in self.cache.list():
            self._tell(handler.on_add, obj)
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
            except Exception:  # noqa: BLE001 - a bug about one type must not end the informers of the others
                _log.exception("list or watch failed", type=self.cls.__name__)
                self._version = ""
            # A watch that lasts ends without fault; one that ends at once must not be reopened in a tight loop.
            lasted = self._clock.monotonic() - begun >= _LASTING_SECONDS
            failures = 0 if lasted else failures + 1
            if failures:
                await self._clock.sleep(self._clock.jittered(_RETRY.delay(failures), _JITTER))

    async def _list(self) -> None:
        found: Listing[T] = await self._client.list(self.cls, **self._scope)
        self._replace(map(without_managed_fields, found.items))
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
                self._tell(handler.on_add, obj)
            elif _uid(old) != _uid(obj):
                # One object went and another came under its name, unseen in between.
                self._tell(handler.on_delete, old)
                self._tell(handler.on_add, obj)
            else:
                self._tell(handler.on_update, old, obj)

    def _remove(self, key: str) -> None:
        old = self.cache.remove(key)
        if old is not None:
            for handler in self._handlers:
                self._tell(handler.on_delete, old)

    def _tell(self, hear: Callable[..., None], *objects: T) -> None:
        try:
            hear(*objects)
        except Exception:  # noqa: BLE001 - a bug of one listener must not end the informer of them all
            self._failures.failed(self.cls.__name__)


def _namespace(key: str) -> str:
    return key.rpartition("/")[0]


def _version(obj: Any) -> str:
    found: str = obj.metadata.resource_version
    return found


def _uid(obj: Any) -> str:
    found: str = obj.metadata.uid
    return found


class InformerFactory:
    """Gives out one informer per type and selection, and runs them."""

    def __init__(self, client: Client, clock: Clock, *, metrics: Metrics | None = None) -> None:
        self._client = client
        self._clock = clock
        self.metrics = metrics
        self._failures = HandlerFailures(metrics)
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
                self._failures,
                namespace=namespace,
                field_selector=field_selector,
                label_selector=label_selector,
            )
            if self._group is not None:
                self._start(self._group, found)
        return found

    @property
    def handler_failures(self) -> int:
        """How often a handler raised."""
        return self._failures.count

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
