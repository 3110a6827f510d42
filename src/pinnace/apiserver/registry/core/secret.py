"""Secret (upstream pkg/registry/core/secret, pkg/apis/core/validation)."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Secret
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Column, Selectable, Strategy, unknown_field_own_table
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, required, too_long
from pinnace.machinery.names import config_key

LIMIT_BYTES = 1024 * 1024
OPAQUE = "Opaque"
_ACCOUNT = "kubernetes.io/service-account.name"
# Type → the keys it must have.
_REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def default(obj: Secret) -> Secret:
    """Name the type, and move what was given as text to the rest."""
    if obj.string_data:
        texts = {key: base64.b64encode(value.encode()).decode() for key, value in obj.string_data.items()}
        obj = replace(obj, data={**obj.data, **texts}, string_data={})
    return obj if obj.type else replace(obj, type=OPAQUE)


def validate(obj: Secret) -> Sequence[FieldError]:
    """Check keys, size, and what the type asks for."""
    return tuple(_errors(obj))


def _errors(obj: Secret) -> Iterator[FieldError]:
    data = Path("data")
    for key in sorted(obj.data):
        yield from (invalid(data.key(key), key, message) for message in config_key(key))
    if sum(len(value) * 3 // 4 for value in obj.data.values()) > LIMIT_BYTES:
        yield too_long(data, "", LIMIT_BYTES)
    if obj.type == "kubernetes.io/service-account-token" and not obj.metadata.annotations.get(_ACCOUNT):
        yield required(Path("metadata", "annotations").key(_ACCOUNT))
    if obj.type == "kubernetes.io/basic-auth" and not {"username", "password"} & obj.data.keys():
        yield required(data.key("username"))
        yield required(data.key("password"))
    for key in _REQUIRED_KEYS.get(obj.type, ()):
        if key not in obj.data:
            yield required(data.key(key))
        elif key.startswith(".docker") and not _is_json(obj.data[key]):
            yield invalid(data.key(key), "<secret contents redacted>", "invalid character in the document")


def _is_json(encoded: str) -> bool:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError:
        return False
    return True


def validate_update(new: Secret, old: Secret) -> Sequence[FieldError]:
    """Hold the type, and an immutable secret to its content."""
    found = []
    if new.type != old.type:
        found.append(invalid(Path("type"), new.type, "field is immutable"))
    if old.immutable:
        text = "field is immutable when `immutable` is set"
        if not new.immutable:
            found.append(forbidden(Path("immutable"), text))
        if new.data != old.data:
            found.append(forbidden(Path("data"), text))
    return found


def cells(obj: Secret, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, obj.type, len(obj.data), columns.object_age(obj, now))


STRATEGY: Strategy[Secret] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    selectable=Selectable(fields={"type": lambda obj: obj.type}, unknown=unknown_field_own_table),
    columns=(
        columns.NAME,
        Column("Type", description="What it is for."),
        Column("Data", description="How many keys it has."),
        columns.AGE,
    ),
    cells=cells,
)
