"""What leaves an object when an applier lets go of fields.

A field goes when its manager named it last time, does not now, and nobody else owns it or put something into the object that hangs on
it. Invariant: sets are only ever laid over trees of their own version, so that a manager may let go in one version of what it named in
another. Upstream: structured-merge-diff `merge/update.go` (prune, addBackOwnedItems, addBackDanglingItems).
"""

from collections.abc import Iterable
from typing import Any

from pinnace.machinery.managedfields import sets
from pinnace.machinery.managedfields.node import Node
from pinnace.machinery.managedfields.owners import Owned
from pinnace.machinery.managedfields.sets import NOTHING, Tree
from pinnace.machinery.managedfields.versions import Inconvertible, Versions


def pruned(versions: Versions, merged: Any, api_version: str, last: Owned, owners: Iterable[Owned]) -> Any:
    """Return a tree without what only `last` owned; the tree itself where nothing goes.

    The tree is in terms of `api_version`; `last` is what the manager owned before, `owners` what everybody owns now, the manager
    included. Nothing goes when the version of `last` is one that the kind no longer has.
    """
    root = versions.root(last.api_version)
    if root is None:
        return merged
    try:
        there = versions.convert(merged, api_version, last.api_version)
        kept = _kept(versions, root, there, last, owners)
        return merged if kept == there else versions.convert(kept, last.api_version, api_version)
    except Inconvertible:
        return merged  # what does not fit its type is refused when it is to be stored


def _kept(versions: Versions, root: Node, there: Any, last: Owned, owners: Iterable[Owned]) -> Any:
    """Return what of a tree in the version of `last` stays."""
    let_go = root.named(last.fields)
    whole, part, version = there, root.without(there, let_go) or {}, last.api_version
    # The version at hand comes first: a tree may need what others own in it to have a form in another version at all.
    claims = {version: NOTHING}
    for owned in owners:
        claims[owned.api_version] = sets.union(claims.get(owned.api_version, NOTHING), owned.fields)
    for other, claimed in claims.items():
        node = versions.root(other)
        if node is not None:
            whole, part = (versions.convert(tree, version, other) for tree in (whole, part))
            version = other
            part = _restored(node, whole, part, claimed)
    part = versions.convert(part, version, last.api_version)
    gone = sets.difference(_members(root, there), _members(root, part))
    return root.without(there, sets.intersection(gone, let_go)) or {}


def _restored(node: Node, whole: Any, part: Any, claimed: Tree) -> Any:
    """Return the whole less what is neither in the part nor claimed."""
    kept = sets.union(_members(node, part), node.named(claimed))
    return node.without(whole, sets.difference(_members(node, whole), kept)) or {}


def _members(node: Node, tree: Any) -> Tree:
    return node.named(node.fields_of(tree) or NOTHING)
