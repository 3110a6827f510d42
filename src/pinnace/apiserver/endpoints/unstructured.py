"""Whether the result of a strategic merge patch fits its type, in the words of Go's converter from plain trees.

Upstream turns that result into the object without passing through JSON, so its complaints differ from those about a body: they
name types, but no place. Upstream: apimachinery `pkg/runtime/converter.go`.
"""

from typing import Any

import msgspec
from msgspec import inspect

from pinnace.api.codec import plain_type
from pinnace.apiserver.endpoints.strict import WrongType, field_nodes, go_type, node_of, plain_node

# Texts that have a reader of their own, which `scalars` speaks for.
_OWN_READER = frozenset({"Quantity", "Time", "MicroTime", "IntOrString"})


def check_convertible(cls: type[msgspec.Struct], tree: Any) -> None:
    """Compare a tree with a type.

    Raises:
        WrongType: the first value that cannot be converted, in the order of the type's fields.
    """
    _check(node_of(cls), tree, "")


def _check(declared: inspect.Type, tree: Any, place: str) -> None:
    """Check one value; `place` is the field it stands in, as `PodStatus.phase`."""
    scalar = plain_type(declared)[2]
    node = plain_node(declared)
    if tree is None or scalar in _OWN_READER or isinstance(node, inspect.AnyType | inspect.RawType | inspect.UnionType):
        return
    if isinstance(node, inspect.StructType):
        if not isinstance(tree, dict):
            raise WrongType(f"cannot restore struct from: {_kind(tree)}")
        for name, field in field_nodes(node.cls).items():
            _check(field, tree.get(name), f"{node.cls.__name__}.{name}")
    elif isinstance(node, inspect.DictType):
        if not isinstance(tree, dict):
            raise WrongType(f"cannot restore map from {_kind(tree)}")
        for value in tree.values():
            _check(node.value_type, value, "")
    elif isinstance(node, inspect.VarTupleType | inspect.ListType):
        if not isinstance(tree, list):
            raise WrongType(f"cannot restore slice from {_kind(tree)}")
        for value in tree:
            _check(node.item_type, value, place)
    elif scalar == "Bytes":
        if not isinstance(tree, str):
            raise WrongType(f"cannot restore slice from {_kind(tree)}")
    else:
        _check_leaf(node, tree, place)


def _check_leaf(node: inspect.Type, tree: Any, place: str) -> None:
    source, wanted = _kind(tree), go_type(node, place)
    basic = go_type(node)
    if (
        source == basic
        or (basic in {"int32", "int64"} and _is_whole(tree))
        or (basic == "float64" and source == "int64")
    ):
        return
    # What Go's language can convert but JSON cannot: numbers among each other, and a number to the character it encodes.
    if (source == "int64" and basic == "string") or (source == "float64" and basic in {"int32", "int64"}):
        raise WrongType(f"cannot convert {source} to {wanted}")
    raise WrongType(f"unrecognized type: {basic}")


def _is_whole(tree: Any) -> bool:
    return not isinstance(tree, bool) and (isinstance(tree, int) or (isinstance(tree, float) and tree.is_integer()))


def _kind(tree: Any) -> str:
    """Return Go's name for the kind of a decoded value."""
    if isinstance(tree, bool):
        return "bool"
    if isinstance(tree, int):
        return "int64"
    if isinstance(tree, float):
        return "float64"
    if isinstance(tree, str):
        return "string"
    return "slice" if isinstance(tree, list) else "map"
