"""How deep and how wide a document may be: the same for every format, and far below what would hurt.

Upstream's readers stop at 10,000 levels and count nothing; no object of the API comes near these lower bounds. Invariant: what passes can be
walked recursively, whatever has been called before, and a few megabytes of brackets do not become a gigabyte of objects.
"""

from typing import Any

DEPTH_LIMIT = 200
# Maps and lists together. The largest definitions of custom resources have some tens of thousands.
WIDTH_LIMIT = 100_000
TOO_DEEP, TOO_WIDE = "exceeded max depth", "exceeded max number of maps and lists"
_BRACKETS = b"{}[]"
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
# How often each bracket is looked at before it is left to a parser, so that brackets that never pair cost little.
_LOOKS = 16


class OutOfBounds(ValueError):
    """A document is deeper or wider than it may be."""


def is_within(data: bytes) -> bool:
    """Tell from the bytes of a JSON text that it keeps the bounds; False means that it cannot be told this way.

    Innermost pairs of brackets are taken out until none is left; brackets inside of strings may be in the way.
    """
    brackets = data.translate(None, _NO_BRACKETS)
    if len(brackets) <= DEPTH_LIMIT:
        return True
    if len(brackets) > 2 * WIDTH_LIMIT:
        return False
    left = _LOOKS * len(brackets) + DEPTH_LIMIT**2
    for _ in range(DEPTH_LIMIT):
        left -= len(brackets)
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
        if left < 0:
            break
    return False


def check(tree: Any) -> None:
    """Walk a plain tree as far as it may go.

    Raises:
        OutOfBounds: it goes further.
    """
    if isinstance(tree, dict | list) and _count(tree, DEPTH_LIMIT) > WIDTH_LIMIT:
        raise OutOfBounds(TOO_WIDE)


def _count(tree: dict[str, Any] | list[Any], left: int) -> int:
    if not left:
        raise OutOfBounds(TOO_DEEP)
    count = 1
    for value in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(value, dict | list):
            count += _count(value, left - 1)
    return count
