"""The protobuf form of an OpenAPI 3 document.

The messages are gnostic's `openapi.v3`; the field numbers below are theirs (github.com/google/gnostic-models,
openapiv3/OpenAPIv3.proto). Only what Kubernetes documents contain is written.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pinnace.apiserver.openapi.wire import extensions, flag, message, text

_Tree = Mapping[str, Any]

_METHODS = {"get": 4, "put": 5, "post": 6, "delete": 7, "options": 8, "head": 9, "patch": 10}
_SCHEMA_LISTS = {"allOf": 26, "oneOf": 27, "anyOf": 28}


def document(tree: _Tree) -> bytes:
    """Return a document as gnostic's openapi.v3.Document."""
    info = text(1, tree["info"]["title"]) + text(6, tree["info"]["version"])
    components = tree["components"]
    parts = message(1, _named(1, components["schemas"], _schema_or_reference))
    parts += message(7, _named(1, components["securitySchemes"], _security_scheme))
    paths = _named(1, tree["paths"], _path_item)
    return text(1, tree["openapi"]) + message(2, info) + message(4, paths) + message(5, parts)


def _named(field: int, trees: _Tree, of: Callable[[Any], bytes]) -> bytes:
    """Return a map as gnostic has it: pairs of a name and a message."""
    return b"".join(message(field, text(1, name) + message(2, of(tree))) for name, tree in trees.items())


def _path_item(tree: _Tree) -> bytes:
    methods = (message(number, _operation(tree[name])) for name, number in _METHODS.items() if name in tree)
    return b"".join((*methods, *(message(13, _parameter(one)) for one in tree.get("parameters", ()))))


def _operation(tree: _Tree) -> bytes:
    out = b"".join(text(1, tag) for tag in tree["tags"])
    out += text(3, tree["description"]) + text(5, tree["operationId"])
    out += b"".join(message(6, _parameter(one)) for one in tree.get("parameters", ()))
    if "requestBody" in tree:
        body = tree["requestBody"]
        out += message(7, message(1, message(2, _content(body["content"])) + flag(3, body.get("required"))))
    return out + message(8, _named(2, tree["responses"], _response)) + extensions(13, tree)


def _parameter(tree: _Tree) -> bytes:
    out = text(1, tree["name"]) + text(2, tree["in"]) + text(3, tree["description"]) + flag(4, tree.get("required"))
    return message(1, out + message(10, _schema_or_reference(tree["schema"])))


def _response(tree: _Tree) -> bytes:
    out = text(1, tree["description"])
    if "content" in tree:
        out += message(3, _content(tree["content"]))
    return message(1, out)


def _content(tree: _Tree) -> bytes:
    return _named(1, tree, lambda media: message(1, _schema_or_reference(media["schema"])))


def _security_scheme(tree: _Tree) -> bytes:
    return message(
        1, text(1, tree["type"]) + text(2, tree["description"]) + text(3, tree["name"]) + text(4, tree["in"])
    )


def _schema_or_reference(tree: _Tree) -> bytes:
    return message(2, text(1, tree["$ref"])) if "$ref" in tree else message(1, _schema(tree))


def _schema(tree: _Tree) -> bytes:
    out = flag(20, tree.get("uniqueItems"))
    out += b"".join(text(23, name) for name in tree.get("required", ()))
    out += text(25, tree.get("type", ""))
    for key, number in _SCHEMA_LISTS.items():
        out += b"".join(message(number, _schema_or_reference(one)) for one in tree.get(key, ()))
    if "items" in tree:
        out += message(30, message(1, _schema_or_reference(tree["items"])))
    if "properties" in tree:
        out += message(31, _named(1, tree["properties"], _schema_or_reference))
    if "additionalProperties" in tree:
        out += message(32, message(1, _schema_or_reference(tree["additionalProperties"])))
    return out + text(34, tree.get("description", "")) + text(35, tree.get("format", "")) + extensions(36, tree)
