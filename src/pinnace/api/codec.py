"""Objects to bytes and back: the compact JSON that is stored and sent.

Encoding writes fields in the order and with the presence that Go clients see, maps sorted by key. Decoding takes
straight into the generated type; only when that fails, because a client sent `null` for a plain field or a Quantity as a number,
the tree is walked beside the type and mended. HTML characters are not escaped here: the API server does that at its edge.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from pinnace.api.core_v1 import Pod
from pinnace.api.raw_holders import RAW_HOLDERS
from pinnace.api.sharing import PodDecoder
from pinnace.machinery.codec import json as json_codec
from pinnace.machinery.codec import raw

T = TypeVar("T", bound=Struct)

# Maps come out sorted by key, as from Go, so that equal objects have equal bytes.
_ENCODER = msgspec.json.Encoder(order="deterministic")


def encode(obj: Any) -> bytes:
    """Return the compact JSON of an object or of a plain tree."""
    return _ENCODER.encode(obj)


def decode(cls: type[T], data: bytes) -> T:
    """Return the object; fields that its type does not have are ignored.

    Raises:
        msgspec.DecodeError: it is no JSON.
        msgspec.ValidationError: a value does not fit its field.
    """
    try:
        obj: T = _decoder(cls).decode(data)
    except msgspec.ValidationError:
        return convert(cls, keep_raw(cls, msgspec.json.decode(data), data))
    return obj


def convert(cls: type[T], tree: Any) -> T:
    """Return the object that a plain tree describes; the tree is left as it is.

    Raises:
        msgspec.ValidationError: a value does not fit its field.
    """
    converted: T = msgspec.convert(_mended(_node(cls), tree), type=cls)
    return converted


def decode_strict(cls: type[T], data: bytes) -> T:
    """Return the object, like `decode`.

    Raises:
        msgspec.ValidationError: as `decode`, or a field is unknown at any depth.
    """
    obj = decode(cls, data)
    if next(_unknown(_node(cls), msgspec.json.decode(data), ""), None) is not None:
        raise msgspec.ValidationError("unknown fields: " + ", ".join(unknown_fields(cls, msgspec.json.decode(data))))
    return obj


def unknown_fields(cls: type[Struct], tree: Any) -> list[str]:
    """Return the path of each field that the type does not have, in the order of the document: `spec.containers[0].foo`."""
    return list(_unknown(_node(cls), tree, ""))


def strict_findings(cls: type[Struct], tree: Any) -> list[str]:
    """Return what a strict decoder says about a tree that was read from JSON, in the order of the document.

    Each unknown field and each key that comes twice is named once; what stands below an unknown field is not looked at.
    """
    return list(dict.fromkeys(_findings(_node(cls), tree, "")))[: json_codec.COMPLAINTS_LIMIT]


def to_tree(obj: Struct) -> Any:
    """Return the object as plain dicts, lists and scalars, as its JSON would parse."""
    return msgspec.json.decode(_ENCODER.encode(obj))


def has_raw(cls: type[Struct]) -> bool:
    """Tell whether objects of a type carry JSON that is kept as it came.

    Looked up, because a start asks it about every kind: looking at the types themselves took a tenth of a second.
    """
    return python_name(cls) in RAW_HOLDERS


def python_name(cls: type[Struct]) -> str:
    """Return the name under which what is generated about a type stands: module.Struct."""
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"


def keep_raw(cls: type[Struct], tree: Any, data: bytes) -> Any:
    """Put what is kept as it came into the tree that was read from `data`; the tree is changed."""
    if has_raw(cls):
        # What another parser reads and this one does not stays in canonical form.
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            _keep_raw(_node(cls), tree, msgspec.Raw(data))
    return tree


def _keep_raw(node: inspect.Type, tree: Any, data: msgspec.Raw) -> Any:
    node, _, scalar = plain_type(node)
    if scalar == "RawExtension" and tree is not None:
        msgspec.json.decode(data)
        return data
    if isinstance(node, inspect.StructType) and isinstance(tree, dict) and has_raw(node.cls):
        fields, members = _fields(node.cls), raw.opened(data)
        for key in tree.keys() & fields.keys():
            tree[key] = _keep_raw(fields[key].type, tree[key], members[key])
    elif isinstance(node, inspect.VarTupleType) and isinstance(tree, list):
        tree[:] = [_keep_raw(node.item_type, value, part) for value, part in zip(tree, raw.opened(data), strict=True)]
    return tree


@cache
def _decoder(cls: type[Struct]) -> "msgspec.json.Decoder[Any] | PodDecoder":
    return PodDecoder() if cls is Pod else msgspec.json.Decoder(cls)


@cache
def _node(cls: type[Struct]) -> inspect.Type:
    return inspect.type_info(cls)


@cache
def _fields(cls: type[Struct]) -> dict[str, inspect.Field]:
    node = inspect.type_info(cls)
    assert isinstance(node, inspect.StructType)
    return {item.encode_name: item for item in node.fields}


def plain_type(node: inspect.Type) -> tuple[inspect.Type, bool, str]:
    """Return the type without its wrapping, whether None is one of its values, and the scalar it stands for."""
    nullable, scalar = False, ""
    while True:
        if isinstance(node, inspect.Metadata):
            scalar = scalar or str((node.extra or {}).get("scalar", ""))
            node = node.type
        elif isinstance(node, inspect.UnionType):
            rest = tuple(item for item in node.types if not isinstance(item, inspect.NoneType))
            nullable = nullable or len(rest) < len(node.types)
            if len(rest) != 1:
                return node, nullable, scalar
            node = rest[0]
        else:
            return node, nullable or isinstance(node, inspect.AnyType), scalar


_ZEROS: tuple[tuple[type[inspect.Type], Callable[[], Any]], ...] = (
    (inspect.StructType, dict),
    (inspect.DictType, dict),
    (inspect.VarTupleType, list),
    (inspect.StrType, str),
    (inspect.BoolType, bool),
    (inspect.IntType, int),
    (inspect.FloatType, float),
)


def _zero(node: inspect.Type) -> Any:
    """Return what an item of a list or map is when it was sent as null."""
    return next((make() for kind, make in _ZEROS if isinstance(node, kind)), None)


def field_types(cls: type[Struct]) -> dict[str, inspect.Type]:
    """Return wire name → type of each field."""
    return {name: item.type for name, item in _fields(cls).items()}


def _mended(node: inspect.Type, tree: Any) -> Any:
    node, nullable, scalar = plain_type(node)
    if tree is None:
        return None if nullable else _zero(node)
    if scalar == "Quantity" and isinstance(tree, int | float) and not isinstance(tree, bool):
        return repr(tree).removesuffix(".0")
    if isinstance(node, inspect.RawType):
        return tree if isinstance(tree, msgspec.Raw) else msgspec.Raw(raw.canonical(tree))
    if isinstance(node, inspect.StructType) and isinstance(tree, dict):
        fields = _fields(node.cls)
        # A null field counts as absent, whatever its type, so that its default applies.
        return {
            key: _mended(fields[key].type, value) for key, value in tree.items() if key in fields and value is not None
        }
    if isinstance(node, inspect.DictType) and isinstance(tree, dict):
        return {key: _mended(node.value_type, value) for key, value in tree.items()}
    if isinstance(node, inspect.VarTupleType) and isinstance(tree, list):
        return [_mended(node.item_type, value) for value in tree]
    return tree


def _unknown(node: inspect.Type, tree: Any, path: str) -> "Any":
    node = plain_type(node)[0]
    if isinstance(node, inspect.StructType) and isinstance(tree, dict):
        fields = _fields(node.cls)
        for key, value in tree.items():
            at = f"{path}.{key}" if path else key
            if key in fields:
                yield from _unknown(fields[key].type, value, at)
            else:
                yield at
    elif isinstance(node, inspect.DictType) and isinstance(tree, dict):
        for key, value in tree.items():
            yield from _unknown(node.value_type, value, f"{path}.{key}")
    elif isinstance(node, inspect.VarTupleType) and isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _unknown(node.item_type, value, f"{path}[{index}]")


def _findings(node: inspect.Type, tree: Any, path: str) -> Iterator[str]:
    node = plain_type(node)[0]
    if isinstance(node, inspect.RawType):
        return
    if isinstance(tree, list):
        item_type = node.item_type if isinstance(node, inspect.VarTupleType) else inspect.AnyType()
        for index, value in enumerate(tree):
            if isinstance(value, dict | list):
                yield from _findings(item_type, value, f"{path}[{index}]")
    if not isinstance(tree, dict):
        return
    fields = _fields(node.cls) if isinstance(node, inspect.StructType) else None
    value_type = node.value_type if isinstance(node, inspect.DictType) else inspect.AnyType()
    seen = set()
    for key, value in json_codec.members(tree):
        at = f"{path}.{key}" if path else key
        if fields is not None and key not in fields:
            yield f'unknown field "{at}"'
            continue
        if key in seen:
            yield json_codec.duplicate_field(at)
        seen.add(key)
        if isinstance(value, dict | list):
            yield from _findings(fields[key].type if fields is not None else value_type, value, at)
