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
from pinnace.apiserver.openapi import v2, v3
from pinnace.apiserver.openapi.paths import Kind, Operation, discovery_operations, operations
from pinnace.component.clock import Clock
from pinnace.component.http import Headers, Request, Response
from pinnace.component.logging import get_logger

JSON = "application/json"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# What kubectl before 1.27 asks for; answered in the newer name's form.
_PROTOBUF_V2_OLD = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_V2 = {PROTOBUF_V2: "v2.pb", _PROTOBUF_V2_OLD: "v2.pb", JSON: "v2", "*/*": "v2", "application/*": "v2"}
_V3 = frozenset({JSON, "*/*", "application/*"})
_YEAR_SECONDS = 365 * 24 * 3600
_log = get_logger("openapi")


class _Document(Struct, frozen=True):
    plain: bytes
    packed: bytes
    tag: str


class OpenApi:
    """The documents of one server."""

    def __init__(self, clock: Clock, resources: Sequence[Resource] = RESOURCES) -> None:
        self._clock = clock
        self._resources = resources
        self._schemas: Mapping[str, Any] | None = None
        self._documents: dict[str, _Document] = {}
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
            name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={(await self._document(name)).tag}"}
            for name in sorted(self._parts)
        }
        body = msgspec.json.encode({"paths": paths}) + b"\n"
        return Response(200, Headers({"Content-Type": "text/plain; charset=utf-8"}), body)

    async def _answer_v3(self, request: Request, name: str) -> Response:
        if not _chosen(request, _V3):
            return Response(406)
        document, wanted = await self._document(name), request.param("hash")
        if wanted and wanted != document.tag:
            return Response(301, Headers({"Location": f"/openapi/v3/{name}?hash={document.tag}"}))
        if not wanted:
            return _answer(request, document, JSON, ("Cache-Control", "no-cache, private"))
        expires = formatdate(self._clock.time() + _YEAR_SECONDS, usegmt=True)
        return _answer(request, document, JSON, ("Cache-Control", "public, immutable"), ("Expires", expires))

    async def _answer_v2(self, request: Request) -> Response:
        chosen = _chosen(request, frozenset(_V2))
        if not chosen:
            return Response(406)
        name = _V2[chosen]
        return _answer(request, await self._document(name), PROTOBUF_V2 if name == "v2.pb" else JSON)

    async def _document(self, name: str) -> _Document:
        found = self._documents.get(name)
        if found is None:
            # One at a time: each needs the schemas, and keeps a core busy.
            async with self._building:
                found = self._documents.get(name)
                if found is None:
                    found = self._documents[name] = await asyncio.to_thread(self._build, name)
        return found

    def _build(self, name: str) -> _Document:
        schemas = self._load()
        if name in {"v2", "v2.pb"}:
            everything = (*discovery_operations(self._resources), *operations(self._resources))
            tree = v2.document(schemas, everything)
            plain = v2.protobuf(tree) if name == "v2.pb" else msgspec.json.encode(tree)
        else:
            plain = msgspec.json.encode(v3.document(schemas, *self._parts[name]))
        # Level 1, as upstream: for a document that is asked for a few times a day the rest is not worth it.
        return _Document(plain, gzip.compress(plain, 1, mtime=0), hashlib.sha512(plain).hexdigest().upper())

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


def _chosen(request: Request, offered: frozenset[str]) -> str:
    """Return the first media type a client lists that is offered, JSON when it lists none; empty when nothing fits."""
    accepted = [token.partition(";")[0].strip() for token in request.headers.tokens("Accept")] or [JSON]
    return next((item for item in accepted if item in offered), "")


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
