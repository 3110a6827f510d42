"""JSON that an object carries without knowing what it means (Go's RawExtension): kept as it came, spelling and order of keys included.

Upstream stores the very bytes, and shows them without the blanks. What takes it apart (patches) opens it level by level, so that all it does
not touch stays as it was written; what passes it through a plain tree (YAML, strategic patches, applies) leaves it in canonical form.
Upstream: apimachinery `pkg/runtime/extension.go`, Go's `encoding/json`.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw

_BLANKS = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', re.DOTALL)
# Numbers from and to which Go's encoder writes floats without an exponent.
_LEAST_PLAIN, _MOST_PLAIN = 1e-6, 1e21


def compact(data: bytes) -> bytes:
    """Return a JSON text without blanks between its parts; `data` itself when it has none."""
    return _BLANKS.sub(rb"\1", data)


def opened(value: Any) -> Any:
    """Return a value of which the outermost level can be looked into; what is inside stays raw."""
    if not isinstance(value, Raw):
        return value
    first = bytes(value).lstrip()[:1]
    inner: Any = dict[str, Raw] if first == b"{" else list[Raw] if first == b"[" else Any
    return msgspec.json.decode(value, type=inner)


def is_null(value: Any) -> bool:
    """Tell whether a value is null."""
    return value is None or (isinstance(value, Raw) and bytes(value).strip() == b"null")


def whole(value: Any) -> Any:
    """Return the plain tree of a value."""
    if isinstance(value, Raw):
        return msgspec.json.decode(value)
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value


def canonical(tree: Any) -> bytes:
    """Return a plain tree as Go writes it: compact, keys sorted, numbers in Go's spelling."""
    return msgspec.json.encode(_spelled(tree), order="deterministic")


def _spelled(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _spelled(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_spelled(value) for value in tree]
    return Raw(_go_float(tree)) if isinstance(tree, float) else tree


def _go_float(value: float) -> bytes:
    """Return the shortest spelling that reads back as the number, with an exponent only where Go has one."""
    if value == 0:
        return b"-0" if str(value).startswith("-") else b"0"
    if _LEAST_PLAIN <= abs(value) < _MOST_PLAIN:
        return _plain(repr(value)).encode()
    digits, _, exponent = repr(value).partition("e")
    return f"{digits.removesuffix('.0')}e{exponent[0]}{exponent[1:].lstrip('0')}".encode()


def _plain(text: str) -> str:
    """Write a number out without an exponent."""
    digits, _, exponent = text.partition("e")
    if not exponent:
        return digits.removesuffix(".0")
    sign = "-" if digits.startswith("-") else ""
    before, _, after = digits.lstrip("-").partition(".")
    shift = int(exponent)
    if shift < 0:
        return f"{sign}0.{'0' * (-shift - 1)}{before}{after}"
    return f"{sign}{before}{after.ljust(shift, '0')}"
