"""What an expression may name: functions with their overloads, variables, and the fields of objects.

Declarations are written as text, `list(A).indexOf(A): int`, with what comes before the dot as the receiver (the dot in the name of a
function, as in `sets.contains`, is written as a colon); single capital letters are type parameters. They are read once, when the first expression is compiled. Upstream: cel-go common/decls, checker/env.go.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from pinnace.apiserver.cel.types import (
    ANY,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    Type,
    list_of,
    map_of,
    opaque,
    optional_of,
    parameter,
    type_of,
)

_SIMPLE = {one.name: one for one in (ANY, BOOL, BYTES, DOUBLE, DURATION, DYN, INT, NULL, STRING, TIMESTAMP, UINT)}
_WORD = re.compile(r"[A-Za-z_.0-9]+")


class Overload(Struct, frozen=True):
    """One way to call a function; `arguments` begin with the receiver if it is a method."""

    arguments: tuple[Type, ...]
    result: Type
    is_method: bool
    parameters: frozenset[Type]


Functions = Mapping[str, tuple[Overload, ...]]


class Environment(Struct, frozen=True):
    """What expressions of one field of the API may name.

    Attributes:
        functions: overloads by name.
        variables: types by name, which may have dots.
        fields: by the name of an object's type, the types of its fields.
        open_objects: types of objects that have every field, and messages below them (`Object.spec`).
        binds: whether `cel.bind` may be used.
    """

    functions: Functions
    variables: Mapping[str, Type]
    fields: Mapping[str, Mapping[str, Type]] = field(default_factory=dict)
    open_objects: frozenset[str] = frozenset()
    binds: bool = False


def functions_of(declarations: Iterable[str], types: Mapping[str, str]) -> dict[str, tuple[Overload, ...]]:
    """Read declarations; `types` maps words they use to the full names of opaque types."""
    found: dict[str, tuple[Overload, ...]] = {}
    for text in declarations:
        name, overload = _overload(text, types)
        found[name] = (*found.get(name, ()), overload)
    return found


def merged(*parts: Functions) -> Functions:
    """Return the functions of several libraries together; overloads of one name add up."""
    found: dict[str, tuple[Overload, ...]] = {}
    for part in parts:
        for name, overloads in part.items():
            found[name] = (*found.get(name, ()), *overloads)
    return found


def _overload(text: str, types: Mapping[str, str]) -> tuple[str, Overload]:
    name, is_method, arguments, result = _split(text)
    taken = tuple(type_from(one, types) for one in arguments)
    given = type_from(result, types)
    return name, Overload(taken, given, is_method, frozenset(_parameters((*taken, given))))


def _split(text: str) -> tuple[str, bool, list[str], str]:
    """Return a declaration's name, whether it is a method, its arguments with the receiver, and its result."""
    head, _, result = text.rpartition("): ")
    start = _opening(head)
    called, arguments = head[:start], _parts(head[start + 1 :])
    receiver, dot, name = called.rpartition(".")
    if not dot:
        return called.replace(":", ".", 1) if called[:1].isalpha() else called, False, arguments, result
    return name, True, [receiver, *arguments], result


def _opening(text: str) -> int:
    """Return the place of the bracket that the text's end would close."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[at], 0)
        if depth < 0:
            return at
    raise ValueError(text)


def _parts(text: str) -> list[str]:
    """Split at commas that stand outside of brackets."""
    found, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def type_from(text: str, types: Mapping[str, str]) -> Type:
    """Read a type as declarations write it."""
    match = _WORD.match(text)
    word = match[0] if match else text
    inside = [type_from(part, types) for part in _parts(text[len(word) + 1 : -1])]
    if word == "list":
        return list_of(*inside)
    if word == "map":
        return map_of(*inside)
    if word == "type":
        return type_of(*inside)
    if word == "optional":
        return optional_of(*inside)
    if len(word) == 1:
        return parameter(word)
    return _SIMPLE.get(word) or opaque(types[word])


def _parameters(types: Iterable[Type]) -> Iterator[Type]:
    for one in types:
        if len(one.name) == 1:
            yield one
        yield from _parameters(one.parameters)
