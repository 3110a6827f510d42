"""Calls that are no calls: `has`, the loops over lists and maps, and names for values.

Upstream: cel-go parser/macro.go, cel/library.go (`optMap`), ext/bindings.go, ext/comprehensions.go.
"""

from collections.abc import Callable

from pinnace.apiserver.cel.issues import Issue
from pinnace.apiserver.cel.syntax import Bound, Ident, Loop, Node, Select

_SIMPLE = "argument must be a simple name"
_IDENTIFIER = "argument is not an identifier"
# Name and number of arguments → how many of them name variables, and the complaint about one that is no name.
_LOOPS = {
    ("all", 2): (1, _SIMPLE),
    ("exists", 2): (1, _SIMPLE),
    ("exists_one", 2): (1, _SIMPLE),
    ("existsOne", 2): (1, _SIMPLE),
    ("map", 2): (1, _IDENTIFIER),
    ("map", 3): (1, _IDENTIFIER),
    ("filter", 2): (1, _IDENTIFIER),
    ("all", 3): (2, _SIMPLE),
    ("exists", 3): (2, _SIMPLE),
    ("exists_one", 3): (2, _SIMPLE),
    ("existsOne", 3): (2, _SIMPLE),
    ("transformList", 3): (2, _SIMPLE),
    ("transformList", 4): (2, _SIMPLE),
    ("transformMap", 3): (2, _SIMPLE),
    ("transformMap", 4): (2, _SIMPLE),
    ("transformMapEntry", 3): (2, _SIMPLE),
    ("transformMapEntry", 4): (2, _SIMPLE),
}
_OPTIONALS = frozenset({"optMap", "optFlatMap"})
_BINDING = "cel.bind() variable names must be simple identifiers"


def expanded(
    offset: int, target: Node | None, function: str, arguments: tuple[Node, ...], *, issues: list[Issue], binds: bool
) -> Node | None:
    """Return what a call stands for if it is a macro, None otherwise; `binds` says whether `cel.bind` is one."""
    complain: Callable[[Node, str], None] = lambda node, text: issues.append(Issue(node.offset, text))  # noqa: E731
    if target is None:
        return _presence(offset, arguments[0], complain) if (function, len(arguments)) == ("has", 1) else None
    loop = _LOOPS.get((function, len(arguments)))
    if loop is not None:
        count, complaint = loop
        names = [_name(argument, complaint, complain) for argument in arguments[:count]]
        return Loop(offset, function, target, tuple(names), arguments[count:])
    if function in _OPTIONALS and len(arguments) == 2:
        name = _name(arguments[0], f"{function}() variable name must be a simple identifier", complain)
        return Bound(offset, function, name, target, arguments[1])
    if binds and function == "bind" and len(arguments) == 3 and isinstance(target, Ident) and target.name == "cel":
        return Bound(offset, "bind", _name(arguments[0], _BINDING, complain), arguments[1], arguments[2])
    return None


def _presence(offset: int, argument: Node, complain: Callable[[Node, str], None]) -> Node:
    if not isinstance(argument, Select):
        complain(argument, "invalid argument to has() macro")
        return argument
    return Select(offset, argument.operand, argument.field, only_test=True)


def _name(argument: Node, complaint: str, complain: Callable[[Node, str], None]) -> str:
    if isinstance(argument, Ident) and not argument.name.startswith("."):
        return argument.name
    complain(argument, complaint)
    return ""
