"""What field ownership needs to know of each type: the generated types joined with the generated merge rules.

Made at the first write of a kind and kept. Upstream makes the same of its OpenAPI: apimachinery
`util/managedfields/internal/typeconverter.go`, kube-openapi `pkg/schemaconv`.
"""

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, inspect

from pinnace.api.codec import plain_type, python_name
from pinnace.api.core_v1 import PodSpec
from pinnace.api.merge_rule import Rule
from pinnace.api.merge_rules import ATOMIC, RULES
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.machinery.managedfields import ABSENT, Node
from pinnace.machinery.managedfields.lists import Key, KeyedList, ValueSet
from pinnace.machinery.managedfields.maps import Map, Member
from pinnace.machinery.managedfields.maps import Struct as StructNode
from pinnace.machinery.managedfields.node import Atomic, Free, Items, Scalar

# What the server keeps by itself changes with every write and is owned by nobody, so it is not compared.
_SERVERS = frozenset({
    "name",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
})
# The default of key fields that have one in the schema and are not written when empty.
_KEY_DEFAULTS = {
    ("ContainerPort", "protocol"): "TCP",
    ("ServicePort", "protocol"): "TCP",
    ("LocalObjectReference", "name"): "",
}
_NO_RULE = Rule("", "", "", ())
_FREE = Free()
_SCALARS = {
    inspect.StrType: Scalar("string"),
    inspect.BoolType: Scalar("boolean"),
    inspect.IntType: Scalar("numeric"),
    inspect.FloatType: Scalar("numeric"),
}
_ANY_SCALAR = Scalar("any scalar")


@cache
def root(cls: type[Struct]) -> StructNode:
    """Return what is known of objects of a kind."""
    node = StructNode(cls())
    members, nodes = _members(cls)
    meta = StructNode(ObjectMeta())
    meta_members, meta_nodes = _members(ObjectMeta)
    meta.fill([member for member in meta_members if member.element[2:] not in _SERVERS], meta_nodes)
    node.fill(
        [
            member._replace(node=meta) if member.attribute == "metadata" else member
            for member in members
            if member.attribute not in {"kind", "api_version"}
        ],
        {**nodes, "metadata": meta},
    )
    return node


_structs: dict[type[Struct], StructNode] = {}


def _struct(cls: type[Struct]) -> StructNode:
    known = _structs.get(cls)
    if known is None:
        # Known before it is filled: a type may contain itself.
        known = _structs[cls] = StructNode(cls())
        members, nodes = _members(cls)
        known.fill(members, nodes, is_shared=cls is PodSpec)
    return known


def _members(cls: type[Struct]) -> tuple[list[Member], dict[str, Node]]:
    node = inspect.type_info(cls)
    assert isinstance(node, inspect.StructType)
    empty = cls()
    written = msgspec.json.decode(msgspec.json.encode(empty))
    key = python_name(cls)
    members = []
    for item in node.fields:
        rule = RULES.get((key, item.encode_name), _NO_RULE)
        zero = ABSENT if item.encode_name in written else getattr(empty, item.name)
        members.append(Member(f"f:{item.encode_name}", item.name, zero, _node(item.type, rule)))
    members.sort(key=lambda member: member.element)
    return members, {member.element[2:]: member.node for member in members}


def _node(declared: inspect.Type, rule: Rule) -> Node:
    node, _, scalar = plain_type(declared)
    if scalar in {"FieldsV1", "RawExtension"} or isinstance(node, inspect.AnyType):
        return _FREE
    if scalar in {"Quantity", "Time", "MicroTime"} or isinstance(node, inspect.UnionType):
        return _ANY_SCALAR
    if isinstance(node, inspect.StructType):
        inner = _struct(node.cls)
        return Atomic(inner) if rule.kind == "atomic" or python_name(node.cls) in ATOMIC else inner
    if isinstance(node, inspect.DictType):
        of_map = Map(_node(node.value_type, _NO_RULE))
        return Atomic(of_map) if rule.kind == "atomic" else of_map
    if isinstance(node, inspect.VarTupleType):
        return _list(node.item_type, rule)
    return _SCALARS[type(node)]


def _list(item_type: inspect.Type, rule: Rule) -> Node:
    item = _node(item_type, _NO_RULE)
    if rule.kind == "set":
        return ValueSet(item)
    if rule.kind == "map":
        return KeyedList(item, [_key(item_type, name) for name in rule.keys])
    return Atomic(Items(item))


def _key(item_type: inspect.Type, name: str) -> Key:
    node = plain_type(item_type)[0]
    assert isinstance(node, inspect.StructType)
    field = next(field for field in node.fields if field.encode_name == name)
    empty = node.cls()
    default: Any = _KEY_DEFAULTS.get((node.cls.__name__, name), ABSENT)
    if default is ABSENT and name in msgspec.json.decode(msgspec.json.encode(empty)):
        default = getattr(empty, field.name)
    return Key(name, field.name, default)
