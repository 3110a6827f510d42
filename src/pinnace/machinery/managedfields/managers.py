"""Who owns which fields of an object, and what a write does to that.

Each write belongs to a manager. An update gives its manager what it changed and takes that from all others. An apply gives its
manager exactly what the configuration names, refuses to change what others own unless forced, and drops what the manager named
before and no longer does, unless somebody else owns it. Invariant: no manager is kept that owns nothing. Upstream:
structured-merge-diff `merge/{update,conflict}.go`, apimachinery `util/managedfields/internal/{capmanagers,managedfieldsupdater}.go`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pinnace.machinery.managedfields import sets
from pinnace.machinery.managedfields.node import Change, Node
from pinnace.machinery.managedfields.sets import ITSELF, NOTHING, Tree

APPLY, UPDATE = "Apply", "Update"
# Managers of updates beyond which the oldest become one.
UPDATE_MANAGERS_LIMIT = 10
OLDEST = "ancient-changes"
# What no manager owns: the identity of an object, and what the server itself keeps.
_UNOWNED: Tree = {
    "f:apiVersion": ITSELF,
    "f:kind": ITSELF,
    "f:metadata": {
        ".": ITSELF,
        **{
            f"f:{name}": ITSELF
            for name in (
                "clusterName",
                "creationTimestamp",
                "generation",
                "managedFields",
                "name",
                "namespace",
                "resourceVersion",
                "selfLink",
                "uid",
            )
        },
    },
}


class Manager(NamedTuple):
    """Who: an apply's version is not a part of it, so that a manager may move on to another version."""

    operation: str
    name: str
    api_version: str
    subresource: str


class Owned(Struct, frozen=True):
    """What a manager owns, in terms of which version, and when it last took something (None: never said)."""

    fields: Tree
    api_version: str
    time: str | None = None


Managers: TypeAlias = Mapping[Manager, Owned]


class Conflict(NamedTuple):
    """A field that an apply would change, and who owns it."""

    manager: Manager
    owned: Owned
    path: tuple[str, ...]


