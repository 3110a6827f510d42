"""What both protobuf forms of OpenAPI are written with: fields of messages, and the extensions of a document's parts.

Fields that have no value are not written, as proto3 wants it. Upstream: google.golang.org/protobuf, gnostic's `NamedAny`.
"""

from collections.abc import Mapping
from typing import Any

import yaml


def message(field: int, payload: bytes) -> bytes:
    """Return a field that holds a message; an empty one is written too."""
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def text(field: int, value: str) -> bytes:
    """Return a field that holds a text."""
    return message(field, value.encode()) if value else b""


def flag(field: int, value: object) -> bytes:
    """Return a field that holds a truth."""
    return _varint(field << 3) + b"\x01" if value else b""


def extensions(field: int, tree: Mapping[str, Any]) -> bytes:
    """Return what a part of the document says under keys of its own, as YAML by name."""
    return b"".join(
        message(field, text(1, key) + message(2, text(2, yaml.safe_dump(value, default_flow_style=None))))
        for key, value in tree.items()
        if key.startswith("x-")
    )


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
