"""What is looked up about types is what they are."""

import pytest
from msgspec import inspect

from pinnace.api import codec
from pinnace.api.resources import RESOURCES


def holds_raw(node, seen):
    """Look for raw JSON in a type itself."""
    node, _, scalar = codec.plain_type(node)
    if isinstance(node, inspect.DictType):
        return holds_raw(node.value_type, seen)
    if isinstance(node, inspect.VarTupleType):
        return holds_raw(node.item_type, seen)
    if not isinstance(node, inspect.StructType):
        return scalar == "RawExtension"
    if node.cls in seen:
        return False
    seen.add(node.cls)
    return any(holds_raw(item.type, seen) for item in node.fields)


@pytest.mark.parametrize(
    "resource", RESOURCES, ids=lambda resource: f"{resource.plural}.{resource.version}.{resource.group}"
)
def test_types_that_hold_raw_json_are_known(resource):
    """A kind is named as a holder exactly when its type, or one below it, has raw JSON."""
    assert codec.has_raw(resource.type) == holds_raw(inspect.type_info(resource.type), set())
