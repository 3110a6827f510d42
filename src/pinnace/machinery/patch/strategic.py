"""Strategic merge patch: merge patch that knows which lists are maps by a key.

Directives: `$patch: replace|delete`, `$setElementOrder/<list>`, `$deleteFromPrimitiveList/<list>`, `$retainKeys`. What a
list's merge key is comes from the type, through `Schema`. Upstream: apimachinery `pkg/util/strategicpatch/patch.go`; community
`contributors/devel/sig-api-machinery/strategic-merge-patch.md`.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList/"
SET_ORDER = "$setElementOrder/"
_NO_SCALAR = "what the items of a merged list are known by is neither a map nor a list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"


class BadDirective(ValueError):
    """A directive that says nothing known; upstream answers such with an error without a reason."""


class BadPatch(ValueError):
    """A patch of the wrong shape."""


class Merging(Struct, frozen=True):
    """How one field merges: `strategies` of the schema, and the key of a list of maps."""

    strategies: tuple[str, ...] = ()
    merge_key: str = ""

    @property
    def merges(self) -> bool:
        return "merge" in self.strategies

    @property
    def retains_keys(self) -> bool:
        return "retainKeys" in self.strategies


class Schema(Protocol):
    """What is known of the type at one place of the document."""

    @abstractmethod
    def field(self, name: str) -> Merging:
        """Return how a member merges."""

    @abstractmethod
    def member(self, name: str) -> "Schema":
        """Return the schema of a member, or of the items of a list member."""


def apply(tree: Any, patch: Any, schema: Schema) -> Any:
    """Return the tree with a patch merged into it.

    Raises:
        BadDirective, BadPatch.
    """
    return _merge_map(tree if isinstance(tree, dict) else {}, patch, schema)


def _merge_map(tree: dict[str, Any], patch: dict[str, Any], schema: Schema) -> dict[str, Any]:
    directive = patch.get(DIRECTIVE)
    if DIRECTIVE in patch:
        rest = {key: value for key, value in patch.items() if key != DIRECTIVE}
        if directive == "replace":
            replaced: dict[str, Any] = _stripped(rest)
            return replaced
        if directive == "delete":
            return {}
        raise BadDirective(_unknown(patch))
    out = _retained(tree, patch)
    orders = []
    for key, value in patch.items():
        if key.startswith("$") and (key == RETAIN_KEYS or key.startswith((DELETE_FROM, SET_ORDER))):
            if key.startswith(DELETE_FROM):
                _delete_primitives(out, key.removeprefix(DELETE_FROM), value)
            elif key != RETAIN_KEYS:
                orders.append(key.removeprefix(SET_ORDER))
        elif value is None:
            out.pop(key, None)
        elif isinstance(value, dict | list):
            out[key] = _merged(out.get(key), value, key, schema)
        else:
            out[key] = value
    for name in orders:
        _set_order(out, name, patch[SET_ORDER + name], patch, schema)
    return out


def _merged(old: Any, value: dict[str, Any] | list[Any], key: str, schema: Schema) -> Any:
    merging = schema.field(key)
    if isinstance(value, dict):
        if merging.strategies == ("replace",):
            return _stripped(value)
        if isinstance(old, dict):
            return _merge_map(old, value, schema.member(key))
        return _merge_map({}, value, schema.member(key))
    if merging.merges and isinstance(old, list):
        return _merge_list(old, value, merging, schema.member(key))
    return _new_list(value, merging, schema.member(key))


def _retained(tree: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    if RETAIN_KEYS not in patch:
        return dict(tree)
    kept = patch[RETAIN_KEYS]
    if not isinstance(kept, list):
        raise BadPatch(_BAD_RETAIN_KEYS)
    for key, value in patch.items():
        if key not in kept and value is not None and not key.startswith("$"):
            raise BadPatch(_BAD_RETAIN_KEYS)
    return {key: value for key, value in tree.items() if key in kept}


def _stripped(tree: Any) -> Any:
    """Take directives and nulls out of content that is put in as it is."""
    if isinstance(tree, dict):
        return {key: _stripped(value) for key, value in tree.items() if not key.startswith("$") and value is not None}
    if isinstance(tree, list):
        return [_stripped(item) for item in tree if not (isinstance(item, dict) and DIRECTIVE in item)]
    return tree


def _new_list(value: list[Any], merging: Merging, schema: Schema) -> list[Any]:
    if merging.merges and value and all(isinstance(item, dict) for item in value):
        return _merge_list([], value, merging, schema)
    return _stripped(value)  # type: ignore[no-any-return]


def _merge_list(old: list[Any], patch: list[Any], merging: Merging, schema: Schema) -> list[Any]:
    if any(isinstance(item, dict) for item in [*old, *patch]):
        return _merge_maps(old, patch, merging.merge_key, schema)
    if any(isinstance(item, list) for item in patch):
        raise BadPatch(_NO_SCALAR)
    merged = [*old, *(item for item in dict.fromkeys(patch) if item not in old)]
    return _normalized(merged, patch, old, lambda item: item)


def _merge_maps(old: list[Any], patch: list[Any], key: str, schema: Schema) -> list[Any]:
    if not key:
        raise BadPatch("cannot merge lists without merge key")
    if any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in patch):
        return [_stripped(item) for item in patch if DIRECTIVE not in item]
    out = list(old)
    for item in patch:
        if not isinstance(item, dict):
            raise BadPatch("the items of a merged list are maps")
        directive = item.get(DIRECTIVE)
        if directive == "merge":
            raise BadDirective("merging lists cannot yet be specified in the patch")
        # It may be anything, also what has no hash.
        if directive not in (None, "delete"):
            raise BadDirective(_unknown(item))
        if key not in item:
            raise BadDirective(f"map: {_go_map(item)} does not contain declared merge key: {key}")
        if isinstance(item[key], dict | list):
            raise BadPatch(_NO_SCALAR)
        at = _find(out, key, item[key])
        if directive == "delete":
            out = [entry for entry in out if not (isinstance(entry, dict) and entry.get(key) == item[key])]
        elif at is None:
            out.append(_merge_map({}, {k: v for k, v in item.items() if k != DIRECTIVE}, schema))
        else:
            out[at] = _merge_map(out[at], item, schema)
    sent = [item for item in patch if DIRECTIVE not in item]
    return _normalized(out, sent, old, lambda item: item.get(key) if isinstance(item, dict) else item)


def _normalized(merged: list[Any], patch: list[Any], old: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """Put merged items into upstream's order.

    What the patch names comes in the patch's order; what only the server has comes before the next of those only where it stood
    before it on the server, else behind.
    """
    wanted = [identity(item) for item in patch]
    place = {value: at for at, value in reversed(list(enumerate(wanted)))}
    server = {identity(item): at for at, item in reversed(list(enumerate(old)))}
    named = sorted((item for item in merged if identity(item) in place), key=lambda item: place[identity(item)])
    own = [item for item in merged if identity(item) not in place]
    out: list[Any] = []
    for item in named:
        at = server.get(identity(item))
        while own and at is not None and server.get(identity(own[0]), at) < at:
            out.append(own.pop(0))
        out.append(item)
    return out + own


def _unknown(patch: dict[str, Any]) -> str:
    return f"unknown patch type: {patch[DIRECTIVE]} in map: {_go_map(patch)}"


def _find(items: Sequence[Any], key: str, value: Any) -> int | None:
    return next((at for at, item in enumerate(items) if isinstance(item, dict) and item.get(key) == value), None)


def _delete_primitives(out: dict[str, Any], name: str, gone: Any) -> None:
    if not isinstance(gone, list):
        raise BadPatch("invalid patch format of primitive list")
    old = out.get(name)
    if isinstance(old, list):
        left = [item for item in old if item not in gone]
        if left:
            out[name] = left
        else:
            out.pop(name)


def _set_order(out: dict[str, Any], name: str, order: Any, patch: dict[str, Any], schema: Schema) -> None:
    """Put the items that the directive names into its order; what the server has beside keeps its place between them."""
    items = out.get(name)
    if not isinstance(items, list) or not isinstance(order, list):
        return
    key = schema.field(name).merge_key

    def identity(item: Any) -> Any:
        return item.get(key) if isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    for item in patch.get(name) or ():
        if isinstance(item, dict) and DIRECTIVE not in item and identity(item) not in wanted:
            raise BadPatch(f"the order in patch list:\n{patch.get(name)}\n doesn't match {SET_ORDER} list:\n{order}\n")
    position = {value: at for at, value in enumerate(wanted)}
    listed = sorted((item for item in items if identity(item) in position), key=lambda item: position[identity(item)])
    out[name] = _interleaved(items, listed, identity, position)


def _interleaved(items: list[Any], listed: list[Any], identity: Any, position: dict[Any, int]) -> list[Any]:
    """Merge the ordered items with the server's own, each of which stays before the listed item that it stood before."""
    before = {id(item): at for at, item in enumerate(items)}
    own = [item for item in items if identity(item) not in position]
    out: list[Any] = []
    for item in listed:
        while own and before[id(own[0])] < before[id(item)]:
            out.append(own.pop(0))
        out.append(item)
    return out + own


def _go_map(tree: Any) -> str:
    if isinstance(tree, dict):
        return "map[" + " ".join(f"{key}:{_go_map(tree[key])}" for key in sorted(tree)) + "]"
    if isinstance(tree, list):
        return "[" + " ".join(map(_go_map, tree)) + "]"
    if isinstance(tree, bool):
        return "true" if tree else "false"
    return "<nil>" if tree is None else str(tree)
