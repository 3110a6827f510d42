"""managedFields of an object as the rules of ownership see them, and back.

Invariant: an entry that a write does not touch keeps its very bytes. Upstream: apimachinery
`util/managedfields/internal/{managedfields,fields}.go`.
"""

from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from pinnace.api.meta_v1 import ManagedFieldsEntry, ObjectMeta
from pinnace.machinery.managedfields import APPLY, UPDATE, Manager, Managers, Owned, sets

Entries = tuple[ManagedFieldsEntry, ...]

_FIELDS_V1 = "FieldsV1"
_RESET = ManagedFieldsEntry()


def manager_of(entry: ManagedFieldsEntry) -> Manager:
    """Return whose entry it is."""
    version = "" if entry.operation == APPLY else entry.api_version
    return Manager(entry.operation, entry.manager, version, entry.subresource)


def is_reset(entries: Entries | None) -> bool:
    """Tell whether a client asks to forget all owners: an empty list, or one empty entry."""
    return entries is not None and (not entries or entries == (_RESET,))


def decode(entries: Entries | None) -> dict[Manager, Owned]:
    """Read the entries of an object.

    Raises:
        ValueError: one is malformed.
    """
    return {manager_of(entry): _owned(entry, index) for index, entry in enumerate(entries or ())}


def _owned(entry: ManagedFieldsEntry, index: int) -> Owned:
    if entry.operation not in {APPLY, UPDATE}:
        raise ValueError("operation must be `Apply` or `Update`")
    if not entry.api_version:
        raise ValueError("apiVersion must not be empty")
    if entry.fields_type != _FIELDS_V1:
        wrong = f'invalid fieldsType "{entry.fields_type}"' if entry.fields_type else "missing fieldsType"
        raise ValueError(f"{wrong} in managed fields entry {index}")
    return Owned(sets.decode(bytes(entry.fields_v1)), entry.api_version, entry.time)


def encode(managers: Managers, known: Entries | None) -> Entries | None:
    """Return the entries of the owners in their order, taking those that are still true from `known`; None for no owners."""
    if not managers:
        return None
    before = {manager_of(entry): entry for entry in known or ()}
    entries = [_entry(manager, owned, before.get(manager)) for manager, owned in managers.items()]
    entries.sort(key=_order)
    return tuple(entries)


def _entry(manager: Manager, owned: Owned, before: ManagedFieldsEntry | None) -> ManagedFieldsEntry:
    if before is not None and before.fields_type == _FIELDS_V1:
        try:
            same = sets.decode(bytes(before.fields_v1)) == owned.fields
        except ValueError:
            same = False
        if same and before.api_version == owned.api_version:
            return before if before.time == owned.time else replace(before, time=owned.time)
    return ManagedFieldsEntry(
        manager=manager.name,
        operation=manager.operation,
        api_version=owned.api_version,
        time=owned.time,
        fields_type=_FIELDS_V1,
        fields_v1=Raw(sets.encode(owned.fields)),
        subresource=manager.subresource,
    )


def _order(entry: ManagedFieldsEntry) -> tuple[str, ...]:
    return entry.operation, entry.time or "", entry.manager, entry.api_version, entry.subresource


def with_entries(obj: Any, entries: Entries | None) -> Any:
    """Return an object with these entries."""
    meta: ObjectMeta = obj.metadata
    return obj if meta.managed_fields is entries else replace(obj, metadata=replace(meta, managed_fields=entries))
