"""Times in managedFields that are the only thing a write would change.

A manager that writes what is there already would move the time of its entry, and with it the resourceVersion. Invariant: such a
write is none. Upstream: apiserver `endpoints/handlers/fieldmanager/equality.go`.
"""

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.meta_v1 import ObjectMeta

T = TypeVar("T", bound=Struct)


def without_new_times(new: T, old: T) -> T:
    """Return the object with the times that it had, where nothing else has changed."""
    meta: ObjectMeta = new.metadata  # type: ignore[attr-defined]
    entries, known = meta.managed_fields, old.metadata.managed_fields  # type: ignore[attr-defined]
    if entries is known or not entries or not known or len(entries) != len(known):
        return new
    for entry, before in zip(entries, known, strict=True):
        if entry is not before and replace(entry, time=before.time) != before:
            return new
    restored = replace(new, metadata=replace(meta, managed_fields=known))
    return restored if restored == old else new
