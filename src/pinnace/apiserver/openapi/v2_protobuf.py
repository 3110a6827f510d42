"""The protobuf form of the OpenAPI 2 document, which kubectl before 1.27 insists on.

The messages are gnostic's `openapi.v2`; the field numbers below are theirs (github.com/google/gnostic-models,
openapiv2/OpenAPIv2.proto). Only what Kubernetes documents contain is written.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.apiserver.openapi.wire import extensions, flag, message, text

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def document(tree: Mapping[str, Any]) -> bytes:
    """Return the document as gnostic's openapi.v2.Document."""
    info = text(1, tree["info"]["title"]) + text(2, tree["info"]["version"])
    paths = b"".join(message(2, text(1, path) + message(2, _path_item(item))) for path, item in tree["paths"].items())
    definitions = b"".join(
        message(1, text(1, name) + message(2, _schema(schema))) for name, schema in tree["definitions"].items()
    )
    return text(1, "2.0") + message(2, info) + message(8, paths) + message(9, definitions)


def _path_item(item: Mapping[str, Any]) -> bytes:
    body = b"".join(
        message(number, _operation_message(item[name])) for name, number in _METHODS.items() if name in item
    )
    return body + b"".join(message(9, _parameter(parameter)) for parameter in item.get("parameters", ()))


def _operation_message(tree: Mapping[str, Any]) -> bytes:
    out = b"".join(text(1, tag) for tag in tree["tags"])
    out += text(3, tree["description"]) + text(5, tree["operationId"])
    out += b"".join(text(6, media) for media in tree["produces"])
    out += b"".join(text(7, media) for media in tree["consumes"])
    out += b"".join(message(8, _parameter(parameter)) for parameter in tree.get("parameters", ()))
    out += message(9, b"".join(_response(code, answer) for code, answer in tree["responses"].items()))
    out += b"".join(text(10, scheme) for scheme in tree["schemes"])
    return out + extensions(13, tree)


def _response(code: str, tree: Mapping[str, Any]) -> bytes:
    answer = text(1, tree["description"])
    if "schema" in tree:
        answer += message(2, message(1, _schema(tree["schema"])))
    return message(1, text(1, code) + message(2, message(1, answer)))


def _parameter(tree: Mapping[str, Any]) -> bytes:
    """A ParametersItem that holds a Parameter: a body, or one of the others."""
    if tree["in"] == "body":
        body = (
            text(2, tree["name"])
            + text(3, "body")
            + flag(4, tree.get("required"))
            + message(5, _schema(tree["schema"]))
        )
        return message(1, message(1, body))
    is_path = tree["in"] == "path"
    plain = flag(1, tree.get("required")) + text(2, tree["in"]) + text(3, tree["description"]) + text(4, tree["name"])
    if is_path:
        plain += text(5, tree["type"]) + flag(17, tree.get("uniqueItems"))
        return message(1, message(2, message(4, plain)))
    plain += text(6, tree["type"]) + flag(18, tree.get("uniqueItems"))
    return message(1, message(2, message(3, plain)))


def _schema(tree: Mapping[str, Any]) -> bytes:
    out = text(1, tree.get("$ref", "")) + text(2, tree.get("format", "")) + text(4, tree.get("description", ""))
    out += b"".join(text(19, name) for name in tree.get("required", ()))
    out += b"".join(message(20, text(1, str(value))) for value in tree.get("enum", ()))
    more = tree.get("additionalProperties")
    if isinstance(more, Mapping):
        out += message(21, message(1, _schema(more)))
    if "type" in tree:
        out += message(22, text(1, tree["type"]))
    if "items" in tree:
        out += message(23, message(1, _schema(tree["items"])))
    if "properties" in tree:
        pairs = tree["properties"].items()
        out += message(25, b"".join(message(1, text(1, name) + message(2, _schema(item))) for name, item in pairs))
    return out + extensions(31, tree)
