"""JSON merge patch (RFC 7386): maps merge, null deletes, everything else is replaced."""

from typing import Any

from pinnace.machinery.codec import raw


def apply(tree: Any, patch: Any) -> Any:
    """Return the tree with a patch merged into it; what is raw in either is opened only where both go on."""
    opened = raw.opened(patch)
    if not isinstance(opened, dict):
        return patch
    tree = raw.opened(tree)
    out = dict(tree) if isinstance(tree, dict) else {}
    for key, value in opened.items():
        if raw.is_null(value):
            out.pop(key, None)
        else:
            out[key] = apply(out.get(key), value)
    return out


def create(old: Any, new: Any) -> dict[str, Any]:
    """Return the patch that makes `new` of `old`, both maps; empty when they are equal."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if before == value and key in old:
            continue
        patch[key] = create(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch
