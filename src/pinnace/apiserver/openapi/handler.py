"""Answers `/openapi/v3`, `/openapi/v3/<group-version>` and `/openapi/v2`.

Documents are built when first asked for, beside the event loop, and kept as bytes, plain and compressed. A document's address
carries its hash, so that clients may keep it for a year; an old hash is redirected to the present one. Upstream: kube-openapi
`pkg/handler3`, `pkg/handler`.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any

import msgspec
from msgspec import Struct

from pinnace.api import schemas as packed
from pinnace.api.resources import RESOURCES, Resource
from pinnace.apiserver.endpoints.negotiation import clauses
from pinnace.apiserver.openapi import v2, v2_protobuf, v3, v3_protobuf
from pinnace.apiserver.openapi.paths import Kind, Operation, discovery_operations, operations
from pinnace.component.clock import Clock
from pinnace.component.http import Headers, Request, Response
from pinnace.component.logging import get_logger

JSON = "application/json"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
PROTOBUF_V3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
# By what a client may list, what it gets; the names with an @ are older, and answered under the newer ones.
_JSON_NAMES = dict.fromkeys((JSON, "*/*", "application/*"), JSON)
_V2 = {
    **_JSON_NAMES,
    PROTOBUF_V2: PROTOBUF_V2,
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf": PROTOBUF_V2,
}
_V3 = {
    **_JSON_NAMES,
    PROTOBUF_V3: PROTOBUF_V3,
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf": PROTOBUF_V3,
}
_YEAR_SECONDS = 365 * 24 * 3600
_log = get_logger("openapi")


class _Document(Struct, frozen=True):
    """Bytes, plain and compressed, and the hash that they are known by."""

    plain: bytes
    packed: bytes
    tag: str


class OpenApi:
    """The documents of one server."""

    def __init__(self, clock: Clock, resources: Sequence[Resource] = RESOURCES) -> None:
        self._clock = clock
        self._resources = resources
        self._schemas: Mapping[str, Any] | None = None
        # By name and media type.
        self._documents: dict[tuple[str, str], _Document] = {}
        self._building = asyncio.Lock()
        self._parts = _parts(resources)

    async def handle(self, request: Request) -> Response:
        """Return the document of a path; 404 where there is none."""
        if request.method not in {"GET", "HEAD"}:
            return Response(405)
        if request.path == "/openapi/v2":
            return await self._answer_v2(request)
        if request.path == "/openapi/v3":
            return await self._index()
        name = request.path.removeprefix("/openapi/v3/")
        if name not in self._parts:
            return Response(404)
        return await self._answer_v3(request, name)

    async def _index(self) -> Response:
        paths = {
            name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={(await self._document(name, JSON)).tag}"}
            for name in sorted(self._parts)
        }
        body = msgspec.json.encode({"paths": paths}) + b"\n"
        return Response(200, Headers({"Content-Type": "text/plain; charset=utf-8"}), body)

    async def _answer_v3(self, request: Request, name: str) -> Response:
        media_type = _chosen(request, _V3)
        if not media_type:
            return Response(406)
        document, wanted = await self._document(name, media_type), request.param("hash")
        if wanted and wanted != document.tag:
            return Response(301, Headers({"Location": f"/openapi/v3/{name}?hash={document.tag}"}))
        if not wanted:
            return _answer(request, document, media_type, ("Cache-Control", "no-cache, private"))
        expires = formatdate(self._clock.time() + _YEAR_SECONDS, usegmt=True)
        return _answer(request, document, media_type, ("Cache-Control", "public, immutable"), ("Expires", expires))

    async def _answer_v2(self, request: Request) -> Response:
        media_type = _chosen(request, _V2)
        if not media_type:
            return Response(406)
        return _answer(request, await self._document("v2", media_type), media_type)

    async def _document(self, name: str, media_type: str) -> _Document:
        key = name, media_type
        found = self._documents.get(key)
        if found is None:
            # One at a time: each needs the schemas, and keeps a core busy.
            async with self._building:
                found = self._documents.get(key)
                if found is None:
                    found = self._documents[key] = await asyncio.to_thread(self._build, name, media_type)
        return found

    def _build(self, name: str, media_type: str) -> _Document:
        schemas = self._load()
        if name == "v2":
            everything = (*discovery_operations(self._resources), *operations(self._resources))
            tree, protobuf = v2.document(schemas, everything), v2_protobuf.document
        else:
            tree, protobuf = v3.document(schemas, *self._parts[name]), v3_protobuf.document
        plain = msgspec.json.encode(tree)
        # Either form goes by the hash of the JSON, as upstream: one address serves both, and Vary tells them apart.
        tag = hashlib.sha512(plain).hexdigest().upper()
        if media_type != JSON:
            plain = protobuf(tree)
        # Level 1, as upstream: for a document that is asked for a few times a day the rest is not worth it.
        return _Document(plain, gzip.compress(plain, 1, mtime=0), tag)

    def _load(self) -> Mapping[str, Any]:
        if self._schemas is None:
            try:
                self._schemas = packed.load()
            except packed.SchemasMissing as error:
                _log.warning("no schemas to describe the API with", error=str(error))
                self._schemas = {}
        return self._schemas


def _parts(resources: Sequence[Resource]) -> dict[str, tuple[list[Operation], list[Kind]]]:
    """Return what each document of version 3 describes: operations, and kinds whose schemas belong to it anyway."""
    found: dict[str, tuple[list[Operation], list[Kind]]] = {}
    for operation in (*discovery_operations(resources), *operations(resources)):
        found.setdefault(_part_of(operation.path), ([], []))[0].append(operation)
    for resource in resources:
        kinds = found[f"{'apis' if resource.group else 'api'}/{resource.api_version}"][1]
        for suffix in ("", "List"):
            kinds.append(Kind(resource.group, resource.version, resource.kind + suffix))
    return found


def _part_of(path: str) -> str:
    """Return the document that a path belongs to: its group and version, or the path itself beside the API."""
    parts = path.strip("/").split("/")
    return "/".join(parts[: {"api": 2, "apis": 3}.get(parts[0], len(parts))])


def _chosen(request: Request, offered: Mapping[str, str]) -> str:
    """Return what a client gets for the media types it lists, the most wanted first; empty when nothing fits."""
    listed = clauses(request.headers.get("Accept") or "*/*")
    return next((offered[media] for one in listed if (media := f"{one.type}/{one.subtype}") in offered), "")


def _answer(request: Request, document: _Document, media_type: str, *extra: tuple[str, str]) -> Response:
    """Return a document, compressed for who takes that; nothing where the client has it already."""
    tag = f'"{document.tag}"'
    headers = Headers([("Content-Type", media_type), ("ETag", tag), ("Vary", "Accept-Encoding, Accept"), *extra])
    known = request.headers.tokens("If-None-Match")
    if tag in known or f"W/{tag}" in known:
        return Response(304, headers)
    coded = {token.partition(";")[0].strip() for token in request.headers.tokens("Accept-Encoding")}
    if "gzip" in coded:
        return Response(200, headers.extended(("Content-Encoding", "gzip")), document.packed)
    return Response(200, headers, document.plain)
