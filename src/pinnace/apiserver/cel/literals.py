"""Values written out in an expression (cel-go parser/unescape.go, `parser.go` `VisitInt` and its siblings)."""

import re

from pinnace.apiserver.cel.issues import Issue
from pinnace.apiserver.cel.syntax import Literal
from pinnace.apiserver.cel.tokens import Kind, Token
from pinnace.apiserver.cel.types import BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT

_INT_LOWEST, _INT_HIGHEST = -(2**63), 2**63 - 1
_UINT_HIGHEST = 2**64 - 1
_WORDS = {"true": (True, BOOL), "false": (False, BOOL), "null": (None, NULL)}
_ESCAPE = re.compile(r"\\(?:[xX]([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_UNICODE_HIGHEST = 0x10FFFF


def literal_of(token: Token, sign: Token | None, issues: list[Issue]) -> Literal:
    """Return the value that a token writes, with the minus before it if there is one; complain when it is out of range."""
    offset = token.offset if sign is None else sign.offset
    minus = "" if sign is None else "-"
    match token.kind:
        case Kind.INT:
            return _int(minus, token.text, offset, issues)
        case Kind.UINT:
            number = _whole(token.text[:-1])
            if number > _UINT_HIGHEST:
                issues.append(Issue(offset, "invalid uint literal"))
            return Literal(offset, number, UINT)
        case Kind.FLOAT:
            value = float(minus + token.text)
            if value in (float("inf"), float("-inf")):
                issues.append(Issue(offset, "invalid double literal"))
            return Literal(offset, value, DOUBLE)
        case Kind.STRING:
            return Literal(offset, _text(token.text, offset, issues), STRING)
        case Kind.BYTES:
            return Literal(offset, _bytes(token.text[1:]), BYTES)
        case _:
            word, kind = _WORDS[token.text]
            return Literal(offset, word, kind)


def _int(minus: str, text: str, offset: int, issues: list[Issue]) -> Literal:
    number = -_whole(text) if minus else _whole(text)
    if not _INT_LOWEST <= number <= _INT_HIGHEST:
        issues.append(Issue(offset, "invalid int literal"))
    return Literal(offset, number, INT)


def _whole(text: str) -> int:
    # A number too long to be in range is not worth reading, and Python refuses to read the longest.
    if len(text) > 100:
        return _UINT_HIGHEST + 1
    return int(text, 16) if text.startswith("0x") else int(text)


def _inside(text: str) -> tuple[str, bool]:
    """Return what stands between the quotes, and whether it is raw."""
    is_raw = text[0] in "rR"
    quoted = text[1:] if is_raw else text
    width = 3 if len(quoted) >= 6 and quoted[:3] in ('"""', "'''") else 1
    return quoted[width:-width].replace("\r\n", "\n").replace("\r", "\n"), is_raw


def _text(text: str, offset: int, issues: list[Issue]) -> str:
    inside, is_raw = _inside(text)
    if is_raw:
        return inside

    def char(match: re.Match[str]) -> str:
        code = _code(match)
        if code is None:
            return _PLAIN.get(match[5], match[5])
        if code > _UNICODE_HIGHEST or 0xD800 <= code < 0xE000:
            issues.append(Issue(offset, "unable to unescape string"))
            return ""
        return chr(code)

    return _ESCAPE.sub(char, inside)


def _code(match: re.Match[str]) -> int | None:
    digits = match[1] or match[2] or match[3]
    if digits:
        return int(digits, 16)
    return int(match[4], 8) if match[4] else None


def _bytes(text: str) -> bytes:
    inside, is_raw = _inside(text)
    if is_raw:
        return inside.encode()
    found, end = bytearray(), 0
    for match in _ESCAPE.finditer(inside):
        found += inside[end : match.start()].encode()
        code = _code(match)
        found += _PLAIN.get(match[5], match[5]).encode() if code is None else bytes((code & 0xFF,))
        end = match.end()
    return bytes(found + inside[end:].encode())
