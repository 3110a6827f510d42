"""Who owns which fields of an object, and what a write does to that.

Each write belongs to a manager. An update gives its manager what it changed and takes that from all others. An apply gives its
manager exactly what the configuration names, refuses to change what others own unless forced, and drops what the manager named
before and no longer does, unless somebody else owns it. Invariant: no manager is kept that owns nothing. Upstream:
structured-merge-diff `merge/{update,conflict}.go`, apimachinery `util/managedfields/internal/{capmanagers,managedfieldsupdater}.go`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pinnace.machinery.managedfields import sets
from pinnace.machinery.managedfields.node import SAME, Change
from pinnace.machinery.managedfields.owners import Manager, Managers, Owned
from pinnace.machinery.managedfields.pruning import pruned
from pinnace.machinery.managedfields.sets import ITSELF, NOTHING, Tree
from pinnace.machinery.managedfields.versions import Inconvertible, Versions

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
    return SAME


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
    managers: Managers, versions: Versions, live: Any, config: Any, write: Write, *, force: bool = False
) -> Applied:
    """Lay a configuration over a live tree, and take out what its manager has let go of.

    A manager that is new, or claims more, without changing anything keeps the time that it had, if any.

    Raises:
        Conflicts: it changes what others own, and is not forced to.
    """
    root = versions.root(write.api_version)
    assert root is not None, "a write speaks a version that there is"
    claimed = _filtered(root.fields_of(config), write)
    fields = sets.difference(claimed, _UNOWNED)
    last = managers.get(write.manager)
    others = {manager: owned for manager, owned in managers.items() if manager != write.manager}
    tree = root.merge(live, config)
    if last is not None:
        if last.fields == fields:
            fields = last.fields
        if last.api_version != write.api_version or sets.difference(last.fields, claimed):
            owners = (*others.values(), Owned(claimed, write.api_version))
            tree = pruned(versions, tree, write.api_version, last, owners)
    is_changed = tree != live
    if is_changed:
        others = _yielding(others, versions, live, tree, write, force=force)
    if fields:
        time = write.time if is_changed else last.time if last is not None else None
        others[write.manager] = Owned(fields, write.api_version, time)
    return Applied(tree if is_changed else None, others)


def _yielding(
    others: Managers, versions: Versions, live: Any, tree: Any, write: Write, *, force: bool
) -> dict[Manager, Owned]:
    """Take from the others what an apply changed and removed.

    Raises:
        Conflicts: they own what it changed, and it is not forced to.
    """
    seen: dict[str, tuple[Tree, Tree]] = {}
    out: dict[Manager, Owned] = {}
    conflicts: list[Conflict] = []
    for manager, owned in others.items():
        if owned.api_version not in seen:
            change = _change(versions, live, tree, write.api_version, owned.api_version)
            seen[owned.api_version] = _filtered(change.changed, write), _filtered(change.removed, write)
        changed, removed = seen[owned.api_version]
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


def _change(versions: Versions, live: Any, tree: Any, api_version: str, other: str) -> Change:
    """Return how trees of one version differ in terms of another; not at all where they have no form in it."""
    root = versions.root(other)
    if root is None:
        return SAME
    try:
        old, new = (versions.convert(one, api_version, other) for one in (live, tree))
    except Inconvertible:
        return SAME  # what does not fit its type is refused when it is to be stored
    return root.differences(old, new) if old != new else SAME
