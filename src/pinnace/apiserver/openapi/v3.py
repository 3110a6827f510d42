"""OpenAPI 3 of one group-version: its operations, and every schema that they lead to."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.api.resources import Resource
from pinnace.apiserver.openapi.paths import PATCH_TYPES, Operation, operations, path_parameters
from pinnace.apiserver.openapi.schemas import closure, converted, kind_of, names_by_kind

_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_PATCH = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_WRITTEN = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


def document(schemas: Mapping[str, Any], resources: Sequence[Resource]) -> dict[str, Any]:
    """Return the document of the resources of one group-version."""
    names = names_by_kind(schemas)
    roots = [names[key] for key in names if any(key[:2] == (item.group, item.version) for item in resources)]
    used = closure(schemas, [*roots, _STATUS, _PATCH])
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": {path: _path(path, found, names) for path, found in operations(resources).items()},
        "components": {
            "schemas": {name: converted(name, schemas[name], reference, wrap=True) for name in used},
        },
    }


def reference(name: str) -> str:
    """Return where a schema stands in the document."""
    return f"#/components/schemas/{name}"


def _path(path: str, found: Sequence[Operation], names: Mapping[tuple[str, str, str], str]) -> dict[str, Any]:
    tree: dict[str, Any] = {item.method: _operation(item, names) for item in found}
    tree["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in path_parameters(path)
    ]
    return tree


def _operation(item: Operation, names: Mapping[tuple[str, str, str], str]) -> dict[str, Any]:
    resource = item.resource
    kind = resource.kind + ("List" if item.is_list else "")
    name = names.get((resource.group, resource.version, kind), _STATUS)
    answer = {"description": "OK", "content": {media: {"schema": {"$ref": reference(name)}} for media in _WRITTEN}}
    tree: dict[str, Any] = {
        "operationId": item.id,
        "parameters": [
            {"name": parameter, "in": "query", "schema": dict(schema)} for parameter, schema in item.parameters.items()
        ],
        "responses": {"200": answer, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": item.action,
        "x-kubernetes-group-version-kind": kind_of(resource),
    }
    if item.has_body:
        own = names.get((resource.group, resource.version, resource.kind), _STATUS)
        media = PATCH_TYPES if item.method == "patch" else ("*/*",)
        schema = {"$ref": reference(_PATCH if item.method == "patch" else own)}
        tree["requestBody"] = {"content": {kind: {"schema": schema} for kind in media}, "required": True}
    return tree
