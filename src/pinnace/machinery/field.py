"""What is wrong with a field of an object, in upstream's words.

A `Path` names a field as clients see it (`spec.containers[0].ports[1].name`, `metadata.labels[app]`); a `FieldError` is one
complaint about one. Values stand in the text as Go prints them: strings quoted, numbers and booleans bare, anything with
members as JSON. Upstream: apimachinery `pkg/util/validation/field`.
"""

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from pinnace.machinery.codec import raw

# Items of a list whose paths are kept; longer lists are rare, and their paths are made anew.
_KEPT_ITEMS = 16


class Path:
    """A field's place in an object; immutable.

    A path keeps those it was extended to, since the same members are named in every check of an object: beneath a path that is
    a constant of its module, naming a member costs a look into a table. Keys of maps, which clients make up, are not kept.
    """

    __slots__ = ("_members", "_text")

    def __init__(self, *names: str) -> None:
        self._text = ".".join(names)
        self._members: dict[object, Path] = {}

    def child(self, *names: str) -> "Path":
        """Return the path of a member, or of a member's member."""
        known = self._members.get(names)
        if known is None:
            known = self._members[names] = Path(self._text, *names) if self._text else Path(*names)
        return known

    def index(self, position: int) -> "Path":
        """Return the path of a list's item."""
        known = self._members.get(position)
        if known is None:
            known = Path(f"{self._text}[{position}]")
            if position < _KEPT_ITEMS:
                self._members[position] = known
        return known

    def key(self, key: str) -> "Path":
        """Return the path of a map's entry."""
        return Path(f"{self._text}[{key}]")

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Path({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class ErrorType(Enum):
    """The kinds of complaint: the cause's reason on the wire, and how the text begins."""

    REQUIRED = ("FieldValueRequired", "Required value")
    INVALID = ("FieldValueInvalid", "Invalid value")
    TYPE_INVALID = ("FieldValueTypeInvalid", "Invalid value")
    NOT_SUPPORTED = ("FieldValueNotSupported", "Unsupported value")
    FORBIDDEN = ("FieldValueForbidden", "Forbidden")
    DUPLICATE = ("FieldValueDuplicate", "Duplicate value")
    NOT_FOUND = ("FieldValueNotFound", "Not found")
    TOO_LONG = ("FieldValueTooLong", "Too long")
    TOO_MANY = ("FieldValueTooMany", "Too many")
    INTERNAL = ("InternalError", "Internal error")


# The value of an error that is about a whole thing, and says nothing of its value.
OMITTED = object()
_VALUELESS = frozenset({ErrorType.REQUIRED, ErrorType.FORBIDDEN, ErrorType.TOO_LONG, ErrorType.INTERNAL})


class FieldError(Struct, frozen=True):
    """One complaint about one field."""

    type: ErrorType
    field: str
    value: Any = None
    detail: str = ""

    @property
    def reason(self) -> str:
        return self.type.value[0]

    def body(self) -> str:
        """Return the text without the field."""
        text = self.type.value[1]
        if self.type not in _VALUELESS and self.value is not OMITTED:
            text += f": {go_value(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.body()}"


def go_quoted(text: str) -> str:
    """Return a string literal as Go's %q writes it."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\x7f", "\\x7f")


def go_value(value: Any) -> str:
    """Return a value as upstream prints it in a complaint."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return go_quoted(value)
        case int() | float():
            return str(value)
        case msgspec.Raw():
            return raw.compact(bytes(value)).decode()
        case Mapping() | tuple() | list():
            return msgspec.json.encode(value).decode()
        case msgspec.Struct():
            # Fields in their order, the keys of maps sorted, as Go does it.
            return msgspec.json.encode(value, order="deterministic").decode()
    return str(value)


def required(path: Path, detail: str = "") -> FieldError:
    """Complain that a value is missing."""
    return FieldError(ErrorType.REQUIRED, str(path), detail=detail)


def invalid(path: Path, value: Any, detail: str) -> FieldError:
    """Complain that a value breaks a rule."""
    return FieldError(ErrorType.INVALID, str(path), value, detail)


def type_invalid(path: Path, value: Any, detail: str) -> FieldError:
    """Complain that a value has the wrong type."""
    return FieldError(ErrorType.TYPE_INVALID, str(path), value, detail)


def not_supported(path: Path, value: Any, supported: Iterable[str]) -> FieldError:
    """Complain that a value is none of those known; they are listed as given."""
    listed = ", ".join(go_quoted(item) for item in supported)
    return FieldError(ErrorType.NOT_SUPPORTED, str(path), value, f"supported values: {listed}" if listed else "")


def forbidden(path: Path, detail: str) -> FieldError:
    """Complain that a value may not be given here."""
    return FieldError(ErrorType.FORBIDDEN, str(path), detail=detail)


def duplicate(path: Path, value: Any) -> FieldError:
    """Complain that a value was there before."""
    return FieldError(ErrorType.DUPLICATE, str(path), value)


def not_found(path: Path, value: Any) -> FieldError:
    """Complain that what a value names does not exist."""
    return FieldError(ErrorType.NOT_FOUND, str(path), value)


def too_long(path: Path, value: Any, limit: int) -> FieldError:
    """Complain that a value has more bytes than `limit`."""
    return FieldError(ErrorType.TOO_LONG, str(path), value, f"may not be more than {limit} bytes")


def too_many(path: Path, actual: int, limit: int) -> FieldError:
    """Complain that there are more items than `limit`."""
    noun = "item" if limit == 1 else "items"
    return FieldError(ErrorType.TOO_MANY, str(path), actual, f"must have at most {limit} {noun}")


def internal(path: Path, detail: str) -> FieldError:
    """Report that a field could not be checked."""
    return FieldError(ErrorType.INTERNAL, str(path), detail=detail)
