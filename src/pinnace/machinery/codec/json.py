"""JSON to a plain tree, as sigs.k8s.io/json reads it: errors in the words of Go's decoder, duplicate keys reported.

Of two values under one key the later counts, and of two maps the keys of both. NaN and Infinity, which Python would accept, are
refused, and so are numbers beyond a float and nesting over the limit; halves of surrogate pairs, which no encoder could write, become U+FFFD.
Invariant: the time is linear in the size of the text, whatever stands in it twice.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NoReturn

from pinnace.machinery.codec import bounds
from pinnace.machinery.codec.parsed import Parsed
from pinnace.machinery.field import go_quoted
from pinnace.machinery.memo import remember_short

# Complaints about one text; further ones would help nobody. Upstream's bound.
COMPLAINTS_LIMIT = 100
# Digits of an integer that is read as one: far more than 64 bits need, and few enough for Python.
_INTEGER_DIGITS = 1000
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Object(dict[str, Any]):
    """A map of which a key came twice: it remembers its members as they stood in the text."""

    __slots__ = ("pairs",)
    pairs: list[tuple[str, Any]]


def parse(data: bytes) -> Parsed:
    """Read a text.

    Raises:
        ValueError: it is no JSON; the message is Go's.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    if text.startswith("\ufeff"):
        raise ValueError("invalid character 'ï' looking for beginning of value")
    try:
        tree = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        raise ValueError(_go_message(text, error)) from error
    except RecursionError as error:
        raise bounds.OutOfBounds(bounds.TOO_DEEP) from error
    bounds.check(tree)
    if "\\u" in text:
        tree = _without_surrogates(tree)
    return Parsed(tree, tuple(islice(_each_once(_duplicates(tree, "")), COMPLAINTS_LIMIT)))


def members(tree: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return the members of a parsed map as they stood in the text, a key as often as it came."""
    return tree.pairs if isinstance(tree, _Object) else tree.items()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    out = _Object()
    out.pairs = pairs
    merged: set[str] = set()
    for key, value in pairs:
        old = out.get(key)
        if not (isinstance(value, dict) and isinstance(old, dict)):
            out[key] = value
            merged.discard(key)
            continue
        if key not in merged:
            # The first one stays as it was read; from then on its copy grows.
            merged.add(key)
            out[key] = dict(old)
        out[key].update(value)
    return out


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _INTEGER_DIGITS else _float(text)


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"json: cannot unmarshal number {text[:_INTEGER_DIGITS]} into Go value of type float64")
    return value


def _without_surrogates(tree: Any) -> Any:
    """Return a tree whose texts can be encoded."""
    if isinstance(tree, str):
        return _SURROGATE.sub("\ufffd", tree)
    if isinstance(tree, list):
        return [_without_surrogates(item) for item in tree]
    if isinstance(tree, dict):
        return _object([(_SURROGATE.sub("\ufffd", key), _without_surrogates(value)) for key, value in members(tree)])
    return tree


def _each_once(texts: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character '{name.lstrip('-')[0]}' looking for beginning of value")


def _duplicates(tree: Any, path: str) -> Iterator[str]:
    """Yield a complaint for each key that came before in its map, in the order of the text."""
    if isinstance(tree, dict):
        seen = set()
        for key, value in members(tree):
            if key in seen:
                yield duplicate_field(f"{path}.{key}" if path else key)
            seen.add(key)
            if isinstance(value, dict | list):
                yield from _duplicates(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            if isinstance(value, dict | list):
                yield from _duplicates(value, f"{path}[{index}]")


@remember_short
def duplicate_field(path: str) -> str:
    """Word the complaint about a key that comes twice, or hundreds of thousands of times."""
    return f"duplicate field {go_quoted(path)}"


_CONTEXTS = (
    ("Expecting value", "looking for beginning of value"),
    ("Expecting property name", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Extra data", "after top-level value"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\\\escape", "in string escape code"),
    ("Invalid \\escape", "in string escape code"),
    ("Invalid \\\\uXXXX", "in \\u hexadecimal character escape"),
    ("Illegal trailing comma", "looking for beginning of object key string"),
)


def _go_message(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    if error.msg.startswith("Expecting value") and (literal := _literal(text[error.pos :])) is not None:
        return literal
    where = next((words for start, words in _CONTEXTS if error.msg.startswith(start)), "")
    if error.msg.startswith("Expecting ','"):
        where = "after object key:value pair" if _inside_object(text, error.pos) else "after array element"
    return f"invalid character {_go_character(text[error.pos])} {where or 'looking for beginning of value'}"


def _literal(rest: str) -> str | None:
    """Word the complaint about a misspelt true, false or null; None when the text begins none of them."""
    word = next((word for word in ("true", "false", "null") if rest.startswith(word[0])), None)
    if word is None:
        return None
    at = next((index for index, (got, want) in enumerate(zip(rest, word, strict=False)) if got != want), len(word))
    if at == len(word):
        return None
    return f"invalid character {_go_character(rest[at])} in literal {word} (expecting {_go_character(word[at])})"


def _inside_object(text: str, position: int) -> bool:
    """Tell whether the innermost bracket that is open at a position is a map's."""
    stack: list[str] = []
    in_string = escaped = False
    for character in text[:position]:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "{[":
            stack.append(character)
        elif character in "}]" and stack:
            stack.pop()
    return bool(stack) and stack[-1] == "{"


def _go_character(character: str) -> str:
    special = {"'": "'\\''", '"': "'\"'", "\n": "'\\n'", "\t": "'\\t'", "\r": "'\\r'"}
    return special.get(character) or f"'{character}'"
