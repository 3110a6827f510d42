"""Whether an expression makes sense where it stands, and the type of its value (cel-go checker/checker.go).

What is wrong is complained about once: its type fits everywhere, so that what is built upon it is looked at on its own.
"""

from collections.abc import Callable, Mapping, Sequence

import re2

from pinnace.apiserver.cel.assignment import Bindings
from pinnace.apiserver.cel.declarations import Environment, Overload
from pinnace.apiserver.cel.issues import CompilationError, Issue
from pinnace.apiserver.cel.syntax import Bound, Call, Ident, ListOf, Literal, Loop, MapOf, Message, Node, Select
from pinnace.apiserver.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    ERROR,
    INT,
    NULL,
    OPTIONAL,
    STRING,
    TIMESTAMP,
    UINT,
    Sort,
    Type,
    is_loose,
    list_of,
    map_of,
    object_type,
    optional_of,
    type_of,
)

# Types by the names that expressions have for them.
_NAMED = {
    **{one.name: one for one in (BOOL, BYTES, DOUBLE, INT, STRING, UINT)},
    **{str(one): one for one in (DURATION, NULL, TIMESTAMP)},
    "list": list_of(DYN),
    "map": map_of(DYN, DYN),
    "type": type_of(DYN),
    OPTIONAL: optional_of(DYN),
}
_Scope = Mapping[str, Type]
_QUIET = re2.Options()
_QUIET.log_errors = False


def check(source: str, tree: Node, environment: Environment) -> Type:
    """Return the type of an expression's value.

    Raises:
        CompilationError: it names what is not there, or puts values where they do not fit.
    """
    checker = _Checker(environment)
    found = checker.type_of(tree, {})
    if checker.issues:
        raise CompilationError(source, checker.issues)
    return checker.bindings.settled(found, finally_dyn=True)