class Conflicts(Exception):
    """An apply would change fields of others."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


class Write(Struct, frozen=True):
    """One write: by whom, in which version, when, and what of a set it can own at all."""

    manager: Manager
    api_version: str
    time: str
    ownable: Callable[[Tree], Tree]


# How the write looks in terms of another version, for those who own fields there.
ChangeIn: TypeAlias = Callable[[str], Change]


class Applied(Struct, frozen=True):
    """What an apply comes to: the tree, None when it is the live one, and the managers."""

    tree: Any | None
    managers: Managers


def _unchanged(api_version: str) -> Change:  # noqa: ARG001
    return Change(None, None)


def _filtered(fields: Tree | None, write: Write) -> Tree:
    return write.ownable(fields) if fields else NOTHING


def after_update(managers: Managers, change: Change, write: Write, change_in: ChangeIn = _unchanged) -> Managers:
    """Return the managers after an update that made this change; the very same ones when they stay as they are."""
    changed, removed = _filtered(change.changed, write), _filtered(change.removed, write)
    if not changed and not removed:
        return managers
    out: dict[Manager, Owned] = {}
    for manager, owned in managers.items():
        if manager == write.manager:
            lost = removed
        elif owned.api_version == write.api_version:
            lost = sets.union(changed, removed)
        else:
            there = change_in(owned.api_version)
            lost = sets.union(_filtered(there.changed, write), _filtered(there.removed, write))
        fields = sets.difference(owned.fields, lost)
        if fields:
            out[manager] = owned if fields is owned.fields else replace(owned, fields=fields)
    taken = sets.difference(changed, _UNOWNED)
    if taken:
        before = out.get(write.manager)
        fields = sets.union(before.fields, taken) if before is not None else taken
        out[write.manager] = Owned(fields, write.api_version, write.time)
    return _capped(out)


def _capped(managers: dict[Manager, Owned]) -> Managers:
    """Put the oldest managers of updates together, those of one version into one, until few enough are left."""
    updaters = [manager for manager in managers if manager.operation == UPDATE]
    surplus = len(updaters) - UPDATE_MANAGERS_LIMIT
    if surplus <= 0:
        return managers
    first_of: dict[str, Manager] = {}
    for manager in sorted(updaters, key=lambda item: (managers[item].time or "", item)):
        if surplus <= 0:
            break
        owned = managers[manager]
        first = first_of.setdefault(owned.api_version, manager)
        if first == manager:
            continue
        bucket = Manager(UPDATE, OLDEST, owned.api_version, "")
        if bucket not in managers:
            managers[bucket] = managers.pop(first)
        fields = sets.union(owned.fields, managers[bucket].fields)
        managers[bucket] = Owned(fields, owned.api_version, owned.time)
        del managers[manager]
        surplus -= 1
    return managers


def apply(
    managers: Managers,
    root: Node,
    live: Any,
    config: Any,
    write: Write,
    *,
    force: bool = False,
    elsewhere: Callable[[Any], ChangeIn] = lambda tree: _unchanged,  # noqa: ARG005
) -> Applied:
    """Lay a configuration over a live tree, and take out what its manager has let go of.

    A manager that is new, or claims more, without changing anything keeps the time that it had, if any. `elsewhere` is given the tree
    that comes out.

    Raises:
        Conflicts: it changes what others own, and is not forced to.
    """
    claimed = _filtered(root.fields_of(config), write)
    fields = sets.difference(claimed, _UNOWNED)
    last = managers.get(write.manager)
    others = {manager: owned for manager, owned in managers.items() if manager != write.manager}
    tree = root.merge(live, config)
    if last is not None:
        if last.fields == fields:
            fields = last.fields
        elif sets.difference(last.fields, claimed):
            owned = claimed
            for other in others.values():
                owned = sets.union(owned, other.fields)
            tree = _pruned(root, tree, last.fields, owned)
    is_changed = tree != live
    if is_changed:
        others = _yielding(others, root.differences(live, tree), write, elsewhere(tree), force=force)
    if fields:
        time = write.time if is_changed else last.time if last is not None else None
        others[write.manager] = Owned(fields, write.api_version, time)
    return Applied(tree if is_changed else None, others)


def _pruned(root: Node, merged: Any, last: Tree, owned: Tree) -> Any:
    """Remove what a manager named last time, but for what anybody owns now and what somebody else put there."""
    last = root.named(last)
    all_fields = root.named(root.fields_of(merged) or NOTHING)
    pruned = root.without(merged, last) or {}
    kept = sets.union(root.named(root.fields_of(pruned) or NOTHING), root.named(owned))
    pruned = root.without(merged, sets.difference(all_fields, kept)) or {}
    gone = sets.difference(all_fields, root.named(root.fields_of(pruned) or NOTHING))
    return root.without(merged, sets.intersection(gone, last)) or {}


def _yielding(
    others: Managers, change: Change, write: Write, change_in: ChangeIn, *, force: bool
) -> dict[Manager, Owned]:
    """Take from the others what an apply changed and removed.

    Raises:
        Conflicts: they own what it changed, and it is not forced to.
    """
    here = _filtered(change.changed, write), _filtered(change.removed, write)
    out: dict[Manager, Owned] = {}
    conflicts: list[Conflict] = []
    for manager, owned in others.items():
        changed, removed = here
        if owned.api_version != write.api_version:
            there = change_in(owned.api_version)
            changed, removed = _filtered(there.changed, write), _filtered(there.removed, write)
        disputed = sets.intersection(owned.fields, changed)
        if disputed and not force:
            conflicts += (Conflict(manager, owned, path) for path in sets.paths(disputed))
            continue
        fields = sets.difference(sets.difference(owned.fields, disputed), removed)
        if fields:
            out[manager] = owned if fields is owned.fields else replace(owned, fields=fields)
    if conflicts:
        raise Conflicts(conflicts)
    return out
