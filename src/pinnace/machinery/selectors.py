"""Label and field selectors: what a list, a watch or a controller picks.

The label grammar is upstream's (apimachinery `pkg/labels/selector.go`): requirements joined by commas, each `k`, `!k`, `k=v`,
`k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k>1`, `k<1`; spaces are free. Fields (`pkg/fields/selector.go`) know `=`, `==` and
`!=` only, with backslash escapes. A selector is a value: it can be compared, hashed, and written out again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from pinnace.machinery.field import go_quoted
from pinnace.machinery.memo import remember_short
from pinnace.machinery.names import label_value, qualified_name


class Operator(StrEnum):
    """How a requirement compares, by its word in LabelSelector."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    EQUALS = "="
    NOT_EQUALS = "!="
    GREATER = "Gt"
    LESS = "Lt"


class Requirement(Struct, frozen=True):
    """One condition on one label; values are sorted."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy it; a missing label satisfies the negative operators."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN | Operator.EQUALS:
                return value is not None and value in self.values
            case Operator.NOT_IN | Operator.NOT_EQUALS:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
        return _compare(value, self.values[0], greater=self.operator is Operator.GREATER)

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.EQUALS | Operator.NOT_EQUALS:
                return f"{self.key}{self.operator}{self.values[0]}"
            case Operator.GREATER | Operator.LESS:
                return f"{self.key}{'>' if self.operator is Operator.GREATER else '<'}{self.values[0]}"
        return f"{self.key} {self.operator.lower()} ({','.join(self.values)})"


def _compare(value: str | None, bound: str, *, greater: bool) -> bool:
    try:
        number = int(value or "")
    except ValueError:
        return False
    return number > int(bound) if greater else number < int(bound)


class LabelSelector(Struct, frozen=True):
    """All requirements must hold; none at all selects everything, unless it is `nothing`."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def is_everything(self) -> bool:
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


class _Selector(Protocol):
    @property
    def match_labels(self) -> Mapping[str, str]: ...
    @property
    def match_expressions(self) -> Iterable[Any]: ...


def from_label_selector(selector: _Selector | None) -> LabelSelector:
    """Return what a metav1.LabelSelector selects: None nothing, an empty one everything.

    Raises:
        ValueError: an operator is unknown.
    """
    if selector is None:
        return NOTHING
    found = [Requirement(key, Operator.IN, (value,)) for key, value in selector.match_labels.items()]
    for item in selector.match_expressions:
        if item.operator not in {"In", "NotIn", "Exists", "DoesNotExist"}:
            raise ValueError(f"{go_quoted(item.operator)} is not a valid label selector operator")
        found.append(Requirement(item.key, Operator(item.operator), tuple(sorted(item.values))))
    return LabelSelector(tuple(sorted(found, key=lambda item: item.key)))


def from_map(labels: Mapping[str, str]) -> LabelSelector:
    """Return the selector of objects that carry all these labels."""
    return LabelSelector(tuple(Requirement(key, Operator.EQUALS, (labels[key],)) for key in sorted(labels)))


def format_label_selector(selector: _Selector | None) -> str:
    """Return a metav1.LabelSelector as tables and Scale show it: `a=b,c in (d,e)`."""
    if selector is None:
        return "<none>"
    equals = [Requirement(key, Operator.EQUALS, (value,)) for key, value in selector.match_labels.items()]
    rest = [
        Requirement(item.key, Operator(item.operator), tuple(sorted(item.values)))
        for item in selector.match_expressions
    ]
    text = ",".join(str(item) for item in sorted([*equals, *rest], key=lambda item: item.key))
    return text or "<none>"


_TOKEN = re.compile(r"\s*(?:(?P<symbol>!=|==|=|!|,|\(|\)|<|>)|(?P<word>[^\s!=,()<>]+))")
_WORDS = {"in": Operator.IN, "notin": Operator.NOT_IN}
_SYMBOLS = {
    "=": Operator.EQUALS,
    "==": Operator.EQUALS,
    "!=": Operator.NOT_EQUALS,
    ">": Operator.GREATER,
    "<": Operator.LESS,
}


@remember_short
def parse_labels(text: str) -> LabelSelector:
    """Return the selector that a text describes.

    Raises:
        ValueError: it does not parse; the text is upstream's.
    """
    return LabelSelector(tuple(sorted(_Parser(text).requirements(), key=lambda item: item.key)))


class _Parser:
    """A recursive descent over the tokens; `_END` closes them."""

    _END = ""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text))
        self._at = 0

    @staticmethod
    def _split(text: str) -> Iterator[str]:
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            assert match is not None, "any character starts a token"
            yield match["symbol"] or match["word"]
            position = match.end()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._END

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    @staticmethod
    def _is_word(token: str) -> bool:
        return bool(token) and token not in _SYMBOLS and token not in {"!", ",", "(", ")"}

    def requirements(self) -> Iterator[Requirement]:
        if self._peek() == self._END:
            return
        while True:
            token = self._peek()
            if not (self._is_word(token) or token == "!"):
                raise ValueError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from error
            token = self._next()
            if token == self._END:
                return
            if token != ",":
                raise ValueError(f"found '{token}', expected: ',' or 'end of string'")
            following = self._peek()
            if not (self._is_word(following) or following == "!"):
                raise ValueError(f"found '{following}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!"
        if negated:
            self._next()
        key = self._next()
        if not self._is_word(key):
            raise ValueError(f"found '{key}', expected: identifier")
        _check_key(key)
        token = self._peek()
        if negated or token in {self._END, ","}:
            return Requirement(key, Operator.DOES_NOT_EXIST if negated else Operator.EXISTS)
        operator = self._operator()
        if operator in {Operator.IN, Operator.NOT_IN}:
            values: tuple[str, ...] = tuple(sorted(set(self._values())))
        else:
            values = (self._single(),)
        return _checked(key, operator, values)

    def _operator(self) -> Operator:
        token = self._next()
        operator = _SYMBOLS.get(token) or _WORDS.get(token)
        if operator is None:
            raise ValueError(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")
        return operator

    def _single(self) -> str:
        if self._peek() in {self._END, ","}:
            return ""
        token = self._next()
        if not self._is_word(token):
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> Iterator[str]:
        token = self._next()
        if token != "(":
            raise ValueError(f"found '{token}' expected: '('")
        if self._peek() == ")":
            self._next()
            yield ""
            return
        while True:
            token = self._peek()
            if self._is_word(token):
                yield self._next()
            elif token in {",", ")"}:
                yield ""
            else:
                raise ValueError(f"found '{token}', expected: ',', ')' or identifier")
            token = self._next()
            if token == ")":
                return
            if token != ",":
                raise ValueError(f"found '{token}', expected: ',' or ')'")


def _check_key(key: str) -> None:
    if messages := qualified_name(key):
        raise ValueError(f"<nil>: Invalid value: {go_quoted(key)}: {'; '.join(messages)}")


def _checked(key: str, operator: Operator, values: tuple[str, ...]) -> Requirement:
    if operator in {Operator.GREATER, Operator.LESS} and not re.fullmatch(r"[+-]?\d+", values[0]):
        raise ValueError(
            f"values[0][{key}]: Invalid value: {go_quoted(values[0])}: for 'Gt', 'Lt' operators, the value must be an integer"
        )
    for index, value in enumerate(values):
        if messages := label_value(value):
            raise ValueError(f"values[{index}][{key}]: Invalid value: {go_quoted(value)}: {'; '.join(messages)}")
    return Requirement(key, operator, values)


class FieldRequirement(Struct, frozen=True):
    """One condition on one field."""

    field: str
    value: str
    negated: bool = False

    def matches(self, fields: Mapping[str, str]) -> bool:
        return (fields.get(self.field, "") == self.value) != self.negated

    def __str__(self) -> str:
        escaped = re.sub(r"([\\,=])", r"\\\1", self.value)
        return f"{self.field}{'!=' if self.negated else '='}{escaped}"


class FieldSelector(Struct, frozen=True):
    """All requirements must hold; none selects everything."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all(requirement.matches(fields) for requirement in self.requirements)

    @property
    def is_everything(self) -> bool:
        return not self.requirements

    def exact(self, field: str) -> str | None:
        """Return the value that the field must have, None when any will do."""
        return next((item.value for item in self.requirements if item.field == field and not item.negated), None)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


_FIELD_TERM = re.compile(r"(?P<field>(?:[^\\,=!]|!(?!=))*)(?P<operator>!=|==|=)(?P<value>.*)", re.DOTALL)


@remember_short
def parse_fields(text: str) -> FieldSelector:
    """Return the field selector that a text describes.

    Raises:
        ValueError: it does not parse; the text is upstream's.
    """
    found = []
    for term in _split_terms(text):
        if not term:
            continue
        match = _FIELD_TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
        found.append(FieldRequirement(match["field"], _unescaped(match["value"]), match["operator"] == "!="))
    return FieldSelector(tuple(sorted(found, key=lambda item: item.field)))


def _split_terms(text: str) -> Iterator[str]:
    start, escaped = 0, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _unescaped(value: str) -> str:
    out, escaped = [], False
    for character in value:
        if escaped:
            if character not in "\\,=":
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{character}")
            out.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in ",=":
            raise ValueError(f"invalid field selector: unescaped character in value: {character}")
        else:
            out.append(character)
    if escaped:
        raise ValueError("invalid field selector: unterminated escape sequence")
    return "".join(out)
