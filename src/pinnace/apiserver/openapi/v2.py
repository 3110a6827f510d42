"""OpenAPI 2 of everything: as JSON, and in the protobuf form that kubectl before 1.27 insists on.

The protobuf messages are gnostic's `openapi.v2`; the field numbers below are theirs (github.com/google/gnostic-models,
openapiv2/OpenAPIv2.proto). Only what Kubernetes documents contain is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pinnace import KUBERNETES_VERSION
from pinnace.apiserver.openapi.parameters import Parameter
from pinnace.apiserver.openapi.paths import PATCH_TYPES, TEXT, Operation
from pinnace.apiserver.openapi.schemas import Names, converted, kind_tree

_WRITTEN = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
_STREAMED = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]
_PHRASES = {200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized"}


def document(schemas: Mapping[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of all operations and all schemas."""
    names = Names(schemas)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for item in operations:
        paths[item.path][item.method] = _operation(item, names)
        paths[item.path].setdefault("parameters", [_query(one) for one in item.parameters if one.in_path])
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
        "paths": {path: paths[path] for path in sorted(paths)},
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


def _query(item: Parameter) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": item.name, "in": "path" if item.in_path else "query", "type": item.type}
    tree |= {"description": item.description, "uniqueItems": True}
    return {**tree, "required": True} if item.in_path else tree


def _operation(item: Operation, names: Names) -> dict[str, Any]:
    parameters = [_query(one) for one in item.parameters if not one.in_path]
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
        "parameters": parameters,
        "produces": produces,
        "responses": {**responses, "401": {"description": _PHRASES[401]}},
        "schemes": ["https"],
        "tags": [item.tag],
    }
    if item.action:
        tree["x-kubernetes-action"] = item.action
    if item.kind is not None:
        tree["x-kubernetes-group-version-kind"] = kind_tree(item.kind)
    return tree


# ── protobuf ──


def protobuf(tree: Mapping[str, Any]) -> bytes:
    """Return the document as gnostic's openapi.v2.Document."""
    info = _text(1, tree["info"]["title"]) + _text(2, tree["info"]["version"])
    paths = b"".join(
        _message(2, _text(1, path) + _message(2, _path_item(item))) for path, item in tree["paths"].items()
    )
    definitions = b"".join(
        _message(1, _text(1, name) + _message(2, _schema(schema))) for name, schema in tree["definitions"].items()
    )
    return _text(1, "2.0") + _message(2, info) + _message(8, paths) + _message(9, definitions)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _message(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode()) if text else b""


def _flag(field: int, value: object) -> bytes:
    return _varint(field << 3) + b"\x01" if value else b""


_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def _path_item(item: Mapping[str, Any]) -> bytes:
    body = b"".join(
        _message(number, _operation_message(item[name])) for name, number in _METHODS.items() if name in item
    )
    return body + b"".join(_message(9, _parameter(parameter)) for parameter in item["parameters"])


def _operation_message(tree: Mapping[str, Any]) -> bytes:
    out = b"".join(_text(1, tag) for tag in tree["tags"])
    out += _text(3, tree["description"]) + _text(5, tree["operationId"])
    out += b"".join(_text(6, media) for media in tree["produces"])
    out += b"".join(_text(7, media) for media in tree["consumes"])
    out += b"".join(_message(8, _parameter(parameter)) for parameter in tree["parameters"])
    out += _message(9, b"".join(_response(code, answer) for code, answer in tree["responses"].items()))
    out += b"".join(_text(10, scheme) for scheme in tree["schemes"])
    return out + _extensions(13, tree)


def _response(code: str, tree: Mapping[str, Any]) -> bytes:
    answer = _text(1, tree["description"])
    if "schema" in tree:
        answer += _message(2, _message(1, _schema(tree["schema"])))
    return _message(1, _text(1, code) + _message(2, _message(1, answer)))


def _parameter(tree: Mapping[str, Any]) -> bytes:
    """A ParametersItem that holds a Parameter: a body, or one of the others."""
    if tree["in"] == "body":
        body = (
            _text(2, tree["name"])
            + _text(3, "body")
            + _flag(4, tree.get("required"))
            + _message(5, _schema(tree["schema"]))
        )
        return _message(1, _message(1, body))
    is_path = tree["in"] == "path"
    plain = (
        _flag(1, tree.get("required")) + _text(2, tree["in"]) + _text(3, tree["description"]) + _text(4, tree["name"])
    )
    if is_path:
        plain += _text(5, tree["type"]) + _flag(17, tree.get("uniqueItems"))
        return _message(1, _message(2, _message(4, plain)))
    plain += _text(6, tree["type"]) + _flag(18, tree.get("uniqueItems"))
    return _message(1, _message(2, _message(3, plain)))


def _schema(tree: Mapping[str, Any]) -> bytes:
    out = _text(1, tree.get("$ref", "")) + _text(2, tree.get("format", "")) + _text(4, tree.get("description", ""))
    out += b"".join(_text(19, name) for name in tree.get("required", ()))
    out += b"".join(_message(20, _text(1, str(value))) for value in tree.get("enum", ()))
    more = tree.get("additionalProperties")
    if isinstance(more, Mapping):
        out += _message(21, _message(1, _schema(more)))
    if "type" in tree:
        out += _message(22, _text(1, tree["type"]))
    if "items" in tree:
        out += _message(23, _message(1, _schema(tree["items"])))
    if "properties" in tree:
        pairs = tree["properties"].items()
        out += _message(25, b"".join(_message(1, _text(1, name) + _message(2, _schema(item))) for name, item in pairs))
    return out + _extensions(31, tree)


def _extensions(field: int, tree: Mapping[str, Any]) -> bytes:
    named: Iterable[tuple[str, Any]] = ((key, value) for key, value in tree.items() if key.startswith("x-"))
    return b"".join(
        _message(field, _text(1, key) + _message(2, _text(2, yaml.safe_dump(value, default_flow_style=None))))
        for key, value in named
    )
