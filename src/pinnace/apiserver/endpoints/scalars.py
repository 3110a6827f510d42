"""Quantities, times and bytes of an object in the form in which they are stored.

What a client may write in many ways (`1000m`, `0.5Gi`, a time in another zone) is kept in one; what is none at all is refused here,
so that everything behind can rely on it. Amounts in maps are rounded up to thousandths, as upstream's ResourceLists are. The
plan for each type is worked out once.
"""

import base64
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from msgspec import Raw, Struct, inspect
from msgspec.structs import replace

from pinnace.api.codec import plain_type
from pinnace.api.core_v1 import PodSpec
from pinnace.api.scalars import NO_EXTENSION
from pinnace.machinery import quantity, timestamps
from pinnace.machinery.memo import Memo

T = TypeVar("T", bound=Struct)
Change = Callable[[Any], Any]

_TIME = "2006-01-02T15:04:05Z07:00"
_MICRO = "2006-01-02T15:04:05.000000Z07:00"
_ELEMENTS = ("2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05")


def canonical(obj: T) -> T:
    """Return the object with canonical scalars, the object itself when they all are.

    Raises:
        ValueError: one of them cannot be read, in the words of Go's decoder.
    """
    return _struct(obj)  # type: ignore[no-any-return]


def _struct(obj: Any) -> Any:
    return _POD_SPEC(obj) if type(obj) is PodSpec else _walked(obj)


def _walked(obj: Any) -> Any:
    changes = {}
    cls: type[Struct] = type(obj)
    for attribute, change in _plan(cls):
        value = getattr(obj, attribute)
        if value is None or value in ((), {}):
            continue
        after = change(value)
        if after is not value and after != value:
            changes[attribute] = after
    return replace(obj, **changes) if changes else obj


# Pods of one template share their spec (`api.sharing`).
_POD_SPEC: Memo[PodSpec, PodSpec] = Memo(_walked)


@cache
def _plan(cls: type[Struct]) -> tuple[tuple[str, Change], ...]:
    """Return the attributes that hold scalars at any depth, each with what is done to it."""
    node = inspect.type_info(cls)
    assert isinstance(node, inspect.StructType)
    found = ((item.name, _change(item.type, frozenset({cls}))) for item in node.fields)
    return tuple((name, change) for name, change in found if change is not None)


def _change(node: inspect.Type, above: frozenset[type]) -> Change | None:
    node, _, scalar = plain_type(node)
    if scalar:
        return _SCALARS.get(scalar)
    if isinstance(node, inspect.StructType):
        return _struct if node.cls in above or _has_scalars(node, above) else None
    if isinstance(node, inspect.DictType):
        return _map_change(node.value_type, above)
    if isinstance(node, inspect.VarTupleType):
        item = _change(node.item_type, above)
        return None if item is None else lambda values: _items(values, item)
    return None


def _has_scalars(node: inspect.StructType, above: frozenset[type]) -> bool:
    return any(_change(item.type, above | {node.cls}) is not None for item in node.fields)


def _map_change(node: inspect.Type, above: frozenset[type]) -> Change | None:
    if plain_type(node)[2] == "Quantity":
        return lambda values: {name: _quantity(value, milli=True) for name, value in values.items()}
    item = _change(node, above)
    return None if item is None else lambda values: {name: item(value) for name, value in values.items()}


def _items(values: tuple[Any, ...], item: Change) -> tuple[Any, ...]:
    result = tuple(item(value) for value in values)
    return values if all(new is old for new, old in zip(result, values, strict=True)) else result


def _quantity(text: str, *, milli: bool = False) -> str:
    return quantity.canonical_milli(text) if milli else quantity.canonical(text)


def _time(text: str) -> str:
    try:
        return timestamps.canonical(text)
    except ValueError:
        raise ValueError(_unparsable(text, _TIME)) from None


def _micro_time(text: str) -> str:
    fraction = text[19:26]
    if len(text) < 27 or fraction[:1] != "." or not fraction[1:].isdigit():
        raise ValueError(_unparsable(text, _MICRO, ".000000"))
    if text[26:27].isdigit():
        raise ValueError(f'parsing time "{text}" as "{_MICRO}": cannot parse "{text[26:]}" as "Z07:00"')
    try:
        if text[26:] == "Z" and fraction.isascii():
            # Of the seconds there are fewer than of their parts, so that they are known already.
            return f"{timestamps.canonical(f'{text[:19]}Z')[:-1]}{fraction}Z"
        return timestamps.format_micro(timestamps.parse(text))
    except ValueError:
        raise ValueError(_unparsable(text, _MICRO, ".000000")) from None


def _unparsable(text: str, layout: str, fraction: str = "") -> str:
    """Word Go's complaint about a time: which element of the layout the text fails at."""
    rest = text
    for element in _ELEMENTS:
        part = rest[: len(element)]
        good = part == element if not element.isdigit() else len(part) == len(element) and part.isdigit()
        if not good:
            return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{element}"'
        rest = rest[len(element) :]
    return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{fraction or "Z07:00"}"'


def _bytes(text: str) -> str:
    """Return base64 as Go writes it: without line breaks, unused bits zero."""
    try:
        return base64.b64encode(base64.b64decode(text.translate(_NO_BREAKS), validate=True)).decode()
    except ValueError:
        raise ValueError(f"illegal base64 data at input byte {_illegal_byte(text.encode())}") from None


def _illegal_byte(data: bytes) -> int:
    """Return where Go's decoder stops: at a foreign byte, misplaced padding, or the start of what is left over."""
    in_group = 0
    for at, byte in enumerate(data):
        if byte in b"\r\n":
            continue
        if byte in b"=":
            if in_group < 2:
                return at
            rest = data[at + 1 :].lstrip(b"\r\n")
            start = len(data) - len(rest)
            if in_group == 3:
                return start
            return len(data) if not rest else start if rest[:1] != b"=" else start + 1
        if byte not in _BASE64:
            return at
        in_group = (in_group + 1) % 4
    return len(data) - in_group


def _extension(value: Raw) -> Raw:
    return NO_EXTENSION if bytes(value).strip() == b"null" else value


_NO_BREAKS = str.maketrans("", "", "\r\n")
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_SCALARS: dict[str, Change] = {
    "Quantity": _quantity,
    "Time": _time,
    "MicroTime": _micro_time,
    "Bytes": _bytes,
    "RawExtension": _extension,
}
