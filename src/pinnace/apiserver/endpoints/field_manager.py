"""Who owns the fields of an object after a create, an update or a patch.

Every write passes here, so nothing is worked out that has not changed: what is owned of a spec that many pods share is
remembered by the spec, a write that changes no field hands back the entries it found, and sets are read once. Upstream:
apimachinery `util/managedfields/internal/{fieldmanager,skipnonapplied,structuredmerge}.go`.
"""

from typing import Any

import msgspec
from msgspec import Raw

from pinnace.api import field_schema
from pinnace.api.meta_v1 import ManagedFieldsEntry, ObjectMeta
from pinnace.api.resources import Resource
from pinnace.apiserver.endpoints.field_reset import reset_fields
from pinnace.apiserver.endpoints.managed_entries import Entries, decode, encode, is_reset, with_entries
from pinnace.machinery import timestamps
from pinnace.machinery.managedfields import NOTHING, UPDATE, Manager, Owned, Write, after_update, sets
from pinnace.machinery.managedfields.maps import Struct as StructNode
from pinnace.machinery.memo import Memo


class FieldManager:
    """Tracks one write by one manager; called with the new and the stored object (None: there is none)."""

    __slots__ = ("_cls", "_manager", "_now", "_resource", "_subresource")

    def __init__(self, resource: Resource, subresource: str, manager: str, now: float) -> None:
        assert resource.type is not None
        self._cls: type[msgspec.Struct] = resource.type
        self._resource = resource
        self._subresource = subresource
        self._manager = manager
        self._now = now

    def __call__(self, new: Any, old: Any) -> Any:
        """Return the new object with the owners of its fields."""
        sent: Entries | None = new.metadata.managed_fields
        if old is None:
            return self._created(new, sent)
        meta: ObjectMeta = old.metadata
        stored = meta.managed_fields
        if not self._subresource and is_reset(sent):
            return with_entries(new, None)
        managers = self._managers(sent, stored)
        if not managers:
            # Objects that were never tracked are not from now on; the first apply begins with it.
            return with_entries(new, None)
        change = field_schema.root(self._cls).compare(old, new)
        after = after_update(managers, change, self._write())
        return with_entries(new, stored if after is managers and sent == stored else encode(after, stored))

    def _managers(self, sent: Entries | None, stored: Entries | None) -> dict[Manager, Owned]:
        """Return the owners that a client sent, or the stored ones when it sent none or nonsense."""
        if sent and sent != stored and not self._subresource:
            try:
                return decode(sent)
            except ValueError:
                pass
        try:
            return decode(stored)
        except ValueError:
            return {}

    def _created(self, new: Any, sent: Entries | None) -> Any:
        empty = _EMPTY(self._cls)
        write = self._write()
        change = field_schema.root(self._cls).compare(empty, new)
        if not sent:
            taken = sets.without_branches(change.changed or NOTHING, write.ignored)
            if not taken:
                return with_entries(new, None)
            entry = ManagedFieldsEntry(
                manager=self._manager,
                operation=UPDATE,
                api_version=self._resource.api_version,
                time=write.time,
                fields_type="FieldsV1",
                fields_v1=Raw(sets.encode(taken)),
                subresource=self._subresource,
            )
            return with_entries(new, (entry,))
        return with_entries(new, encode(after_update(self._managers(sent, None), change, write), sent))

    def _write(self) -> Write:
        version = self._resource.api_version
        return Write(
            Manager(UPDATE, self._manager, version, self._subresource),
            version,
            timestamps.format(self._now),
            reset_fields(self._resource, self._subresource),
        )


def _empty(cls: type[Any]) -> Any:
    return cls()


# The object of a kind with nothing in it, as Go has it before a body is read.
_EMPTY: Memo[type[Any], Any] = Memo(_empty)


def schema_of(resource: Resource) -> StructNode:
    """Return what is known of the fields of a kind."""
    assert resource.type is not None
    return field_schema.root(resource.type)
