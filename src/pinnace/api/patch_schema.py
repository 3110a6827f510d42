"""How the fields of a type merge, for patches that walk a plain tree beside it.

Joins the generated rules (`merge_rules`) with the generated types: a place in a document is a struct, or nothing known.
"""

from functools import cache

from msgspec import Struct, inspect

from pinnace.api.merge_rules import RULES
from pinnace.machinery.patch.strategic import Merging, Schema

_PLAIN = Merging()


class _Unknown(Schema):
    """A place without a struct: maps of texts, free-form JSON."""

    def field(self, name: str) -> Merging:  # noqa: ARG002
        return _PLAIN

    def member(self, name: str) -> Schema:  # noqa: ARG002
        return self


_UNKNOWN = _Unknown()


class _OfStruct(Schema):
    """A place that holds a generated struct."""

    def __init__(self, cls: type[Struct]) -> None:
        self._key = f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
        node = inspect.type_info(cls)
        assert isinstance(node, inspect.StructType)
        self._types = {item.encode_name: item.type for item in node.fields}

    def field(self, name: str) -> Merging:
        rule = RULES.get((self._key, name))
        return Merging(tuple(filter(None, rule.patch_strategy.split(","))), rule.patch_merge_key) if rule else _PLAIN

    def member(self, name: str) -> Schema:
        node = self._types.get(name)
        return _schema_of(node) if node is not None else _UNKNOWN


def _schema_of(node: inspect.Type) -> Schema:
    match node:
        case inspect.Metadata():
            return _schema_of(node.type)
        case inspect.UnionType():
            return next((found for option in node.types if (found := _schema_of(option)) is not _UNKNOWN), _UNKNOWN)
        case inspect.VarTupleType():
            return _schema_of(node.item_type)
        case inspect.StructType():
            return list_keys(node.cls)
    return _UNKNOWN


@cache
def list_keys(cls: type[Struct]) -> Schema:
    """Return what is known of a type's fields."""
    return _OfStruct(cls)
