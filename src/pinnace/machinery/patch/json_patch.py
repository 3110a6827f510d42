"""JSON patch (RFC 6902) with upstream's leniency: `replace` of a map key that is not there adds it.

Upstream: github.com/evanphx/json-patch as the API server configures it, so indexes may be negative and count from the end. What
copies add is bounded, so that a short patch cannot make a large object.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pinnace.machinery.codec import raw

COPIED_LIMIT_BYTES = 3 * 1024 * 1024


class JsonPatchError(ValueError):
    """An operation that cannot be read, does not fit the document, or whose test fails."""


def apply(tree: Any, operations: Sequence[Any]) -> Any:
    """Return the document after all operations; what is raw in it is opened only on the way to their places.

    Raises:
        JsonPatchError: one of them failed; none has happened.
    """
    copied = 0
    for operation in operations:
        operation = raw.opened(operation)
        if not isinstance(operation, dict):
            raise JsonPatchError("an operation is an object")
        kind, path = raw.whole(operation.get("op")), _pointer(operation.get("path"))
        match kind:
            case "add":
                tree = _add(tree, path, _value(operation))
            case "replace":
                tree = _replace(tree, path, _value(operation))
            case "remove":
                tree = _remove(tree, path)
            case "test":
                if not _equal(_get(tree, path, missing=None), operation.get("value")):
                    raise JsonPatchError(f"testing value {'/'.join(path)} failed")
            case "move":
                source = _pointer(operation.get("from"))
                value = _get(tree, source)
                tree = _add(_remove(tree, source), path, value)
            case "copy":
                value = _get(tree, _pointer(operation.get("from")))
                try:
                    copied += len(msgspec.json.encode(value))
                except RecursionError as error:
                    raise JsonPatchError("the patch copies what it has copied too often") from error
                if copied > COPIED_LIMIT_BYTES:
                    raise JsonPatchError("the patch copies too much")
                tree = _add(tree, path, value)
            case _:
                raise JsonPatchError(f"unexpected kind: {kind}")
    return tree


_MISSING = object()


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise JsonPatchError("an operation without a value")
    return operation["value"]


def _pointer(text: Any) -> list[str]:
    text = raw.whole(text)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise JsonPatchError("a path is a text that begins with a slash")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


_INDEX = re.compile(r"[+-]?[0-9]{1,9}")


def _index(part: str, length: int) -> int:
    if _INDEX.fullmatch(part) is None:
        raise JsonPatchError(f"invalid index {part}")
    if not -length <= int(part) < length:
        raise JsonPatchError(f"index {part} is out of bounds")
    return int(part) % length


def _get(tree: Any, path: Sequence[str], *, missing: Any = _MISSING) -> Any:
    for part in path:
        tree = raw.opened(tree)
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list):
            tree = tree[_index(part, len(tree))]
        elif missing is not _MISSING and isinstance(tree, dict):
            return missing
        else:
            raise JsonPatchError(f"missing path: {'/'.join(path)}")
    return tree


def _add(tree: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    first, rest, tree = path[0], path[1:], raw.opened(tree)
    if isinstance(tree, dict):
        if rest and first not in tree:
            raise JsonPatchError(f"missing path: {first}")
        return {**tree, first: _add(tree[first], rest, value) if rest else value}
    if isinstance(tree, list):
        if rest:
            at = _index(first, len(tree))
            return [*tree[:at], _add(tree[at], rest, value), *tree[at + 1 :]]
        at = len(tree) if first == "-" else _index(first, len(tree) + 1)
        return [*tree[:at], value, *tree[at:]]
    raise JsonPatchError(f"missing path: {first}")


def _replace(tree: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent = raw.opened(_get(tree, path[:-1]))
    if isinstance(parent, dict):
        return _add(tree, path, value)
    if isinstance(parent, list):
        at = str(_index(path[-1], len(parent)))
        return _add(_remove(tree, [*path[:-1], at]), [*path[:-1], at], value)
    raise JsonPatchError(f"missing path: {'/'.join(path)}")


def _remove(tree: Any, path: Sequence[str]) -> Any:
    if not path:
        raise JsonPatchError("the whole document cannot be removed")
    first, rest, tree = path[0], path[1:], raw.opened(tree)
    if isinstance(tree, dict) and first in tree:
        if rest:
            return {**tree, first: _remove(tree[first], rest)}
        return {key: value for key, value in tree.items() if key != first}
    if isinstance(tree, list):
        at = _index(first, len(tree))
        return [*tree[:at], *([_remove(tree[at], rest)] if rest else []), *tree[at + 1 :]]
    raise JsonPatchError(f"missing path: {first}")


def _equal(left: Any, right: Any) -> bool:
    """Compare as JSON: true is no 1, whatever Python says."""
    left, right = raw.opened(left), raw.opened(right)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)
