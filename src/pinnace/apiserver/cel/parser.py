"""From tokens to a tree, by the grammar of CEL (cel-go parser/gen/CEL.g4, parser.go).

An expression that is wrong is read to its end, so that every complaint is found; there is a tree only if there is none.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

from pinnace.apiserver.cel.issues import CompilationError, Issue
from pinnace.apiserver.cel.literals import literal_of
from pinnace.apiserver.cel.macros import expanded
from pinnace.apiserver.cel.syntax import Call, Ident, Item, ListOf, Literal, MapOf, Message, Node, Select, children
from pinnace.apiserver.cel.token_stream import MismatchError, TokenStream
from pinnace.apiserver.cel.tokens import Kind, Token, tokens_of
from pinnace.apiserver.cel.types import ERROR

# How deep brackets may be nested and how deep a tree may be, by what Python's stack has room for (a level takes 15 calls to read
# and 5 to check); upstream allows 250.
NESTING_LIMIT = 40
DEPTH_LIMIT = 100
# Characters of an expression.
SIZE_LIMIT = 100_000
_WORDS = frozenset({"'true'", "'false'", "'null'"})
_LITERALS = frozenset({"NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES"})
_OPERAND = _WORDS | _LITERALS | {"'['", "'{'", "'('", "'.'", "'-'", "'!'", "IDENTIFIER"}
_NEGATED = _OPERAND - {"'!'"}
_FIELD = frozenset({"IDENTIFIER", "ESC_IDENTIFIER"})
_RELATIONS = ("==", "!=", "<", "<=", ">=", ">", "in")
_PRECEDENCE = {**dict.fromkeys(_RELATIONS, 1), "+": 2, "-": 2, "*": 3, "/": 3, "%": 3}
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "package",
    "namespace", "null", "return", "true", "var", "void", "while",
})  # fmt: skip


def parse(source: str, *, binds: bool = False) -> Node:
    """Return the tree of an expression; `binds` allows `cel.bind`.

    Raises:
        CompilationError: it is no expression.
    """
    if len(source) > SIZE_LIMIT:
        text = f"expression code point size exceeds limit: size: {len(source)}, limit {SIZE_LIMIT}"
        raise CompilationError(source, (Issue(-1, text),))
    tokens, left_out = tokens_of(source)
    parser = _Parser(source, tokens, binds=binds)
    tree = parser.whole()
    issues = [*left_out, *parser.issues]
    if not issues and _is_too_deep(tree):
        issues.append(_too_deep(-1))
    if issues:
        raise CompilationError(source, issues)
    return tree


def _too_deep(offset: int) -> Issue:
    return Issue(offset, f"expression recursion limit exceeded: {DEPTH_LIMIT}")


def _is_too_deep(tree: Node) -> bool:
    level: Sequence[Node] = (tree,)
    for _ in range(DEPTH_LIMIT):
        level = [child for node in level for child in children(node)]
        if not level:
            return False
    return True


class _Parser:
    def __init__(self, source: str, tokens: tuple[Token, ...], *, binds: bool) -> None:
        self._tokens = TokenStream(source, tokens)
        self._binds = binds
        self._nesting = 0

    @property
    def issues(self) -> list[Issue]:
        return self._tokens.issues

    def whole(self) -> Node:
        tree = self._expression()
        # What is left after the expression cannot be made sense of.
        with suppress(MismatchError):
            self._tokens.match(Kind.END.value)
        return tree

    def _expression(self) -> Node:
        self._nesting += 1
        if self._nesting > NESTING_LIMIT:
            raise CompilationError("", (_too_deep(-1),))
        condition = self._alternatives()
        question = self._tokens.take_if("?")
        if question is not None:
            before = condition
            condition = self._or_stand_in(lambda: self._choice(before, question))
        self._nesting -= 1
        return condition

    def _choice(self, condition: Node, question: Token) -> Node:
        yes = self._alternatives()
        self._tokens.match("':'")
        return Call(question.offset, "_?_:_", None, (condition, yes, self._expression()))

    def _alternatives(self) -> Node:
        return self._chain("||", self._conditions)

    def _conditions(self) -> Node:
        return self._chain("&&", lambda: self._binary(1))

    def _chain(self, symbol: str, part: Callable[[], Node]) -> Node:
        """Read parts with an operator between them, whose calls are nested evenly."""
        parts, offsets = [part()], []
        while (token := self._tokens.take_if(symbol)) is not None:
            offsets.append(token.offset)
            parts.append(part())
        return _balanced(f"_{symbol}_", parts, offsets)

    def _binary(self, lowest: int) -> Node:
        left = self._operand()
        while True:
            token = self._tokens.ahead()
            strength = _PRECEDENCE.get(token.text, 0) if token.kind is Kind.SYMBOL else 0
            if strength < lowest or strength == 0:
                return left
            self._tokens.take()
            name = "@in" if token.text == "in" else f"_{token.text}_"
            left = Call(token.offset, name, None, (left, self._binary(strength + 1)))

    def _operand(self) -> Node:
        """Read an operand with its `!` or `-`; what is none is complained about and stood in for."""
        return self._or_stand_in(self._checked_operand)

    def _checked_operand(self) -> Node:
        self._tokens.check(_OPERAND)
        return self._signed()

    def _or_stand_in(self, rule: Callable[[], Node]) -> Node:
        """Follow a rule; where it cannot go on, skip to what can come after it and stand in for what it would have read."""
        at, brackets = self._tokens.ahead().offset, self._tokens.open_brackets
        try:
            return rule()
        except MismatchError:
            self._tokens.recover(brackets)
            return Literal(at, None, ERROR)

    def _signed(self) -> Node:
        first = self._tokens.ahead()
        after = self._tokens.ahead(1)
        if self._tokens.is_next("-"):
            if after.name not in _NEGATED:
                self._tokens.no_viable_alternative(first, after)
            if after.kind in (Kind.INT, Kind.FLOAT):
                return self._member()
        sign = self._tokens.take_if("-", "!")
        count = 0
        while sign is not None and self._tokens.take_if(sign.text):
            count += 1
        if sign is not None:
            self._tokens.check(_NEGATED)
        operand = self._member()
        # Two signs undo each other.
        return operand if sign is None or count % 2 else Call(first.offset, f"{sign.text}_", None, (operand,))

    def _member(self) -> Node:
        node = self._or_stand_in(self._primary)
        while True:
            if self._tokens.is_next("."):
                node = self._selected(node)
            elif self._tokens.is_next("["):
                node = self._indexed(node)
            else:
                return node

    def _selected(self, operand: Node) -> Node:
        dot, after = self._tokens.ahead(), self._tokens.ahead(1)
        is_optional = after.kind is Kind.SYMBOL and after.text == "?"
        if not is_optional and after.name not in _FIELD:
            self._tokens.no_viable_alternative(dot, after)
        self._tokens.take()
        if is_optional:
            self._tokens.take()
            self._tokens.check(_FIELD)
        name = self._tokens.take()
        if name.kind is Kind.IDENTIFIER and not is_optional and self._tokens.is_next("("):
            return self._call(operand, name.text)
        return Select(dot.offset, operand, self._field(name), optional=is_optional)

    def _field(self, name: Token) -> str:
        return name.text.strip("`") if name.kind is Kind.ESCAPED else name.text

    def _indexed(self, operand: Node) -> Node:
        bracket = self._tokens.take()
        self._tokens.open("]")
        function = "_[?_]" if self._tokens.take_if("?") else "_[_]"
        index = self._expression()
        self._tokens.close("]")
        return Call(bracket.offset, function, None, (operand, index))

    def _call(self, target: Node | None, function: str) -> Node:
        bracket = self._tokens.take()
        self._tokens.open(")")
        self._tokens.check(_OPERAND | {"')'"})
        arguments: list[Node] = []
        if not self._tokens.is_next(")"):
            arguments.append(self._expression())
            while self._tokens.take_if(","):
                arguments.append(self._expression())
        self._tokens.close(")")
        known = expanded(
            bracket.offset, target, function, tuple(arguments), issues=self._tokens.issues, binds=self._binds
        )
        return known or Call(bracket.offset, function, target, tuple(arguments))

    def _primary(self) -> Node:
        token, after = self._tokens.ahead(), self._tokens.ahead(1)
        if self._tokens.is_next("-") and after.kind not in (Kind.INT, Kind.FLOAT):
            self._tokens.no_viable_alternative(token, after)
        if token.name in _LITERALS or token.name in _WORDS or self._tokens.is_next("-"):
            sign = self._tokens.take_if("-")
            return literal_of(self._tokens.take(), sign, self._tokens.issues)
        if self._tokens.is_next("("):
            return self._nested()
        if self._tokens.is_next("["):
            return self._list()
        if self._tokens.is_next("{"):
            return MapOf(token.offset, self._entries(_OPERAND | {"'?'"}, self._key))
        return self._named()

    def _nested(self) -> Node:
        self._tokens.take()
        self._tokens.open(")")
        inside = self._expression()
        self._tokens.close(")")
        return inside

    def _named(self) -> Node:
        """Read a name, a call of a function, or a message, whose name may have dots."""
        start, after = self._tokens.ahead(), self._tokens.ahead(1)
        dot = ""
        if self._tokens.is_next("."):
            if after.kind is not Kind.IDENTIFIER:
                self._tokens.no_viable_alternative(start, after)
            self._tokens.take()
            dot = "."
        else:
            self._tokens.check(_NEGATED - {"'-'"})
        name = self._tokens.take()
        if self._tokens.is_next("("):
            return self._call(None, dot + name.text)
        dotted = self._message_name(name.text)
        if dotted is not None:
            brace = self._tokens.ahead().offset
            return Message(brace, dot + dotted, self._entries(_FIELD | {"'?'"}, self._field_key))
        if name.text in _RESERVED:
            self._tokens.issues.append(Issue(name.offset, f"reserved identifier: {name.text}"))
        return Ident(start.offset, dot + name.text)

    def _message_name(self, first: str) -> str | None:
        """Take the rest of a name that a `{` follows; leave other names as they are and return None."""
        parts, distance = [first], 0
        while self._tokens.ahead(distance).name == "'.'" and self._tokens.ahead(distance + 1).kind is Kind.IDENTIFIER:
            parts.append(self._tokens.ahead(distance + 1).text)
            distance += 2
        if self._tokens.ahead(distance).name != "'{'":
            return None
        for _ in range(distance):
            self._tokens.take()
        return ".".join(parts)

    def _list(self) -> Node:
        bracket = self._tokens.take()
        self._tokens.open("]")
        self._tokens.check(_OPERAND | {"']'", "','", "'?'"})
        items: list[Item] = []
        while not self._tokens.is_next("]", ","):
            is_optional = self._tokens.take_if("?") is not None
            value = self._expression()
            items.append(Item(value.offset, value, optional=is_optional))
            if not self._goes_on("]"):
                break
        self._tokens.check(frozenset({"']'", "','"}))
        self._tokens.take_if(",")
        self._tokens.close("]")
        return ListOf(bracket.offset, tuple(items))

    def _goes_on(self, closing: str) -> bool:
        """Take a comma between items; one before the closing bracket is left to it."""
        if not self._tokens.is_next(",") or self._tokens.ahead(1).name == f"'{closing}'":
            return False
        self._tokens.take()
        return True

    def _entries(self, starts: frozenset[str], key: Callable[[], Node | str]) -> tuple[Item, ...]:
        self._tokens.take()
        self._tokens.open("}")
        self._tokens.check(starts | {"'}'", "','"})
        items: list[Item] = []
        while not self._tokens.is_next("}", ","):
            is_optional = self._tokens.take_if("?") is not None
            name = key()
            colon = self._tokens.ahead().offset
            self._tokens.match("':'")
            items.append(Item(colon, self._expression(), name, is_optional))
            if not self._goes_on("}"):
                break
        self._tokens.check(frozenset({"'}'", "','"}))
        self._tokens.take_if(",")
        self._tokens.close("}")
        return tuple(items)

    def _key(self) -> Node:
        return self._expression()

    def _field_key(self) -> str:
        self._tokens.check(_FIELD)
        return self._field(self._tokens.take())


def _balanced(function: str, parts: Sequence[Node], offsets: Sequence[int]) -> Node:
    """Nest calls as evenly as upstream does, so that long chains make no deep trees."""
    if len(parts) == 1:
        return parts[0]
    middle = len(offsets) // 2
    left = _balanced(function, parts[: middle + 1], offsets[:middle])
    right = _balanced(function, parts[middle + 1 :], offsets[middle + 1 :])
    return Call(offsets[middle], function, None, (left, right))
