"""The tree of an expression: what was written, with macros recognized and nothing else decided.

`offset` is the place that complaints about a node point at: an operator, a dot, an opening bracket, or the first character of
a name or literal. Upstream: cel-go common/ast.
"""

from msgspec import Struct

from pinnace.apiserver.cel.types import Type


class Literal(Struct, frozen=True):
    """A value written out."""

    offset: int
    value: bool | int | float | str | bytes | None
    type: Type


class Ident(Struct, frozen=True):
    """A name; one that begins with a dot is looked for at the root only."""

    offset: int
    name: str


class Select(Struct, frozen=True):
    """A member of a value; `only_test` asks whether it is there, `optional` (`.?`) lets it be missing."""

    offset: int
    operand: "Node"
    field: str
    only_test: bool = False
    optional: bool = False


class Call(Struct, frozen=True):
    """A function or operator, on a receiver if it has one."""

    offset: int
    function: str
    target: "Node | None"
    arguments: "tuple[Node, ...]"


class Item(Struct, frozen=True):
    """An item of a list, or a value of a map or message under its key; `optional` (`?`) leaves out what has no value."""

    offset: int
    value: "Node"
    key: "Node | str | None" = None
    optional: bool = False


class ListOf(Struct, frozen=True):
    """A list written out."""

    offset: int
    items: tuple[Item, ...]


class MapOf(Struct, frozen=True):
    """A map written out."""

    offset: int
    items: tuple[Item, ...]


class Message(Struct, frozen=True):
    """A value of a named type written out; keys are names of fields."""

    offset: int
    name: str
    items: tuple[Item, ...]


class Loop(Struct, frozen=True):
    """A macro that runs over a list or map, such as `all`, with its variables."""

    offset: int
    macro: str
    over: "Node"
    variables: tuple[str, ...]
    arguments: "tuple[Node, ...]"


class Bound(Struct, frozen=True):
    """A name for a value within an expression: `cel.bind`, `optMap` and `optFlatMap` (which bind what an optional holds)."""

    offset: int
    macro: str
    name: str
    value: "Node"
    result: "Node"


Node = Literal | Ident | Select | Call | ListOf | MapOf | Message | Loop | Bound


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right beneath a node."""
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return node.arguments if node.target is None else (node.target, *node.arguments)
        case ListOf() | MapOf() | Message():
            keys = tuple(item.key for item in node.items if item.key is not None and not isinstance(item.key, str))
            return (*keys, *(item.value for item in node.items))
        case Loop():
            return (node.over, *node.arguments)
        case Bound():
            return (node.value, node.result)
        case _:
            return ()
