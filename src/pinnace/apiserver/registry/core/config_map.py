"""ConfigMap (upstream pkg/registry/core/configmap, pkg/apis/core/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.core_v1 import ConfigMap
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Column, Strategy
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, too_long
from pinnace.machinery.names import config_key

LIMIT_BYTES = 1024 * 1024


def validate(obj: ConfigMap) -> Sequence[FieldError]:
    """Check keys and size."""
    return tuple(_errors(obj))


def _errors(obj: ConfigMap) -> Iterator[FieldError]:
    for key in sorted(obj.data):
        for message in config_key(key):
            yield invalid(Path("data").key(key), key, message)
        if key in obj.binary_data:
            yield invalid(Path("data").key(key), key, "duplicate of key present in binaryData")
    for key in sorted(obj.binary_data):
        for message in config_key(key):
            yield invalid(Path("binaryData").key(key), key, message)
    size = sum(len(value.encode()) for value in obj.data.values())
    size += sum(len(value) * 3 // 4 for value in obj.binary_data.values())
    if size > LIMIT_BYTES:
        yield too_long(Path(""), "", LIMIT_BYTES)


def validate_update(new: ConfigMap, old: ConfigMap) -> Sequence[FieldError]:
    """Hold an immutable map to its content."""
    if not old.immutable:
        return ()
    found = []
    text = "field is immutable when `immutable` is set"
    if not new.immutable:
        found.append(forbidden(Path("immutable"), text))
    if new.data != old.data:
        found.append(forbidden(Path("data"), text))
    if new.binary_data != old.binary_data:
        found.append(forbidden(Path("binaryData"), text))
    return found


def cells(obj: ConfigMap, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, len(obj.data) + len(obj.binary_data), columns.object_age(obj, now))


STRATEGY: Strategy[ConfigMap] = Strategy(
    validate=validate,
    validate_update=validate_update,
    columns=(columns.NAME, Column("Data", description="How many entries it has."), columns.AGE),
    cells=cells,
)