class _Checker:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.bindings = Bindings()
        self.issues: list[Issue] = []
        self._rules: dict[type, Callable[..., Type]] = {
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            ListOf: self._list,
            MapOf: self._map,
            Message: self._message,
            Loop: self._loop,
            Bound: self._bound,
        }

    def type_of(self, node: Node, scope: _Scope) -> Type:
        """Return a node's type; `scope` holds the names that macros around it made."""
        if isinstance(node, Literal):
            return node.type
        return self._rules[type(node)](node, scope)

    def _complain(self, offset: int, text: str) -> Type:
        self.issues.append(Issue(offset, text))
        return ERROR

    def _undeclared(self, offset: int, name: str) -> Type:
        return self._complain(offset, f"undeclared reference to '{name}' (in container '')")

    def _known(self, name: str, scope: _Scope) -> Type | None:
        if name in scope:
            return scope[name]
        name = name.removeprefix(".")
        variable = self._environment.variables.get(name)
        if variable is not None:
            return variable
        return type_of(_NAMED[name]) if name in _NAMED else None

    def _ident(self, node: Ident, scope: _Scope) -> Type:
        return self._known(node.name, scope) or self._undeclared(node.offset, node.name.removeprefix("."))

    def _select(self, node: Select, scope: _Scope) -> Type:
        name = _qualified(node)
        if name is not None and not node.only_test and name.split(".")[0] not in scope:
            known = self._known(name, scope)
            if known is not None:
                return known
        target = self.bindings.settled(self.type_of(node.operand, scope))
        is_optional = node.optional or target.name == OPTIONAL
        if target.name == OPTIONAL:
            target = self.bindings.settled(target.parameters[0])
        found = self._field(node, target)
        if node.only_test:
            return BOOL
        return optional_of(found) if is_optional and found.name != OPTIONAL else found

    def _field(self, node: Select, target: Type) -> Type:
        """Return the type of a member of a value."""
        if target.sort is Sort.PARAMETER:
            self.bindings.assign((target,), (DYN,))
            return DYN
        if is_loose(target):
            return DYN
        if target.sort is Sort.MAP:
            return target.parameters[1]
        if target.sort is Sort.OBJECT:
            found = self._object_field(target.name, node.field)
            return found or self._complain(node.offset, f"undefined field '{node.field}'")
        return self._complain(node.offset, f"type '{self._written(target)}' does not support field selection")

    def _object_field(self, name: str, member: str) -> Type | None:
        if self._is_open(name):
            return DYN
        return self._environment.fields.get(name, {}).get(member)

    def _is_open(self, name: str) -> bool:
        return name.partition(".")[0] in self._environment.open_objects

    def _written(self, one: Type) -> str:
        return self.bindings.settled(one, finally_dyn=True).described()

    def _call(self, node: Call, scope: _Scope) -> Type:
        arguments = [self._argument(node, argument, scope) for argument in node.arguments]
        self._check_literals(node)
        functions = self._environment.functions
        if node.target is None:
            name = node.function.removeprefix(".")
            if name not in functions:
                return self._undeclared(node.offset, name)
            return self._resolved(node, name, arguments, is_method=False)
        qualifier = _qualified(node.target)
        if qualifier is not None and f"{qualifier}.{node.function}" in functions:
            return self._resolved(node, f"{qualifier}.{node.function}", arguments, is_method=False)
        target = self.type_of(node.target, scope)
        if node.function not in functions:
            return self._undeclared(node.offset, node.function)
        return self._resolved(node, node.function, [target, *arguments], is_method=True)

    def _argument(self, call: Call, node: Node, scope: _Scope) -> Type:
        if call.function != "format" or not isinstance(node, ListOf):
            return self.type_of(node, scope)
        # What is put into a text may be of many types.
        for one in node.items:
            self.type_of(one.value, scope)
        return list_of(DYN)

    def _resolved(self, node: Node, name: str, arguments: Sequence[Type], *, is_method: bool) -> Type:
        """Return the result of the overloads that fit: theirs if they agree, else anything."""
        found: Type | None = None
        for overload in self._environment.functions[name]:
            if overload.is_method is not is_method:
                continue
            result = self._tried(overload, arguments)
            if result is None:
                continue
            if found is not None and found != result:
                return DYN
            found = result
        if found is not None:
            return found
        given = [self._written(one) for one in arguments]
        applied = f"{given[0]}.({', '.join(given[1:])})" if is_method else f"({', '.join(given)})"
        return self._complain(node.offset, f"found no matching overload for '{name}' applied to '{applied}'")

    def _tried(self, overload: Overload, arguments: Sequence[Type]) -> Type | None:
        fresh = {one: self.bindings.new_parameter() for one in sorted(overload.parameters, key=lambda one: one.name)}
        if not self.bindings.assign([_with(one, fresh) for one in overload.arguments], arguments):
            return None
        return self.bindings.settled(_with(overload.result, fresh))

    def _list(self, node: ListOf, scope: _Scope) -> Type:
        item: Type | None = None
        for one in node.items:
            item = self._joined(one.value, item, self._item(one.value, self.type_of(one.value, scope), one.optional))
        return list_of(item or self.bindings.new_parameter())

    def _map(self, node: MapOf, scope: _Scope) -> Type:
        key: Type | None = None
        value: Type | None = None
        for one in node.items:
            if one.key is None or isinstance(one.key, str):
                continue
            key = self._joined(one.key, key, self.type_of(one.key, scope))
            given = self._item(one.value, self.type_of(one.value, scope), one.optional)
            value = self._joined(one.value, value, given)
        if key is None or value is None:
            return map_of(self.bindings.new_parameter(), self.bindings.new_parameter())
        return map_of(key, value)

    def _item(self, node: Node, given: Type, optional: bool) -> Type:  # noqa: FBT001 - the mark of the item itself
        """Return what an item brings in: of an optional one, what is inside."""
        given = self.bindings.settled(given)
        if not optional or is_loose(given):
            return given
        if given.name == OPTIONAL:
            return given.parameters[0]
        wanted = optional_of(given).described()
        return self._complain(node.offset, f"expected type '{wanted}' but found '{self._written(given)}'")

    def _joined(self, node: Node, before: Type | None, given: Type) -> Type:
        """Return the type of items so far and one more, all of which must be alike."""
        if before is None:
            return given
        if self.bindings.assign((before,), (given,)):
            return self.bindings.joined(before, given)
        expected = self._written(before)
        return self._complain(node.offset, f"expected type '{expected}' but found '{self._written(given)}'")

    def _message(self, node: Message, scope: _Scope) -> Type:
        name = node.name.removeprefix(".")
        is_known = self._is_open(name) or name in self._environment.fields
        kind = object_type(name) if is_known else self._not_a_message(node, name, scope)
        for one in node.items:
            given = self.type_of(one.value, scope)
            if kind.sort is not Sort.OBJECT or not isinstance(one.key, str):
                continue
            given = self._item(one.value, given, one.optional)
            wanted = self._object_field(name, one.key)
            if wanted is None:
                self._complain(one.offset, f"undefined field '{one.key}'")
            elif not self.bindings.assign((wanted,), (given,)):
                text = f"expected type of field '{one.key}' is '{wanted.described()}'"
                self._complain(one.offset, f"{text} but provided type is '{self._written(given)}'")
        return kind

    def _not_a_message(self, node: Message, name: str, scope: _Scope) -> Type:
        known = self._known(node.name, scope)
        if known is None:
            return self._undeclared(node.offset, name)
        if known.sort is not Sort.TYPE:
            return self._complain(node.offset, f"'{known.described()}' is not a type")
        return self._complain(node.offset, f"'{known.parameters[0].name}' is not a message type")

    def _loop(self, node: Loop, scope: _Scope) -> Type:
        over = self.bindings.settled(self.type_of(node.over, scope))
        inside = dict(scope)
        inside.update(zip(node.variables, self._variables(node, over), strict=True))
        given = [self.type_of(argument, inside) for argument in node.arguments]
        match node.macro:
            case "all":
                return self._operated(node, "_&&_", (BOOL, given[0]))
            case "exists":
                return self._operated(node, "_||_", (BOOL, given[0]))
            case "exists_one" | "existsOne":
                self._operated(node, "_?_:_", (given[0], INT, INT))
                return BOOL
            case "filter":
                kept = list_of(inside[node.variables[0]])
                return self._operated(node, "_?_:_", (given[0], kept, kept))
        return self._transformed(node, inside, given)

    def _transformed(self, node: Loop, inside: _Scope, given: Sequence[Type]) -> Type:
        """Return the type of a list or map that a loop makes, from all or those that a condition keeps."""
        made = given[-1]
        if node.macro == "transformMapEntry":
            result = made
        elif node.macro == "transformMap":
            result = map_of(inside[node.variables[0]], made)
        else:
            result = list_of(made)
        return self._operated(node, "_?_:_", (given[0], result, result)) if len(given) > 1 else result

    def _variables(self, node: Loop, over: Type) -> tuple[Type, ...]:
        """Return the types of a loop's variables: item or key, or both index and item, key and value."""
        count = len(node.variables)
        if over.sort is Sort.LIST:
            return over.parameters if count == 1 else (INT, over.parameters[0])
        if over.sort is Sort.MAP:
            return over.parameters[:count]
        if over.sort is Sort.PARAMETER:
            self.bindings.assign((over,), (DYN,))
        elif not is_loose(over):
            text = f"expression of type '{self._written(over)}' cannot be range of a comprehension"
            self._complain(node.over.offset, f"{text} (must be list, map, or dynamic)")
            return (ERROR,) * count
        return (DYN,) * count

    def _operated(self, node: Node, operator: str, arguments: Sequence[Type]) -> Type:
        return self._resolved(node, operator, arguments, is_method=False)

    def _bound(self, node: Bound, scope: _Scope) -> Type:
        value = self.type_of(node.value, scope)
        if node.macro == "bind":
            return self.type_of(node.result, {**scope, node.name: value})
        self._resolved(node, "hasValue", [value], is_method=True)
        inside = self._resolved(node, "value", [value], is_method=True)
        result = self.type_of(node.result, {**scope, node.name: inside})
        if node.macro == "optMap":
            return optional_of(result)
        nothing = optional_of(self.bindings.new_parameter())
        return self._operated(node, "_?_:_", (BOOL, result, nothing))

    def _check_literals(self, node: Call) -> None:
        """Look into texts whose form the function that takes them asks for."""
        last = node.arguments[-1] if node.arguments else None
        if node.function == "matches" and isinstance(last, Literal) and isinstance(last.value, str):
            try:
                re2.compile(last.value, _QUIET)
            except re2.error:
                self._complain(last.offset, "invalid matches argument")


def _with(one: Type, fresh: Mapping[Type, Type]) -> Type:
    if one.sort is Sort.PARAMETER:
        return fresh[one]
    if not one.parameters:
        return one
    return Type(one.sort, one.name, tuple(_with(part, fresh) for part in one.parameters))


def _qualified(node: Node) -> str | None:
    """Return the dotted name that a node may be, None if it is none."""
    parts: list[str] = []
    while isinstance(node, Select) and not (node.only_test or node.optional):
        parts.append(node.field)
        node = node.operand
    if not isinstance(node, Ident):
        return None
    return ".".join((node.name, *reversed(parts)))
