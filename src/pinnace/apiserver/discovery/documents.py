"""Discovery documents, classic and aggregated, made once from the table of resources.

Upstream: apiserver `endpoints/discovery`, `endpoints/discovery/aggregated` (KEP-3352). The aggregated list is chosen by Accept, has
an ETag, and answers If-None-Match with 304.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.api.resources import GROUPS, RESOURCES, Resource, Subresource
from pinnace.apiserver.endpoints.negotiation import negotiate
from pinnace.apiserver.endpoints.responses import page_not_found, respond, tree_bytes
from pinnace.component.http import Headers, Request, Response

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
JSON = "application/json"


class Discovery:
    """Answers `/api`, `/apis` and what is below them as far as groups and versions go."""

    def __init__(
        self, resources: Sequence[Resource] = RESOURCES, groups: Mapping[str, tuple[str, ...]] = GROUPS
    ) -> None:
        self._documents: dict[str, bytes] = {}
        self._aggregated: dict[str, tuple[bytes, str]] = {}
        self._build(resources, groups)

    async def handle(self, request: Request) -> Response:
        """Return the document of a path; 404 where there is none.

        Raises:
            NotAcceptable: the client takes no form that there is.
        """
        path = request.path.rstrip("/") or "/"
        if path in {"/api", "/apis"} and _wants_aggregated(request):
            return self._answer_aggregated(request, *self._aggregated[path])
        document = tree_bytes(_versions(request)) if path == "/api" else self._documents.get(path)
        if document is None:
            return page_not_found()
        return respond(request, document, negotiate(request, transforms=False))

    @staticmethod
    def _answer_aggregated(request: Request, document: bytes, tag: str) -> Response:
        headers = {"Content-Type": AGGREGATED, "ETag": tag, "Vary": "Accept", "Cache-Control": "public"}
        if tag in request.headers.tokens("If-None-Match"):
            return Response(304, Headers(headers))
        return Response(200, Headers(headers), document)

    def _build(self, resources: Sequence[Resource], groups: Mapping[str, tuple[str, ...]]) -> None:
        listed = []
        aggregated: dict[str, list[Any]] = {"/api": [], "/apis": []}
        for group, versions in groups.items():
            if group:
                described = _group(group, versions)
                listed.append({key: value for key, value in described.items() if key not in {"kind", "apiVersion"}})
                self._documents[f"/apis/{group}"] = tree_bytes(described)
            entry: dict[str, Any] = {"metadata": {"name": group} if group else {}, "versions": []}
            for version in versions:
                rows = [item for item in resources if (item.group, item.version) == (group, version)]
                path = f"/apis/{group}/{version}" if group else f"/api/{version}"
                self._documents[path] = tree_bytes(_resource_list(rows))
                entry["versions"].append({
                    "version": version,
                    "resources": [_aggregated(item) for item in rows],
                    "freshness": "Current",
                })
            aggregated["/apis" if group else "/api"].append(entry)
        self._documents["/apis"] = tree_bytes({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
        for path, items in aggregated.items():
            tree = {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": items,
            }
            document = tree_bytes(tree) + b"\n"
            self._aggregated[path] = document, f'"{hashlib.sha512(document).hexdigest().upper()}"'


def _wants_aggregated(request: Request) -> bool:
    for accepted in request.headers.tokens("Accept"):
        parts = {part.strip() for part in accepted.split(";")}
        if {"as=APIGroupDiscoveryList", "g=apidiscovery.k8s.io", "v=v2"} <= parts and "application/json" in parts:
            return True
        if parts & {JSON, "*/*"} and not any(part.startswith("as=") for part in parts):
            return False
    return False


def _versions(request: Request) -> dict[str, Any]:
    server = request.headers.get("Host")
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    }


def _group(group: str, versions: Sequence[str]) -> dict[str, Any]:
    described = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": group,
        "versions": described,
        "preferredVersion": described[0],
    }


def _resource_list(rows: Sequence[Resource]) -> dict[str, Any]:
    listed: list[tuple[str, dict[str, Any]]] = []
    for row in rows:
        listed.append((row.plural, _resource(row)))
        listed += ((f"{row.plural}/{sub.name}", _subresource(row, sub)) for sub in row.subresources)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": rows[0].api_version,
        "resources": [tree for _, tree in sorted(listed, key=lambda pair: pair[0])],
    }


def _resource(row: Resource) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        tree["shortNames"] = list(row.short_names)
    if row.categories:
        tree["categories"] = list(row.categories)
    if row.is_stored:
        tree["storageVersionHash"] = row.storage_version_hash
    return tree


def _subresource(row: Resource, sub: Subresource) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": f"{row.plural}/{sub.name}", "singularName": "", "namespaced": row.namespaced}
    if sub.group is not None and sub.version is not None:
        tree |= {"group": sub.group, "version": sub.version}
    return tree | {"kind": sub.kind, "verbs": list(sub.verbs)}


def _aggregated(row: Resource) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "resource": row.plural,
        "responseKind": {"group": "", "version": "", "kind": row.kind},
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        tree["shortNames"] = list(row.short_names)
    if row.categories:
        tree["categories"] = list(row.categories)
    if row.subresources:
        tree["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {"group": sub.group or "", "version": sub.version or "", "kind": sub.kind},
                "verbs": list(sub.verbs),
            }
            for sub in row.subresources
        ]
    return tree
