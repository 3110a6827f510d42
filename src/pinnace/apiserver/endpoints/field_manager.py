"""Who owns the fields of an object after a create, an update, a patch or an apply.

Every write passes here, so nothing is worked out that has not changed: what is owned of a spec that many pods share is
remembered by the spec, a write that changes no field hands back the entries it found, and sets are read once. Upstream:
apimachinery `util/managedfields/internal/{fieldmanager,skipnonapplied,structuredmerge}.go`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from pinnace.api import codec, field_schema
from pinnace.api.meta_v1 import ManagedFieldsEntry
from pinnace.api.resources import Resource, StructType
from pinnace.apiserver.endpoints.field_reset import ownable
from pinnace.apiserver.endpoints.kind_versions import KindVersions, versions_of
from pinnace.apiserver.endpoints.managed_entries import Entries, decode, encode, is_reset, with_entries
from pinnace.machinery import timestamps
from pinnace.machinery.managedfields import (
    APPLY,
    NOTHING,
    SAME,
    UPDATE,
    Applied,
    Change,
    Manager,
    Owned,
    Tree,
    Write,
    after_update,
    apply,
    sets,
)
from pinnace.machinery.managedfields.maps import Struct as StructNode
from pinnace.machinery.memo import Memo

# Owns what was there when an object that nobody had tracked is applied for the first time.
BEFORE_FIRST_APPLY = "before-first-apply"


class Place(Struct, frozen=True):
    """What a path writes: objects of a type in a version, of whose fields some can be owned."""

    type: StructType
    api_version: str
    subresource: str
    ownable: Callable[[Tree], Tree]
    versions: KindVersions

    @property
    def kind(self) -> str:
        return self.type.__name__


@cache
def place_of(resource: Resource, subresource: str) -> Place:
    """Return what the path of a resource, or of a part of it, writes."""
    return Place(
        resource.type, resource.api_version, subresource, ownable(resource, subresource), versions_of(resource)
    )


class FieldManager:
    """Tracks one write by one manager; called with the new and the stored object (None: there is none)."""

    __slots__ = ("_manager", "_now", "place")

    def __init__(self, place: Place, manager: str, now: float) -> None:
        self.place = place
        self._manager = manager
        self._now = now

    def __call__(self, new: Any, old: Any) -> Any:
        """Return the new object with the owners of its fields."""
        sent: Entries | None = new.metadata.managed_fields
        if old is None:
            return self._created(new, sent)
        stored: Entries | None = old.metadata.managed_fields
        if not self.place.subresource and is_reset(sent):
            return with_entries(new, None)
        managers = self._managers(sent, stored)
        if not managers:
            # Objects that were never tracked are not from now on; the first apply begins with it.
            return with_entries(new, None)
        write = self._write(UPDATE)
        after = after_update(managers, self.root.compare(old, new), write, self._change_in(old, new))
        if after is managers and (not sent or sent == stored) and len(managers) == len(stored or ()):
            return with_entries(new, stored)
        return with_entries(new, encode(after, stored))

    @property
    def root(self) -> StructNode:
        """What is known of the fields of the kind."""
        return field_schema.root(self.place.type)

    def apply(self, stored: Entries | None, live: Any, config: Any, *, force: bool) -> Applied:
        """Lay a checked configuration over the tree of a stored object, or an empty one where there is none.

        Raises:
            Conflicts: others own what it changes.
        """
        managers = self._managers(None, stored)
        if not managers and live != (nothing := codec.to_tree(_EMPTY(self.place.type))):
            first = replace(self._write(UPDATE), manager=self._named(UPDATE, BEFORE_FIRST_APPLY))
            managers = dict(after_update(managers, self.root.differences(nothing, live), first))

        return apply(managers, self.place.versions, live, config, self._write(APPLY), force=force)

    def _change_in(self, old: Any, new: Any) -> Callable[[str], Change]:
        """Return how a write looks in terms of the other versions that the kind has."""

        def change_in(api_version: str) -> Change:
            versions = self.place.versions
            root = versions.root(api_version)
            return (
                SAME
                if root is None
                else root.compare(*(versions.view(one, self.place.api_version, api_version) for one in (old, new)))
            )

        return change_in

    def _managers(self, sent: Entries | None, stored: Entries | None) -> dict[Manager, Owned]:
        """Return the owners that a client sent, or the stored ones when it sent none or nonsense."""
        if sent and sent != stored and not self.place.subresource:
            try:
                return self._known(decode(sent))
            except ValueError:
                pass
        try:
            return self._known(decode(stored))
        except ValueError:
            return {}

    def _known(self, managers: dict[Manager, Owned]) -> dict[Manager, Owned]:
        """Drop the owners of fields of a version that the kind does not have, or has no longer."""
        if all(owned.api_version == self.place.api_version for owned in managers.values()):
            return managers
        versions = self.place.versions
        return {manager: owned for manager, owned in managers.items() if versions.root(owned.api_version) is not None}

    def _created(self, new: Any, sent: Entries | None) -> Any:
        write = self._write(UPDATE)
        change = self.root.compare(_EMPTY(self.place.type), new)
        if sent:
            # Written anew: a client may have put blanks between the parts of what it sends back.
            empty = _EMPTY(self.place.type)
            after = after_update(self._managers(sent, None), change, write, self._change_in(empty, new))
            return with_entries(new, encode(after, None))
        taken = write.ownable(change.changed or NOTHING)
        if not taken:
            return with_entries(new, None)
        entry = ManagedFieldsEntry(
            manager=self._manager,
            operation=UPDATE,
            api_version=self.place.api_version,
            time=write.time,
            fields_type="FieldsV1",
            fields_v1=Raw(sets.encode(taken)),
            subresource=self.place.subresource,
        )
        return with_entries(new, (entry,))

    def _named(self, operation: str, name: str) -> Manager:
        return Manager(operation, name, "" if operation == APPLY else self.place.api_version, self.place.subresource)

    def _write(self, operation: str) -> Write:
        return Write(
            self._named(operation, self._manager),
            self.place.api_version,
            timestamps.format(self._now),
            self.place.ownable,
        )


def _empty(cls: type[Any]) -> Any:
    return cls()


# The object of a kind with nothing in it, as Go has it before a body is read.
_EMPTY: Memo[type[Any], Any] = Memo(_empty)
