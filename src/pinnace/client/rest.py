"""The typed client: calls on generated types, answers as generated types, failures as `ApiError`.

The type says what is asked for; group, version and path come from the table of resources. No call is repeated here: callers know
what is safe to repeat. Upstream: client-go `rest` and `kubernetes/typed`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.resources import Resource, by_type
from pinnace.client.transport import Transport
from pinnace.client.watch_events import WatchEvent, events
from pinnace.component.http import Response
from pinnace.machinery.errors import ApiError, from_status

T = TypeVar("T", bound=Struct)
S = TypeVar("S", bound=Struct)

JSON = "application/json"


class PatchType(StrEnum):
    """The media types of patches."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Listing(Struct, Generic[T], frozen=True):
    """A list, or a part of one that `continue_` goes on with."""

    items: tuple[T, ...]
    resource_version: str
    continue_: str = ""


class Client:
    """One user's calls to one API server."""

    def __init__(self, transport: Transport, *, user_agent: str = "pinnace") -> None:
        self._transport = transport
        self._headers = {"Accept": JSON, "User-Agent": user_agent}

    async def close(self) -> None:
        """Give up the transport."""
        await self._transport.close()

    async def get(self, cls: type[T], name: str, namespace: str | None = None) -> T:
        """Return an object.

        Raises:
            ApiError: NotFound and others.
        """
        path = by_type(cls).path(_quoted(namespace), quote(name, safe=""))
        return codec.decode(cls, await self._call("GET", path))

    async def list(
        self,
        cls: type[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> Listing[T]:
        """Return what the selectors pick, in one namespace or (None) in all."""
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit or ""),
            resourceVersion=resource_version,
            **{"continue": continue_},
        )
        resource = by_type(cls)
        assert resource.list_type is not None, f"{resource.qualified} cannot be listed"
        data = await self._call("GET", resource.path(_quoted(namespace)), query=query)
        found: Any = codec.decode(resource.list_type, data)
        items = tuple(replace(item, kind=resource.kind, api_version=resource.api_version) for item in found.items)
        return Listing(items, found.metadata.resource_version, found.metadata.continue_)

    async def create(self, obj: T, namespace: str | None = None) -> T:
        """Create an object in its own namespace, or in the given one, and return it as stored.

        Raises:
            ApiError: AlreadyExists, Invalid and others.
        """
        resource = by_type(type(obj))
        path = resource.path(_quoted(namespace or _namespace(obj)))
        return codec.decode(type(obj), await self._call("POST", path, body=_body(resource, obj)))

    async def update(self, obj: T, *, subresource: str = "") -> T:
        """Replace an object, or a part of it; its resourceVersion, if it has one, is a precondition.

        Raises:
            ApiError: Conflict, NotFound, Invalid and others.
        """
        resource = by_type(type(obj))
        metadata: Any = obj.metadata  # type: ignore[attr-defined]
        path = resource.path(_quoted(metadata.namespace), quote(metadata.name, safe=""), subresource)
        return codec.decode(type(obj), await self._call("PUT", path, body=_body(resource, obj)))

    async def patch(
        self,
        cls: type[T],
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]] | bytes,
        *,
        type: PatchType = PatchType.MERGE,
        namespace: str | None = None,
        subresource: str = "",
        field_manager: str = "",
    ) -> T:
        """Change an object by a patch and return it as stored.

        Raises:
            ApiError: NotFound, Invalid and others.
        """
        path = by_type(cls).path(_quoted(namespace), quote(name, safe=""), subresource)
        body = patch if isinstance(patch, bytes) else msgspec.json.encode(patch)
        query = _query(fieldManager=field_manager)
        return codec.decode(cls, await self._call("PATCH", path, query=query, body=body, content_type=type))

    async def delete(
        self,
        cls: type[Struct],
        name: str,
        namespace: str | None = None,
        *,
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete an object; with a uid or resourceVersion only if it still has it.

        Raises:
            ApiError: NotFound, Conflict and others.
        """
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        if preconditions:
            options["preconditions"] = preconditions
        path = by_type(cls).path(_quoted(namespace), quote(name, safe=""))
        await self._call("DELETE", path, body=msgspec.json.encode(options))

    async def create_subresource(
        self,
        cls: type[Struct],
        name: str,
        subresource: str,
        obj: Struct,
        *,
        namespace: str | None = None,
        result: type[S] | None = None,
    ) -> S | None:
        """Post to an object's subresource (binding, eviction, token); the answer as `result`, when one is wanted.

        Raises:
            ApiError: as the subresource refuses.
        """
        path = by_type(cls).path(_quoted(namespace), quote(name, safe=""), subresource)
        data = await self._call("POST", path, body=codec.encode(obj))
        return codec.decode(result, data) if result is not None else None

    @asynccontextmanager
    async def watch(
        self,
        cls: type[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[AsyncIterator[WatchEvent[T]]]:
        """Follow what the selectors pick, from a version on; bookmarks included, managedFields left out.

        The iterator ends when the server ends the watch.

        Raises:
            ApiError: Expired, when the version is too old, here or from the iterator.
        """
        query = _query(
            watch="1",
            allowWatchBookmarks="true",
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
        )
        path = by_type(cls).path(_quoted(namespace))
        response = await self._transport.request("GET", path, query=query, headers=self._headers, stream=True)
        if response.status != 200:
            raise _error(response.status, await _read(response))
        assert not isinstance(response.body, bytes), "a watch is a stream"
        chunks: Any = response.body
        try:
            yield events(cls, chunks)
        finally:
            await chunks.aclose()

    async def raw(self, method: str, path: str, *, query: str = "", body: bytes = b"") -> bytes:
        """Return the body of any successful answer.

        Raises:
            ApiError: the server refused.
        """
        return await self._call(method, path, query=query, body=body)

    async def _call(
        self, method: str, path: str, *, query: str = "", body: bytes = b"", content_type: str = JSON
    ) -> bytes:
        headers = {**self._headers, "Content-Type": content_type} if body else self._headers
        response = await self._transport.request(method, path, query=query, headers=headers, body=body)
        data = await _read(response)
        if response.status >= 400:
            raise _error(response.status, data)
        return data


async def _read(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


def _error(status: int, data: bytes) -> ApiError:
    try:
        tree = msgspec.json.decode(data)
    except msgspec.DecodeError:
        tree = None
    if not isinstance(tree, dict):
        tree = {"message": data[:1000].decode("utf-8", "replace").strip()}
    return from_status(status, tree)


def _body(resource: Resource, obj: Struct) -> bytes:
    return codec.encode(replace(obj, kind=resource.kind, api_version=resource.api_version))


def _namespace(obj: Struct) -> str:
    found: str = obj.metadata.namespace  # type: ignore[attr-defined]
    return found


def _quoted(namespace: str | None) -> str | None:
    return quote(namespace, safe="") if namespace else None


def _query(**values: str) -> str:
    return urlencode({key: value for key, value in values.items() if value})
