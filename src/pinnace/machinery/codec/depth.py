"""How deep a document may be nested: one limit for every format, far below where recursive code would fail.

Upstream's readers stop at 10,000; no object of the API comes near this lower bound, and whatever walks a tree (conversion, validation,
encoding) may rely on it. Invariant: what passes can be walked recursively, whatever has been called before.
"""

from typing import Any

DEPTH_LIMIT = 200
TOO_DEEP = "exceeded max depth"
_BRACKETS = b"{}[]"
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
# How often each bracket is looked at before it is left to a parser, so that brackets that never pair cost little.
_LOOKS = 16


class TooDeep(ValueError):
    """A document is nested deeper than the limit."""

    def __init__(self) -> None:
        super().__init__(TOO_DEEP)


def is_shallow(data: bytes) -> bool:
    """Tell from the bytes of a JSON text that it is not too deep; False means that it cannot be told this way.

    Innermost pairs of brackets are taken out until none is left; brackets inside of strings may be in the way.
    """
    brackets = data.translate(None, _NO_BRACKETS)
    if len(brackets) <= DEPTH_LIMIT:
        return True
    left = _LOOKS * len(brackets) + DEPTH_LIMIT**2
    for _ in range(DEPTH_LIMIT):
        left -= len(brackets)
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
        if left < 0:
            break
    return False


def check_depth(tree: Any, left: int = DEPTH_LIMIT) -> None:
    """Walk a plain tree as deep as it may be.

    Raises:
        TooDeep: it goes deeper.
    """
    if left < 0:
        raise TooDeep
    if isinstance(tree, dict):
        for value in tree.values():
            if isinstance(value, dict | list):
                check_depth(value, left - 1)
    elif isinstance(tree, list):
        for value in tree:
            if isinstance(value, dict | list):
                check_depth(value, left - 1)
