"""OpenAPI 3: operations of one part of the API, and every schema that they lead to."""

from collections.abc import Iterable, Mapping
from typing import Any

from pinnace import KUBERNETES_VERSION
from pinnace.apiserver.openapi.parameters import Parameter
from pinnace.apiserver.openapi.paths import PATCH_TYPES, TEXT, Kind, Operation, path_items
from pinnace.apiserver.openapi.schemas import Names, closure, converted, kind_tree

_WRITTEN = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_STREAMED = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_PHRASES = {200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized"}


def document(schemas: Mapping[str, Any], operations: Iterable[Operation], kinds: Iterable[Kind]) -> dict[str, Any]:
    """Return the document of these operations, with the schemas of `kinds` and of all that is referred to."""
    names = Names(schemas)
    paths: dict[str, dict[str, Any]] = {}
    roots = {name for kind in kinds if (name := names.of(kind))}
    for item in path_items(operations):
        paths[item.path] = {one.method: _operation(one, names) for one in item.operations}
        if item.shared:
            paths[item.path]["parameters"] = [_parameter(one) for one in item.shared]
        roots |= {name for one in item.operations for what in (one.body, one.answer) if (name := names.of(what))}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": paths,
        "components": {
            "schemas": {name: converted(name, schemas[name], reference, wrap=True) for name in closure(schemas, roots)},
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                }
            },
        },
    }


def reference(name: str) -> str:
    """Return where a schema stands in the document."""
    return f"#/components/schemas/{name}"


def _parameter(item: Parameter) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "name": item.name,
        "in": "path" if item.in_path else "query",
        "description": item.description,
    }
    if item.in_path:
        tree["required"] = True
    return {**tree, "schema": {"type": item.type, "uniqueItems": True}}


def _operation(item: Operation, names: Names) -> dict[str, Any]:
    tree: dict[str, Any] = {"tags": [item.tag], "description": item.description, "operationId": item.id}
    if item.parameters:
        tree["parameters"] = [_parameter(one) for one in item.parameters]
    if item.body is not None:
        media = PATCH_TYPES if item.method == "patch" else ("*/*",)
        schema = {"$ref": reference(names.of(item.body) or "")}
        tree["requestBody"] = {"content": {kind: {"schema": schema} for kind in media}}
        if item.body_required:
            tree["requestBody"]["required"] = True
    tree["responses"] = {str(code): _response(item, code, names) for code in item.codes}
    tree["responses"]["401"] = {"description": _PHRASES[401]}
    if item.action:
        tree["x-kubernetes-action"] = item.action
    if item.kind is not None:
        tree["x-kubernetes-group-version-kind"] = kind_tree(item.kind)
    return tree


def _response(item: Operation, code: int, names: Names) -> dict[str, Any]:
    name = names.of(item.answer)
    schema: dict[str, Any] = {"$ref": reference(name)} if name else {"type": "string"}
    if item.answer == TEXT:
        media: tuple[str, ...] = ("text/plain",) if item.action == "get" else ("*/*",)
    else:
        media = (*_WRITTEN, *_STREAMED) if item.action in {"list", "watch", "watchlist"} else _WRITTEN
    return {"description": _PHRASES[code], "content": {kind: {"schema": schema} for kind in media}}
