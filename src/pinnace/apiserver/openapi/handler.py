"""Answers `/openapi/v3`, `/openapi/v3/<group-version>` and `/openapi/v2`.

Documents are built when first asked for and kept as bytes. A document's address carries its hash, so that clients may keep it for
a year; an old hash is redirected to the present one. Upstream: kube-openapi `pkg/handler3`, `pkg/handler`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pinnace.api import schemas as packed
from pinnace.api.resources import RESOURCES, Resource
from pinnace.apiserver.openapi import v2, v3
from pinnace.component.http import Headers, Request, Response
from pinnace.component.logging import get_logger

JSON = "application/json"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# What kubectl before 1.27 asks for; answered in the newer name's form.
_PROTOBUF_V2_OLD = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_log = get_logger("openapi")


class OpenApi:
    """The documents of one server."""

    def __init__(self, resources: Sequence[Resource] = RESOURCES) -> None:
        self._resources = resources
        self._schemas: Mapping[str, Any] | None = None
        self._documents: dict[str, tuple[bytes, str]] = {}

    async def handle(self, request: Request) -> Response:
        """Return the document of a path; 404 where there is none."""
        path = request.path.rstrip("/") if request.path != "/openapi/v3/" else request.path
        if path == "/openapi/v2":
            return self._answer_v2(request)
        if path == "/openapi/v3":
            return self._index()
        name = path.removeprefix("/openapi/v3/")
        if name not in self._group_versions():
            return Response(404)
        return self._answer_v3(request, name)

    def _group_versions(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self._resources:
            prefix = "apis" if resource.group else "api"
            found.setdefault(f"{prefix}/{resource.api_version}", []).append(resource)
        return found

    def _index(self) -> Response:
        paths = {
            name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={self._document(name)[1]}"}
            for name in sorted(self._group_versions())
        }
        body = msgspec.json.encode({"paths": paths}) + b"\n"
        return Response(200, Headers({"Content-Type": "text/plain; charset=utf-8"}), body)

    def _answer_v3(self, request: Request, name: str) -> Response:
        document, tag = self._document(name)
        wanted = request.param("hash")
        if wanted and wanted != tag:
            return Response(301, Headers({"Location": f"/openapi/v3/{name}?hash={tag}"}))
        headers = {"ETag": f'"{tag}"', "Vary": "Accept", "Content-Type": JSON}
        headers["Cache-Control"] = "public, immutable" if wanted else "no-cache, private"
        if f'"{tag}"' in request.headers.tokens("If-None-Match"):
            return Response(304, Headers(headers))
        return Response(200, Headers(headers), document)

    def _answer_v2(self, request: Request) -> Response:
        accepted = [token.partition(";")[0].strip() for token in request.headers.tokens("Accept")] or [JSON]
        kinds = {PROTOBUF_V2: "v2.pb", _PROTOBUF_V2_OLD: "v2.pb", JSON: "v2", "*/*": "v2", "application/*": "v2"}
        chosen = next((kinds[item] for item in accepted if item in kinds), None)
        if chosen is None:
            return Response(406)
        document, tag = self._document(chosen)
        content = PROTOBUF_V2 if chosen == "v2.pb" else JSON
        headers = {"ETag": f'"{tag}"', "Vary": "Accept", "Content-Type": content}
        if f'"{tag}"' in request.headers.tokens("If-None-Match"):
            return Response(304, Headers(headers))
        return Response(200, Headers(headers), document)

    def _document(self, name: str) -> tuple[bytes, str]:
        found = self._documents.get(name)
        if found is None:
            document = self._build(name)
            found = self._documents[name] = document, hashlib.sha512(document).hexdigest().upper()
        return found

    def _build(self, name: str) -> bytes:
        schemas = self._load()
        if name == "v2":
            return msgspec.json.encode(v2.document(schemas, self._resources))
        if name == "v2.pb":
            return v2.protobuf(schemas, self._resources)
        return msgspec.json.encode(v3.document(schemas, self._group_versions()[name]))

    def _load(self) -> Mapping[str, Any]:
        if self._schemas is None:
            try:
                self._schemas = packed.load()
            except packed.SchemasMissing as error:
                _log.warning("no schemas to describe the API with", error=str(error))
                self._schemas = {}
        return self._schemas
