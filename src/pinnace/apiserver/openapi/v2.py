"""OpenAPI 2: everything in one document."""

from collections.abc import Iterable, Mapping
from typing import Any

from pinnace import KUBERNETES_VERSION
from pinnace.apiserver.openapi.parameters import Parameter
from pinnace.apiserver.openapi.paths import PATCH_TYPES, TEXT, Operation, path_items
from pinnace.apiserver.openapi.schemas import Names, converted, kind_tree

_WRITTEN = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
_STREAMED = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]
_PHRASES = {200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized"}


def document(schemas: Mapping[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of all operations and all schemas."""
    names = Names(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for item in path_items(operations):
        paths[item.path] = {one.method: _operation(one, names) for one in item.operations}
        if item.shared:
            paths[item.path]["parameters"] = [_parameter(one) for one in item.shared]
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": paths,
        "definitions": {name: converted(name, schema, _reference, wrap=False) for name, schema in schemas.items()},
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "in": "header",
                "name": "authorization",
                "type": "apiKey",
            }
        },
        "security": [{"BearerToken": []}],
    }


def _reference(name: str) -> str:
    return f"#/definitions/{name}"


def _parameter(item: Parameter) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": item.name, "in": "path" if item.in_path else "query", "type": item.type}
    tree |= {"description": item.description, "uniqueItems": True}
    return {**tree, "required": True} if item.in_path else tree


def _operation(item: Operation, names: Names) -> dict[str, Any]:
    parameters = [_parameter(one) for one in item.parameters]
    if item.body is not None:
        body: dict[str, Any] = {"name": "body", "in": "body", "schema": {"$ref": _reference(names.of(item.body) or "")}}
        parameters.insert(0, {**body, "required": True} if item.body_required else body)
    produces = ["*/*"] if item.answer == TEXT else _WRITTEN
    if item.action in {"list", "watch", "watchlist"}:
        produces = [*_WRITTEN, *_STREAMED]
    name = names.of(item.answer)
    schema: dict[str, Any] = {"$ref": _reference(name)} if name else {"type": "string"}
    responses: dict[str, Any] = {str(code): {"description": _PHRASES[code], "schema": schema} for code in item.codes}
    tree: dict[str, Any] = {
        "consumes": list(PATCH_TYPES) if item.method == "patch" and item.body is not None else ["*/*"],
        "description": item.description,
        "operationId": item.id,
        "produces": produces,
        "responses": {**responses, "401": {"description": _PHRASES[401]}},
        "schemes": ["https"],
        "tags": [item.tag],
    }
    if parameters:
        tree["parameters"] = parameters
    if item.action:
        tree["x-kubernetes-action"] = item.action
    if item.kind is not None:
        tree["x-kubernetes-group-version-kind"] = kind_tree(item.kind)
    return tree
