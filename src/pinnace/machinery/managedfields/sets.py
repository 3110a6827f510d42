"""Sets of fields, in the form in which managedFields writes them (FieldsV1).

A set is a tree of plain dicts: a key is an element of a path (`f:name`, `k:{"name":"c"}`, `v:"x"`, `i:0`), its value the tree below it.
An empty tree says that the path itself is in the set, `.` says so where the tree has more below. The root stands for no
path: there, empty is the empty set. Invariant: trees are never changed once made, so they are shared freely, and an operation
that changes nothing returns the very tree it was given. Upstream: structured-merge-diff `fieldpath/{set,serialize}.go`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import DecodeError, json

from pinnace.machinery.codec.bounds import DEPTH_LIMIT

Tree: TypeAlias = Mapping[str, Any]

NOTHING: Tree = {}
# The path itself, and nothing below it.
ITSELF: Tree = {}
_SELF = "."
_PREFIXES = frozenset({"f:", "k:", "v:", "i:"})
_ENCODER = json.Encoder(order="deterministic")
# Sets kept as read, by their bytes; a pod has two to four, and pods of one template the same ones.
_KNOWN_LIMIT = 512
_KNOWN_BYTES = 8 * 1024
_known: dict[bytes, Tree] = {}


def encode(fields: Tree) -> bytes:
    """Return the JSON of a set."""
    return _ENCODER.encode(fields)


def decode(data: bytes) -> Tree:
    """Read a set.

    Raises:
        ValueError: it is none, or too deep.
    """
    known = _known.get(data)
    if known is not None:
        return known
    try:
        tree = json.decode(data) if data else {}
    except (DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    fields = _checked({} if tree is None else tree, 0)
    # Large sets are rare, and anybody can send them: remembering many would take more memory than reading takes time.
    if len(data) <= _KNOWN_BYTES:
        if len(_known) >= _KNOWN_LIMIT:
            del _known[next(iter(_known))]
        _known[data] = fields
    return fields


def _checked(tree: Any, depth: int) -> Tree:
    if not isinstance(tree, dict):
        raise ValueError(f"a set of fields holds {type(tree).__name__}")  # noqa: TRY004 - the text is wrong, not its type here
    if depth > DEPTH_LIMIT:
        raise ValueError("a set of fields is too deep")
    out: dict[str, Any] = {}
    for key, inner in tree.items():
        if key != _SELF and key[:2] not in _PREFIXES:
            raise ValueError(f"invalid path element {key}")
        out[key] = _checked(inner, depth + 1) if inner else ITSELF
    return ITSELF if depth and len(out) == 1 and _SELF in out else out


def with_itself(below: Tree | None) -> Tree:
    """Return the tree of a path that is in the set, with what is in it below."""
    return ITSELF if not below else below if _SELF in below else {_SELF: ITSELF, **below}


def below(fields: Tree) -> Tree:
    """Return what is under a path, without the path itself."""
    return {key: tree for key, tree in fields.items() if key != _SELF} if _SELF in fields else fields


def has_path(fields: Tree, path: Sequence[str]) -> bool:
    """Tell whether a path is in the set."""
    for element in path[:-1]:
        fields = fields.get(element, NOTHING)
    return has(fields, path[-1])


def has(fields: Tree, element: str) -> bool:
    """Tell whether the path that ends in this element is in the set."""
    tree = fields.get(element)
    return tree is not None and (not tree or _SELF in tree)


def union(first: Tree, second: Tree) -> Tree:
    """Return the paths of either set."""
    if not first or not second:
        return first or second
    return _union(first, second)


def _union(first: Tree, second: Tree) -> Tree:
    if first is second:
        return first
    if not first:
        return with_itself(second)
    if not second:
        return with_itself(first)
    out: dict[str, Any] | None = None
    for key, theirs in second.items():
        ours = first.get(key)
        if ours is None:
            merged = theirs
        elif key == _SELF or (merged := _union(ours, theirs)) is ours:
            continue
        if out is None:
            out = dict(first)
        out[key] = merged
    return first if out is None else out


def difference(first: Tree, second: Tree) -> Tree:
    """Return the paths of the first set that are not in the second; what is below a path counts for itself."""
    if not first or not second:
        return first
    rest = _difference(first, second)
    return NOTHING if rest is None else rest


def _difference(first: Tree, second: Tree) -> Tree | None:
    if not second:
        return first if first and _SELF not in first else below(first) or None
    if not first:
        return None if _SELF in second else first
    out: dict[str, Any] | None = None
    for key, theirs in second.items():
        ours = first.get(key)
        if ours is None:
            continue
        rest = None if key == _SELF else _difference(ours, theirs)
        if rest is ours:
            continue
        if out is None:
            out = dict(first)
        if rest is None:
            del out[key]
        else:
            out[key] = rest
    return first if out is None else _shortest(out)


def intersection(first: Tree, second: Tree) -> Tree:
    """Return the paths of both sets."""
    if not first or not second:
        return NOTHING
    return _intersection(first, second) or NOTHING


def _intersection(first: Tree, second: Tree) -> Tree | None:
    if not first:
        return ITSELF if not second or _SELF in second else None
    if not second:
        return ITSELF if _SELF in first else None
    out: dict[str, Any] = {}
    for key, theirs in second.items():
        ours = first.get(key)
        if ours is None:
            continue
        both = ITSELF if key == _SELF else _intersection(ours, theirs)
        if both is not None:
            out[key] = both
    return _shortest(out)


def _shortest(tree: dict[str, Any]) -> Tree | None:
    if not tree:
        return None
    return ITSELF if len(tree) == 1 and _SELF in tree else tree


def without_branches(fields: Tree, branches: Tree) -> Tree:
    """Return a set without the paths of another and everything below them."""
    if not fields or not branches:
        return fields
    return _without(fields, branches) or NOTHING


def _without(fields: Tree, branches: Tree) -> Tree | None:
    out: dict[str, Any] | None = None
    for key, branch in branches.items():
        ours = fields.get(key)
        if ours is None:
            continue
        rest = _without(ours, branch) if branch and _SELF not in branch and ours else None if not branch else ours
        if rest is ours:
            continue
        if out is None:
            out = dict(fields)
        if rest is None:
            del out[key]
        else:
            out[key] = rest
    return fields if out is None else _shortest(out)


def only_matching(fields: Tree, pattern: Tree) -> Tree:
    """Return the paths of a set on the way to a pattern's ends and everything below them; `*` in a pattern is any element."""
    if not pattern:
        return fields
    out: dict[str, Any] = {}
    for key, below_key in fields.items():
        if key == _SELF:
            out[key] = ITSELF
            continue
        wanted = pattern.get(key, pattern.get("*"))
        if wanted is None:
            continue
        if not below_key:
            out[key] = ITSELF
        elif rest := only_matching(below_key, wanted):
            out[key] = ITSELF if len(rest) == 1 and _SELF in rest else rest
    return out or NOTHING


def paths(fields: Tree, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every path: those that end here first, then deeper ones, each in order."""
    keys = sorted((key for key in fields if key != _SELF), key=_order)
    yield from ((*prefix, key) for key in keys if has(fields, key))
    for key in keys:
        yield from paths(fields[key], (*prefix, key))


def _order(element: str) -> tuple[int, tuple[tuple[int, Any], ...], str]:
    kind, text = element[:2], element[2:]
    if kind == "k:":
        return 1, tuple(_value_order(value) for _, value in sorted(json.decode(text).items())), ""
    if kind == "v:":
        return 2, (_value_order(json.decode(text)),), ""
    return (0, (), text) if kind == "f:" else (3, (), text.rjust(12))


def _value_order(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def path_text(path: tuple[str, ...]) -> str:
    """Return a path as messages show it: `.spec.containers[name="c"].image`."""
    return "".join(map(element_text, path))


def element_text(element: str) -> str:
    """Return one element as messages show it."""
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        pairs = sorted(json.decode(text).items())
        return "[" + ",".join(f"{name}={json.encode(value).decode()}" for name, value in pairs) + "]"
    return f"[={text}]" if kind == "v:" else f"[{text}]"
