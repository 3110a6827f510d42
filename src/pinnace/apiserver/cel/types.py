"""The types of CEL, and how complaints write them (cel-go common/types/types.go, checker/format.go)."""

from enum import Enum

from msgspec import Struct


class Sort(Enum):
    """What a type is, as far as assigning looks at it."""

    SIMPLE = "simple"
    DYN = "dyn"
    ERROR = "error"
    NULL = "null"
    PARAMETER = "parameter"
    LIST = "list"
    MAP = "map"
    TYPE = "type"
    OBJECT = "object"
    OPAQUE = "opaque"


class Type(Struct, frozen=True):
    """A type; `parameters` are those of a list, map, type or optional."""

    sort: Sort
    name: str
    parameters: "tuple[Type, ...]" = ()

    def __str__(self) -> str:
        """Write the type as cel-go's `Type.String` does."""
        return self._written(_RUNTIME_NAMES)

    def described(self) -> str:
        """Write the type as the checker's complaints do."""
        return self._written(_CHECKER_NAMES)

    def _written(self, names: dict[str, str]) -> str:
        own = names.get(self.name, self.name)
        if not self.parameters:
            return own
        return f"{own}({', '.join(one._written(names) for one in self.parameters)})"  # noqa: SLF001


_RUNTIME_NAMES = {
    "null": "null_type",
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
}
_CHECKER_NAMES = {"error": "!error!"}

BOOL = Type(Sort.SIMPLE, "bool")
INT = Type(Sort.SIMPLE, "int")
UINT = Type(Sort.SIMPLE, "uint")
DOUBLE = Type(Sort.SIMPLE, "double")
STRING = Type(Sort.SIMPLE, "string")
BYTES = Type(Sort.SIMPLE, "bytes")
TIMESTAMP = Type(Sort.SIMPLE, "timestamp")
DURATION = Type(Sort.SIMPLE, "duration")
NULL = Type(Sort.NULL, "null")
DYN = Type(Sort.DYN, "dyn")
# A value of unknown type, which checks like `dyn` and is written apart.
ANY = Type(Sort.DYN, "any")
ERROR = Type(Sort.ERROR, "error")

OPTIONAL = "optional_type"
# Types that null is a value of, beside null, objects and opaque ones.
NULLABLE = frozenset({TIMESTAMP, DURATION})


def list_of(item: Type) -> Type:
    """Return the type of a list."""
    return Type(Sort.LIST, "list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of a map."""
    return Type(Sort.MAP, "map", (key, value))


def type_of(one: Type) -> Type:
    """Return the type of a type."""
    return Type(Sort.TYPE, "type", (one,))


def optional_of(value: Type) -> Type:
    """Return the type of a value that may be missing."""
    return Type(Sort.OPAQUE, OPTIONAL, (value,))


def object_type(name: str) -> Type:
    """Return the type of a message."""
    return Type(Sort.OBJECT, name)


def opaque(name: str) -> Type:
    """Return a type of which only functions know the inside."""
    return Type(Sort.OPAQUE, name)


def parameter(name: str) -> Type:
    """Return a type that a call settles."""
    return Type(Sort.PARAMETER, name)


def is_loose(one: Type) -> bool:
    """Say whether anything may be assigned to and from a type: it is open, or was complained about."""
    return one.sort in (Sort.DYN, Sort.ERROR)
