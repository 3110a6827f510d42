"""Watches: events line by line, as long as the client and the clock allow.

What goes wrong before the first byte is an ordinary error; after it, an ERROR event that ends the stream. Upstream: apiserver
`endpoints/handlers/watch.go`, `get.go`; KEP-3157 for sendInitialEvents.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints.negotiation import JSON
from pinnace.apiserver.endpoints.options import ListOptions, list_options, parse_version
from pinnace.apiserver.endpoints.responses import escape_html, tree_bytes
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.table import check_include, partial, table
from pinnace.apiserver.endpoints.watch_websocket import over_websocket
from pinnace.apiserver.storage import WatchEvent
from pinnace.component.http import Divertible, Headers, Part, Response, Upgrade
from pinnace.component.http.websocket import is_websocket
from pinnace.machinery.errors import ApiError
from pinnace.machinery.selectors import FieldRequirement

# Seconds between bookmarks, and before the end at which the last one is sent: upstream's values.
BOOKMARK_PERIOD_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 2.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def watch(scope: Scope) -> Response | Upgrade:
    """Answer a watch of a collection, or by the old paths of one object."""
    options = list_options(scope.request, scope.convert_label, watch=True)
    if scope.info.name:
        only = replace(
            options.fields,
            requirements=(*options.fields.requirements, FieldRequirement("metadata.name", scope.info.name)),
        )
        options = replace(options, fields=only)
    if scope.output.transform == "Table":
        check_include(scope.request.param("includeObject"))
    version = parse_version(options.resource_version)
    if options.send_initial_events and version:
        await scope.registry.storage.wait_fresh(version)
    stream = _Stream(scope, options, version)
    if is_websocket(scope.request):
        return over_websocket(scope.request, stream)
    return Response(200, Headers([("Content-Type", JSON)]), stream)


class _Stream(AsyncIterator[bytes], Divertible):
    """One watch on its way to one client: lines, several together when several wait."""

    def __init__(self, scope: Scope, options: ListOptions, version: int) -> None:
        self._scope = scope
        self._options = options
        self._version = version
        self._clock = scope.services.clock
        limit = options.timeout_seconds
        self._end = self._clock.monotonic() + (float(limit) if limit else scope.services.watch_seconds())
        self._columns_sent = False
        self._take: Callable[[Part], bool] | None = None
        self._events = self._generate()
        # Without a word about it, a watch from "now" or from any version begins with what there is, as if it had asked.
        self._with_initial = (
            options.send_initial_events
            if options.send_initial_events is not None
            else options.resource_version in {"", "0"}
        )

    async def __anext__(self) -> bytes:
        return await anext(self._events)

    async def aclose(self) -> None:
        await self._events.aclose()

    def divert(self, take: Callable[[Part], bool]) -> None:
        output, registry = self._scope.output, self._scope.registry
        # What is made for one client only is made in that client's turn.
        if not output.transform and registry.version is None:
            self._take = take

    async def _generate(self) -> AsyncGenerator[bytes, None]:
        storage, options = self._scope.registry.storage, self._options
        try:
            after: int | None = self._version
            if self._with_initial:
                after = None
            elif options.resource_version in {"", "0"}:
                after = await storage.catch_up()
            async with storage.watch(
                self._scope.info.namespace, labels=options.labels, fields=options.fields, after=after
            ) as watcher:
                if self._with_initial and options.bookmarks:
                    revision = await storage.catch_up()
                    if not watcher.is_idle:
                        yield self._lines(await anext(watcher))
                    yield self._bookmark(revision, initial=True)
                if (take := self._take) is not None:
                    watcher.divert(lambda burst: take(burst.sent_as(_part)))
                # One timer for the next bookmark, not one for each event: a thousand watches get an event together.
                while (now := self._clock.monotonic()) < self._end:
                    bookmark_at = self._next_bookmark()
                    remind_later = self._clock.call_later(min(bookmark_at, self._end) - now, watcher.remind)
                    try:
                        while batch := await anext(watcher):
                            yield self._lines(batch)
                    except StopAsyncIteration:
                        return
                    finally:
                        remind_later()
                    if self._clock.monotonic() >= bookmark_at:
                        revision = await storage.catch_up()
                        if watcher.is_at(revision):
                            yield self._bookmark(revision)
        except ApiError as error:
            yield b'{"type":"ERROR","object":%b}\n' % escape_html(tree_bytes(error.status()))

    def _next_bookmark(self) -> float:
        if not self._options.bookmarks:
            return self._end + 1.0
        now = self._clock.monotonic()
        last = self._end - LAST_BOOKMARK_SECONDS
        return min(now + BOOKMARK_PERIOD_SECONDS, last) if now < last else self._end + 1.0

    def _lines(self, batch: tuple[WatchEvent, ...]) -> bytes:
        if self._scope.output.transform:
            return b"".join(
                b'{"type":"%b","object":%b}\n' % (event.type.encode(), self._transformed(event.entry.object))
                for event in batch
            )
        registry = self._scope.registry
        if registry.version is not None:
            return escape_html(b"".join([event.line_of(registry.shown(event.entry).body) for event in batch]))
        return _joined(batch)

    def _transformed(self, obj: Any) -> bytes:
        output = self._scope.output
        if output.transform != "Table":
            return escape_html(tree_bytes(partial(obj, output.transform_version, self._scope.registry.strategy)))
        tree = table(
            self._scope.registry,
            (obj,),
            {"resourceVersion": obj.metadata.resource_version},
            now=self._clock.time(),
            include=self._scope.request.param("includeObject"),
            version=output.transform_version,
            with_columns=not self._columns_sent,
        )
        self._columns_sent = True
        return escape_html(tree_bytes(tree))

    def _bookmark(self, revision: int, *, initial: bool = False) -> bytes:
        resource, output = self._scope.resource, self._scope.output
        meta = ObjectMeta(resource_version=str(revision), annotations={INITIAL_EVENTS_END: "true"} if initial else {})
        obj = replace(resource.type(), kind=resource.kind, api_version=resource.api_version, metadata=meta)
        if output.transform == "Table":
            empty = {
                "kind": "Table",
                "apiVersion": f"meta.k8s.io/{output.transform_version}",
                "metadata": {"resourceVersion": str(revision)},
                "columnDefinitions": None,
                "rows": [{"cells": [], "object": partial(obj, output.transform_version)}],
            }
            body = tree_bytes(empty)
        elif output.transform:
            body = tree_bytes(partial(obj, output.transform_version))
        else:
            body = codec.encode(obj)
        return b'{"type":"BOOKMARK","object":%b}\n' % body


def _joined(events: tuple[WatchEvent, ...]) -> bytes:
    return b"".join([event.sent_as(escape_html) for event in events])


def _part(events: tuple[WatchEvent, ...]) -> Part:
    return Part(_joined(events))
