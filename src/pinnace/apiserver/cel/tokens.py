"""From an expression to tokens, by the lexical rules of CEL (cel-go parser/gen/CEL.g4).

Characters that begin no token are complained about and left out, so that the parser sees the rest, as upstream's does.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from pinnace.apiserver.cel.issues import Issue


class Kind(StrEnum):
    """The kinds of tokens, as complaints name them; those of fixed text are their text in quotes."""

    SYMBOL = "SYMBOL"
    FLOAT = "NUM_FLOAT"
    INT = "NUM_INT"
    UINT = "NUM_UINT"
    STRING = "STRING"
    BYTES = "BYTES"
    IDENTIFIER = "IDENTIFIER"
    ESCAPED = "ESC_IDENTIFIER"
    END = "<EOF>"


class Token(Struct, frozen=True):
    """A token, and where it begins."""

    kind: Kind
    text: str
    offset: int

    @property
    def name(self) -> str:
        """Return what a set of expected tokens calls it."""
        return f"'{self.text}'" if self.kind is Kind.SYMBOL else self.kind.value


# In the order of upstream's token numbers, by which sets of expected tokens are written.
SYMBOLS = (
    "==", "!=", "in", "<", "<=", ">=", ">", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%", "true", "false", "null",
)  # fmt: skip
_ORDER = {name: index for index, name in enumerate((*(f"'{one}'" for one in SYMBOLS), *Kind.__members__.values()))}
_WORDS = frozenset({"in", "true", "false", "null"})

_ESCAPE = r"""\\(?:[abfnrtv"'`\\?]|x[0-9A-Fa-f]{2}|X[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-3][0-7]{2})"""
_STRING = "|".join((
    rf'"""(?:{_ESCAPE}|[^\\])*?"""',
    rf"'''(?:{_ESCAPE}|[^\\])*?'''",
    rf'"(?:{_ESCAPE}|[^\\"\n\r])*"',
    rf"'(?:{_ESCAPE}|[^\\'\n\r])*'",
    r'[rR]"""(?s:.*?)"""',
    r"[rR]'''(?s:.*?)'''",
    r'[rR]"[^"\n\r]*"',
    r"[rR]'[^'\n\r]*'",
))
_TOKEN = re.compile(
    "|".join((
        r"(?P<SPACE>[\t \r\n\f]+|//[^\n]*)",
        r"(?P<NUM_FLOAT>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)",
        r"(?P<NUM_UINT>(?:0x[0-9A-Fa-f]+|[0-9]+)[uU])",
        r"(?P<NUM_INT>0x[0-9A-Fa-f]+|[0-9]+)",
        rf"(?P<BYTES>[bB](?:{_STRING}))",
        rf"(?P<STRING>{_STRING})",
        r"(?P<IDENTIFIER>[A-Za-z_][A-Za-z0-9_]*)",
        r"(?P<ESC_IDENTIFIER>`[A-Za-z0-9_.\-/ ]+`)",
        r"(?P<SYMBOL>==|!=|<=|>=|&&|\|\||[<>\[\]{}().,\-!?:+*/%])",
    ))
)
# Openings of tokens which take the character that breaks them into the complaint.
_HALVES = ("|", "&", "`", "'", '"')


def ordered(names: frozenset[str]) -> str:
    """Return names of expected tokens as complaints write them."""
    written = sorted(names, key=lambda name: _ORDER[name])
    return written[0] if len(written) == 1 else f"{{{', '.join(written)}}}"


def tokens_of(source: str) -> tuple[tuple[Token, ...], tuple[Issue, ...]]:
    """Return the tokens, the end as the last of them, and what was left out."""
    issues: list[Issue] = []
    tokens = (*_tokens(source, issues), Token(Kind.END, "<EOF>", len(source)))
    return tokens, tuple(issues)


def _tokens(source: str, issues: list[Issue]) -> Iterator[Token]:
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            end = _unknown_end(source, at)
            issues.append(Issue(at, f"Syntax error: token recognition error at: '{_shown(source[at:end])}'"))
            at = end
            continue
        name, text = match.lastgroup or "", match[0]
        if name != "SPACE":
            kind = Kind.SYMBOL if text in _WORDS else Kind(name)
            yield Token(kind, text, at)
        at = match.end()


def _unknown_end(source: str, at: int) -> int:
    """Return the end of what begins no token: a string to the end of its line, half an operator and its neighbour, else one."""
    if source[at] in "'\"":
        breaks = [end for end in (source.find("\n", at), source.find("\r", at)) if end >= 0]
        return min(*breaks, len(source)) if breaks else len(source)
    return min(at + (2 if source[at] in _HALVES else 1), len(source))


def _shown(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
