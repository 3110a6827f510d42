"""Whether a body fits its type: a fast test for unknown fields, and type errors in the words clients know.

The test decodes once more into a mirror of the type that forbids unknown fields. Only bodies that do not pass are walked beside
their type, to tell the first value of a wrong type as Go's JSON decoder words it. Upstream: sigs.k8s.io/json, apimachinery `runtime/serializer/json`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from pinnace.api.codec import plain_type
from pinnace.api.go_types import NAMED_TEXTS

_INT32_MAX = 2**31 - 1
_INT64 = range(-(2**63), 2**63)


class WrongType(ValueError):
    """A value of a type that the field cannot have; the text is what the client is told."""


def has_only_known_fields(cls: type[msgspec.Struct], data: bytes) -> bool:
    """Tell whether a JSON body has no field that its type lacks, in the time of one more decode.

    False also means that it cannot be told this way: a value is of a wrong type, or the type contains itself.
    """
    decoder = _mirror_decoder(cls)
    if decoder is None:
        return False
    try:
        decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The second comes of keys that the type does not know: nobody has looked at their bytes yet.
        return False
    return True


@cache
def _mirror_decoder(cls: type[msgspec.Struct]) -> "msgspec.json.Decoder[Any] | None":
    try:
        return msgspec.json.Decoder(_mirror(node_of(cls), {}, ()))
    except RecursionError:
        return None


def _mirror(node: inspect.Type, made: dict[type, Any], within: tuple[type, ...]) -> Any:
    """Return a type with the same structure that forbids unknown fields and takes any scalar."""
    node = plain_node(node)
    if isinstance(node, inspect.DictType):
        return dict.__class_getitem__((str, _nullable(_mirror(node.value_type, made, within))))
    if isinstance(node, inspect.VarTupleType):
        return list.__class_getitem__(_nullable(_mirror(node.item_type, made, within)))
    if not isinstance(node, inspect.StructType):
        return Any
    if node.cls in within:
        raise RecursionError(node.cls.__name__)
    if node.cls not in made:
        inner = (*within, node.cls)
        fields = [
            (item.name, _nullable(_mirror(item.type, made, inner)), msgspec.field(name=item.encode_name, default=None))
            for item in node.fields
        ]
        made[node.cls] = msgspec.defstruct(node.cls.__name__, fields, forbid_unknown_fields=True, gc=False)
    return made[node.cls]


def _nullable(kind: Any) -> Any:
    return kind if kind is Any else kind | None


def check_types(cls: type[msgspec.Struct], tree: Any) -> None:
    """Compare a tree with a type.

    Raises:
        WrongType: the first value that does not fit.
    """
    if not isinstance(tree, dict):
        raise WrongType(f"json: cannot unmarshal {_word(tree)} into Go value of type {go_type(node_of(cls))}")
    _check(node_of(cls), tree, "", cls.__name__)


@cache
def node_of(cls: type[msgspec.Struct]) -> inspect.Type:
    """Return what msgspec knows of a type, looked up once."""
    return inspect.type_info(cls)


@cache
def field_nodes(cls: type[msgspec.Struct]) -> Mapping[str, inspect.Type]:
    """Return wire name → type of each field, in the order of Go's struct."""
    node = inspect.type_info(cls)
    assert isinstance(node, inspect.StructType)
    return {field.encode_name: field.type for field in node.fields}


def plain_node(node: inspect.Type) -> inspect.Type:
    """Drop what does not matter here: metadata, and the None of an optional type."""
    while True:
        if isinstance(node, inspect.Metadata):
            # A quantity may be a number, which the codec knows; nothing is to be said against it here.
            if (node.extra or {}).get("scalar") == "Quantity":
                return inspect.AnyType()
            node = node.type
        elif isinstance(node, inspect.UnionType):
            rest = [option for option in node.types if not isinstance(option, inspect.NoneType)]
            if len(rest) != 1:
                return inspect.UnionType(tuple(rest))
            node = rest[0]
        else:
            return node


def _word(value: Any, *, literal: bool = False) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if literal else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def go_type(node: inspect.Type, place: str = "") -> str:
    """Return the name of a type in Go; `place` is the field that has it, as `PodStatus.phase`."""
    if plain_type(node)[2] == "Bytes":
        return "[]uint8"
    node = plain_node(node)
    if isinstance(node, inspect.StructType):
        return f"v1.{node.cls.__name__}"
    if isinstance(node, inspect.DictType):
        return f"map[string]{go_type(node.value_type)}"
    if isinstance(node, inspect.VarTupleType | inspect.ListType):
        return f"[]{go_type(node.item_type, place)}"
    if isinstance(node, inspect.IntType):
        return "int32" if node.le is not None and node.le <= _INT32_MAX else "int64"
    if isinstance(node, inspect.BoolType):
        return "bool"
    return "float64" if isinstance(node, inspect.FloatType) else NAMED_TEXTS.get(place, "string")


def _check(node: inspect.Type, tree: Any, path: str, owner: str) -> None:
    """Check one value; `path` has no indices or keys and `owner` is the struct the field stands in, as Go tells them."""
    declared, node = node, plain_node(node)
    if tree is None or isinstance(node, inspect.AnyType | inspect.RawType | inspect.UnionType):
        return
    if isinstance(node, inspect.StructType) and isinstance(tree, dict):
        fields = field_nodes(node.cls)
        for key, value in tree.items():
            if key in fields:
                _check(fields[key], value, f"{path}.{key}" if path else key, node.cls.__name__)
    elif isinstance(node, inspect.DictType) and isinstance(tree, dict):
        for value in tree.values():
            _check(node.value_type, value, path, owner)
    elif isinstance(node, inspect.VarTupleType | inspect.ListType) and isinstance(tree, list):
        for value in tree:
            _check(node.item_type, value, path, owner)
    elif not _fits(node, tree):
        word = _word(tree, literal=isinstance(node, inspect.IntType))
        wanted = go_type(declared, f"{owner}.{path.rpartition('.')[2]}")
        raise WrongType(f"json: cannot unmarshal {word} into Go struct field {owner}.{path} of type {wanted}")


def _fits(node: inspect.Type, value: Any) -> bool:
    if isinstance(node, inspect.IntType):
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        low = node.ge if node.ge is not None else _INT64.start
        high = node.le if node.le is not None else _INT64.stop - 1
        return low <= value <= high
    if isinstance(node, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(node, inspect.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(node, inspect.StrType) and isinstance(value, str)
