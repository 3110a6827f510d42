"""Fields that never change (upstream apimachinery `pkg/api/validation` `ValidateImmutableField`)."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.machinery.field import FieldError, Path, invalid

IMMUTABLE = "field is immutable"


def unchanged(new: Any, old: Any, path: Path) -> Iterator[FieldError]:
    """Check that a value is what it was; a struct is quoted as Go prints it."""
    if new != old:
        yield invalid(path, go_struct(new) if isinstance(new, Struct) else new, IMMUTABLE)
