"""What is wrong with a body that does not decode at once: unknown fields, and type errors in the words clients know.

The fast path decodes straight into the kind's type and never comes here. This module walks the plain tree beside the type and
tells, in the order of the document, every field the type does not have, and the first value of a wrong type as Go's JSON
decoder words it. Upstream: sigs.k8s.io/json, apimachinery `runtime/serializer/json`.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

_INT32_MAX = 2**31 - 1
_INT64 = range(-(2**63), 2**63)


class WrongType(ValueError):
    """A value of a type that the field cannot have; the text is what the client is told."""


def unknown_fields(cls: type[msgspec.Struct], tree: Any) -> list[str]:
    """Return the path of each field that the type does not have, in the order of the document."""
    return list(_unknown(_node(cls), tree, ""))


def check_types(cls: type[msgspec.Struct], tree: Any) -> None:
    """Compare a tree with a type.

    Raises:
        WrongType: the first value that does not fit.
    """
    if not isinstance(tree, dict):
        raise WrongType(f"json: cannot unmarshal {_word(tree)} into Go value of type {_go_type(_node(cls))}")
    _check(_node(cls), tree, "", cls.__name__)


@cache
def _node(cls: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(cls)


@cache
def _fields(cls: type[msgspec.Struct]) -> Mapping[str, inspect.Type]:
    node = inspect.type_info(cls)
    assert isinstance(node, inspect.StructType)
    return {field.encode_name: field.type for field in node.fields}


def _plain(node: inspect.Type) -> inspect.Type:
    """Drop what does not matter here: metadata, and the None of an optional type."""
    while True:
        if isinstance(node, inspect.Metadata):
            node = node.type
        elif isinstance(node, inspect.UnionType):
            rest = [option for option in node.types if not isinstance(option, inspect.NoneType)]
            if len(rest) != 1:
                return inspect.UnionType(tuple(rest))
            node = rest[0]
        else:
            return node


def _unknown(node: inspect.Type, tree: Any, path: str) -> Iterator[str]:
    node = _plain(node)
    if isinstance(node, inspect.StructType) and isinstance(tree, dict):
        fields = _fields(node.cls)
        for key, value in tree.items():
            at = f"{path}.{key}" if path else key
            if key in fields:
                yield from _unknown(fields[key], value, at)
            else:
                yield at
    elif isinstance(node, inspect.DictType) and isinstance(tree, dict):
        for key, value in tree.items():
            yield from _unknown(node.value_type, value, f"{path}.{key}")
    elif isinstance(node, inspect.VarTupleType | inspect.ListType) and isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _unknown(node.item_type, value, f"{path}[{index}]")


def _word(value: Any, *, literal: bool = False) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if literal else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _go_type(node: inspect.Type) -> str:
    node = _plain(node)
    if isinstance(node, inspect.StructType):
        return f"v1.{node.cls.__name__}"
    if isinstance(node, inspect.DictType):
        return f"map[string]{_go_type(node.value_type)}"
    if isinstance(node, inspect.VarTupleType | inspect.ListType):
        return f"[]{_go_type(node.item_type)}"
    if isinstance(node, inspect.IntType):
        return "int32" if node.le is not None and node.le <= _INT32_MAX else "int64"
    if isinstance(node, inspect.BoolType):
        return "bool"
    return "float64" if isinstance(node, inspect.FloatType) else "string"


def _check(node: inspect.Type, tree: Any, path: str, owner: str) -> None:
    """Check one value; `path` has no indices or keys and `owner` is the struct the field stands in, as Go tells them."""
    node = _plain(node)
    if tree is None or isinstance(node, inspect.AnyType | inspect.RawType | inspect.UnionType):
        return
    if isinstance(node, inspect.StructType) and isinstance(tree, dict):
        fields = _fields(node.cls)
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
        raise WrongType(f"json: cannot unmarshal {word} into Go struct field {owner}.{path} of type {_go_type(node)}")


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
