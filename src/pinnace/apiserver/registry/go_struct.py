"""Structs as Go prints them inside messages: every field, under its name in Go.

Upstream's internal types carry no names for the wire, so a complaint that quotes a whole struct shows the names of Go's fields,
and null where a list, a map or a pointer is empty. Upstream: apimachinery `pkg/util/validation/field` (`Error.ErrorBody`).
"""

import difflib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, json, to_builtins

from pinnace.api import meta_v1

# Where a field's name in Go is not its wire name with a capital letter.
_GO_NAMES = {
    "apiGroups": "APIGroups",
    "apiVersion": "APIVersion",
    "awsElasticBlockStore": "AWSElasticBlockStore",
    "bool": "BoolValue",
    "bools": "BoolValues",
    "cephfs": "CephFS",
    "csi": "CSI",
    "fc": "FC",
    "fsType": "FSType",
    "gcePersistentDisk": "GCEPersistentDisk",
    "int": "IntValue",
    "ints": "IntValues",
    "iscsi": "ISCSI",
    "nfs": "NFS",
    "rbd": "RBD",
    "seLinuxOptions": "SELinuxOptions",
    "storageos": "StorageOS",
    "string": "StringValue",
    "strings": "StringValues",
    "uid": "UID",
    "version": "VersionValue",
    "versions": "VersionValues",
}


def go_struct(value: Struct) -> dict[str, Any]:
    """Return a struct as Go prints it, with every field."""
    tree: dict[str, Any] = {}
    for attribute, wire in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        name = _GO_NAMES.get(wire, wire[0].upper() + wire[1:])
        tree[name] = _member(getattr(value, attribute))
    return tree


def _member(value: Any) -> Any:
    if isinstance(value, Struct):
        # What all groups share has no internal type, so that its names are those of the wire.
        return to_builtins(value) if type(value).__module__ == meta_v1.__name__ else go_struct(value)
    if isinstance(value, tuple):
        return [_member(one) for one in value] or None
    if isinstance(value, Mapping):
        return {key: _member(value[key]) for key in sorted(value)} or None
    return to_builtins(value)


def go_difference(before: Struct, after: Struct) -> str:
    """Return what differs between two structs, line by line with some lines around."""
    old, new = (_lines(go_struct(spec)) for spec in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="", n=3)
    return "\n".join(" " + line for line in lines if not line.startswith(("---", "+++", "@@"))) + "\n"


def _lines(tree: Any) -> list[str]:
    return json.format(json.encode(tree), indent=2).decode().split("\n")
