r"""Protobuf bodies to plain trees, for clients that send nothing else.

Typed clients of newer kubectl versions (`kubectl create configmap`, `create deployment`) write protobuf and do not fall back to
JSON. Read only: answers are JSON, which those clients accept. A body is the magic `k8s\0` and a runtime.Unknown with apiVersion,
kind and the object's message. Field numbers are in `proto_fields`, types in the generated structs. Upstream: apimachinery
`pkg/runtime/serializer/protobuf`, `pkg/runtime/generated.proto`.
"""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct, inspect

from pinnace.api import codec
from pinnace.api.proto_fields import FIELDS
from pinnace.machinery import durations, timestamps
from pinnace.machinery.codec import json as json_codec

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NESTING_LIMIT = 100


class ProtobufError(ValueError):
    """Bytes that are no message of the type."""


def parse(data: bytes, cls: type[Struct]) -> dict[str, Any]:
    """Return the tree of a body that holds an object of this type; fields unknown to it are dropped.

    Raises:
        ProtobufError: it cannot be read.
    """
    if not data.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    api_version = kind = ""
    raw = b""
    for number, value in _fields(data[len(MAGIC) :]):
        if number == 1 and isinstance(value, bytes):
            meta = dict(_fields(value))
            api_version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
        elif number == 2 and isinstance(value, bytes):
            raw = value
    tree = _message(raw, cls, 0)
    return {"kind": kind, "apiVersion": api_version, **tree}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of a message: an int for numbers, bytes for everything with a length."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in {_FIXED64, _FIXED32}:
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ProtobufError(f"proto: illegal wireType {kind}")
        if position + length > len(data):
            raise ProtobufError("unexpected EOF")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ProtobufError("unexpected EOF" if position >= len(data) else "proto: integer overflow")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _text(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise ProtobufError("proto: wrong wireType")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("proto: invalid UTF-8") from error


def _message(data: bytes, cls: type[Struct], depth: int) -> dict[str, Any]:
    if depth > _NESTING_LIMIT:
        raise ProtobufError("exceeded max depth")
    key = f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
    tree: dict[str, Any] = {}
    _collect(data, (), key, codec.field_types(cls), tree, depth)
    return tree


def _collect(
    data: bytes, prefix: tuple[int, ...], key: str, types: dict[str, inspect.Type], tree: dict[str, Any], depth: int
) -> None:
    """Read the fields of a message, and those of messages that stand inline in the JSON."""
    known = {path: (wire, form) for path, wire, form in FIELDS.get(key, ())}
    inner = {path[: len(prefix) + 1] for path in known if path[: len(prefix)] == prefix and len(path) > len(prefix) + 1}
    for number, value in _fields(data):
        path = (*prefix, number)
        if path in inner and isinstance(value, bytes):
            _collect(value, path, key, types, tree, depth)
        elif path in known:
            wire, form = known[path]
            _put(tree, wire, types[wire], value, form, depth)


def _put(tree: dict[str, Any], wire: str, node: inspect.Type, value: int | bytes, form: str, depth: int) -> None:
    plain, _, scalar = codec.plain_type(node)
    if isinstance(plain, inspect.VarTupleType):
        tree.setdefault(wire, []).extend(_items(plain.item_type, value, form, depth))
    elif isinstance(plain, inspect.DictType) and form != "json" and isinstance(value, bytes):
        entry = dict(_fields(value))
        found = _value(plain.value_type, entry.get(2, b""), form, depth)
        tree.setdefault(wire, {})[_text(entry.get(1, b""))] = found
    else:
        tree[wire] = _scalar(plain, scalar, value, form, depth)


def _items(node: inspect.Type, value: int | bytes, form: str, depth: int) -> list[Any]:
    plain, _, _ = codec.plain_type(node)
    if isinstance(plain, inspect.IntType) and isinstance(value, bytes):
        numbers, position = [], 0
        while position < len(value):
            number, position = _varint(value, position)
            numbers.append(_signed(number))
        return numbers
    return [_value(node, value, form, depth)]


def _value(node: inspect.Type, value: int | bytes, form: str, depth: int) -> Any:
    plain, _, scalar = codec.plain_type(node)
    if form == "strings" and isinstance(value, bytes):
        return [_text(item) for _, item in _fields(value)]
    return _scalar(plain, scalar, value, form, depth)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _scalar(plain: inspect.Type, scalar: str, value: int | bytes, form: str, depth: int) -> Any:
    match plain:
        case inspect.BoolType():
            return bool(value)
        case inspect.IntType() if isinstance(value, int):
            return _signed(value)
        case inspect.FloatType() if isinstance(value, bytes) and len(value) == 8:
            return struct.unpack("<d", value)[0]
    if not isinstance(value, bytes):
        # A number in the place of an empty text: the absent value of a map's entry.
        raise ProtobufError("proto: wrong wireType")
    if isinstance(plain, inspect.StructType):
        return _message(value, plain.cls, depth + 1)
    if isinstance(plain, inspect.UnionType):
        return _int_or_string(value)
    if scalar == "RawExtension":
        return _embedded(value)
    if isinstance(plain, inspect.AnyType | inspect.DictType):
        return _embedded_json(value)
    return _text_of(scalar, value, form)


def _text_of(scalar: str, value: bytes, form: str) -> str | None:
    if form == "bytes":
        return base64.b64encode(value).decode()
    if form == "duration":
        return durations.show(_signed(_number(value, 1)) / 1e9)
    if scalar == "Quantity":
        return _text(dict(_fields(value)).get(1, b""))
    if scalar in {"Time", "MicroTime"}:
        # An empty message is the zero time, which JSON has as null.
        if not value:
            return None
        seconds, nanos = _signed(_number(value, 1)), _number(value, 2)
        try:
            return timestamps.format(seconds) if scalar == "Time" else timestamps.format_micro(seconds + nanos / 1e9)
        except (ValueError, OverflowError, OSError) as error:
            raise ProtobufError(f"a time out of range: {seconds}") from error
    return _text(value)


def _number(value: bytes, field: int) -> int:
    found = dict(_fields(value)).get(field, 0)
    return found if isinstance(found, int) else 0


def _int_or_string(value: bytes) -> int | str:
    entry = dict(_fields(value))
    if entry.get(1, 0) == 1:
        return _text(entry.get(3, b""))
    number = entry.get(2, 0)
    return _signed(number) if isinstance(number, int) else 0


def _embedded(value: bytes) -> Raw | None:
    """Return embedded JSON as it came."""
    raw = dict(_fields(value)).get(1, b"")
    try:
        if not isinstance(raw, bytes) or not raw:
            return None
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtobufError(f"embedded JSON: {error}") from error
    return Raw(raw)


def _embedded_json(value: bytes) -> Any:
    raw = dict(_fields(value)).get(1, b"")
    try:
        return json_codec.parse(raw).tree if isinstance(raw, bytes) and raw else None
    except ValueError as error:
        raise ProtobufError(f"embedded JSON: {error}") from error
