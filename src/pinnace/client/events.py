"""Writes Events about objects, so that people see what a component did and why.

A recorder says what happened, in the name of one component; a writer writes it, one event after another, and may serve any number of
recorders. Events that are alike are counted, combined or dropped (`event_correlation.py`); writing never fails the work it tells of, nor
does anybody wait for it. Upstream: client-go `tools/record`.
"""

import asyncio
import itertools
from collections import deque
from typing import Any, Never

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import by_type
from pinnace.client.event_correlation import Correlated, EventCorrelator
from pinnace.client.rest import Client
from pinnace.component.clock import Clock, Hold
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError, NotFound

_log = get_logger("events")
# Events that may wait to be written.
WAITING_LIMIT = 1000
# Bytes; upstream's limit on an event's text.
MESSAGE_LIMIT = 1024


class EventWriter:
    """Writes what recorders tell, in order, each event as the one it came from; `run` it beside their work."""

    def __init__(self, clock: Clock, *, waiting_limit: int = WAITING_LIMIT, share: float = 1.0) -> None:
        """Let so many events wait at most, those that come then are dropped; spend at most this share of the time on writing."""
        self._clock, self._limit = clock, waiting_limit
        # How long to rest after a write, as a multiple of how long it took: the longer, the more there is that goes before it.
        self._rest = 1.0 / share - 1.0
        self._correlator = EventCorrelator()
        self._waiting: deque[tuple[Client, core_v1.Event]] = deque()
        # Several events may fall on one instant of a virtual clock, and need names of their own.
        self._order = itertools.count()
        self._hold: Hold | None = None
        self._arrived = asyncio.Event()

    def add(self, client: Client, event: core_v1.Event) -> None:
        """Have an event written by this client, under a name that no other has."""
        if len(self._waiting) >= self._limit:
            return
        instant = int(self._clock.time() * 1e9) + next(self._order)
        metadata = replace(event.metadata, name=f"{event.involved_object.name}.{instant:x}")
        self._waiting.append((client, replace(event, metadata=metadata)))
        if self._hold is None:
            self._hold = self._clock.hold("event writer")
        self._arrived.set()

    async def run(self) -> Never:
        """Write events for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                begun = self._clock.monotonic()
                await self._write(*self._waiting.popleft())
                await self._pause(self._rest * (self._clock.monotonic() - begun))
            if self._hold is not None:
                self._hold.release()
                self._hold = None

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0.0 or self._hold is None:
            return
        self._hold.suspend()
        try:
            await self._clock.sleep(seconds)
        finally:
            self._hold.resume()

    async def _write(self, client: Client, event: core_v1.Event) -> None:
        correlated = self._correlator.correlate(event, self._clock.monotonic())
        if correlated is None:
            return
        try:
            stored = await _store(client, correlated)
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            _log.debug("event not written", reason=event.reason, object=event.involved_object.name, error=str(error))
            return
        self._correlator.written(correlated, stored)


class EventRecorder:
    """Records events of one component."""

    def __init__(
        self, client: Client, clock: Clock, *, component: str, host: str = "", writer: EventWriter | None = None
    ) -> None:
        """Have events written by `writer`, which somebody runs; without one, `run` writes them."""
        self._client = client
        self._clock = clock
        self._source = core_v1.EventSource(component=component, host=host)
        self._writer = writer if writer is not None else EventWriter(clock)

    def event(self, obj: Struct, kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Tell that something happened to an object; `kind` is Normal or Warning. Dropped when too many wait."""
        if len(message) > MESSAGE_LIMIT:
            message = message[: MESSAGE_LIMIT - 4] + " ..."
        self._writer.add(self._client, self._make(reference(obj, field_path), kind, reason, message))

    async def run(self) -> Never:
        """Write the events of a recorder that has no other's writer, for ever."""
        await self._writer.run()

    def _make(self, about: core_v1.ObjectReference, kind: str, reason: str, message: str) -> core_v1.Event:
        stamp = timestamps.format(self._clock.time())
        return core_v1.Event(
            metadata=ObjectMeta(namespace=about.namespace or "default"),
            involved_object=about,
            reason=reason,
            message=message,
            source=self._source,
            first_timestamp=stamp,
            last_timestamp=stamp,
            count=1,
            type=kind,
            reporting_component=self._source.component,
            reporting_instance=self._source.host,
        )


async def _store(client: Client, correlated: Correlated) -> core_v1.Event:
    event = correlated.event
    if correlated.known is None:
        return await client.create(event)
    change = {"count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message}
    metadata = event.metadata
    try:
        return await client.patch(core_v1.Event, metadata.name, change, namespace=metadata.namespace)
    except NotFound:
        # It has expired; the count goes on.
        fresh = ObjectMeta(name=metadata.name, namespace=metadata.namespace)
        return await client.create(replace(event, metadata=fresh))


def reference(obj: Struct, field_path: str = "") -> core_v1.ObjectReference:
    """Return the reference that an event carries to its object."""
    if isinstance(obj, core_v1.ObjectReference):
        return replace(obj, field_path=field_path) if field_path else obj
    resource = by_type(type(obj))
    metadata: Any = obj.metadata  # type: ignore[attr-defined]
    return core_v1.ObjectReference(
        kind=resource.kind,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        api_version=resource.api_version,
        resource_version=metadata.resource_version,
        field_path=field_path,
    )
