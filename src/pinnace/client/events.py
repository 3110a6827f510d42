"""Writes Events about objects, so that people see what a component did and why.

The same event again is counted up on the one there is, as client-go does; writing never fails the work it tells of. Upstream:
client-go `tools/record`.
"""

import asyncio
import itertools
from collections import OrderedDict
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import by_type
from pinnace.client.rest import Client
from pinnace.component.clock import Clock, Hold
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError, NotFound

_log = get_logger("events")
# Events whose counts are remembered, and those that may wait to be written; the oldest give way.
REMEMBERED, WAITING_LIMIT = 4096, 1000
# Bytes; upstream's limit on an event's text.
MESSAGE_LIMIT = 1024


class EventRecorder:
    """Records events of one component; `run` writes them, in order, beside the component's work."""

    def __init__(self, client: Client, clock: Clock, *, component: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._source = core_v1.EventSource(component=component, host=host)
        self._known: OrderedDict[tuple[str, ...], core_v1.Event] = OrderedDict()
        self._waiting: list[core_v1.Event] = []
        # Several events may fall on one instant of a virtual clock, and need names of their own.
        self._order = itertools.count()
        self._hold: Hold | None = None
        self._arrived = asyncio.Event()

    def event(self, obj: Struct, kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Tell that something happened to an object; `kind` is Normal or Warning. Dropped when too many wait."""
        if len(self._waiting) >= WAITING_LIMIT:
            return
        if len(message) > MESSAGE_LIMIT:
            message = message[: MESSAGE_LIMIT - 4] + " ..."
        self._waiting.append(self._make(reference(obj, field_path), kind, reason, message))
        if self._hold is None:
            self._hold = self._clock.hold("event recorder")
        self._arrived.set()

    async def run(self) -> None:
        """Write events for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._waiting = self._waiting, []
            for event in batch:
                await self._write(event)
            if not self._waiting and self._hold is not None:
                self._hold.release()
                self._hold = None

    def _make(self, about: core_v1.ObjectReference, kind: str, reason: str, message: str) -> core_v1.Event:
        now = self._clock.time()
        stamp = timestamps.format(now)
        namespace = about.namespace or "default"
        return core_v1.Event(
            metadata=ObjectMeta(name=f"{about.name}.{int(now * 1e9) + next(self._order):x}", namespace=namespace),
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

    async def _write(self, event: core_v1.Event) -> None:
        about = event.involved_object
        key = (
            about.kind,
            about.namespace,
            about.name,
            about.uid,
            about.field_path,
            event.type,
            event.reason,
            event.message,
        )
        known = self._known.pop(key, None)
        try:
            if known is not None:
                change = {"count": known.count + 1, "lastTimestamp": event.last_timestamp}
                try:
                    event = await self._client.patch(
                        core_v1.Event, known.metadata.name, change, namespace=known.metadata.namespace
                    )
                except NotFound:
                    event = await self._create(event)
            else:
                event = await self._create(event)
        except (ApiError, HttpError, OSError, TimeoutError) as error:
            _log.debug("event not written", reason=event.reason, object=about.name, error=str(error))
            return
        self._known[key] = event
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _create(self, event: core_v1.Event) -> core_v1.Event:
        return await self._client.create(event)


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
