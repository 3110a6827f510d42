"""YAML to a plain tree, as sigs.k8s.io/yaml reads it: what JSON can say, and nothing else.

Only the event parser of PyYAML's C loader runs: its composer recurses in C for every level, and enough brackets overflow the stack.
Values are built here, scalars are resolved here, and what aliases expand to is counted, so that a few hundred bytes of them cannot become
megabytes of objects. Times and binary stay the texts they were written as. Invariants: depth, number of nodes and length of texts are
bounded by the size of the document; an alias and its anchor share one value, which nobody may change.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct, field

from pinnace.machinery.codec import bounds
from pinnace.machinery.codec.json import COMPLAINTS_LIMIT
from pinnace.machinery.codec.parsed import Parsed
from pinnace.machinery.field import go_quoted

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

# What a document may come to, in nodes and characters of scalars together, its aliases expanded.
LEAST_BUDGET, BUDGET_PER_BYTE = 20_000, 3
_TAG = "tag:yaml.org,2002:"
_MERGE, _TEXT = f"{_TAG}merge", f"{_TAG}str"
_TRUE = frozenset({"true", "yes", "on", "y"})
# Truth values of YAML 1.1 that PyYAML takes for texts; upstream's reader does not.
_LETTERS = frozenset("yYnN")
_NUMBERS = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


def parse(data: bytes) -> Parsed:
    """Read one document.

    Raises:
        ValueError: it is no YAML, or says what JSON cannot.
    """
    builder = _Builder(data)
    documents = _documents(data, builder)
    tree = next(documents, None)
    if tree is not None and next(documents, None) is not None:
        raise ValueError("yaml: expected a single document in the stream")
    return Parsed(tree.value if tree is not None else None, builder.complaints())


def parse_all(data: bytes) -> Iterator[Any]:
    """Yield the tree of each document of a stream.

    Raises:
        ValueError: as `parse`.
    """
    for document in _documents(data, _Builder(data)):
        if document.value is not None:
            yield document.value


def _documents(data: bytes, builder: "_Builder") -> "Iterator[_Built]":
    try:
        loader = Loader(data)
        try:
            while not loader.check_event(yaml.StreamEndEvent):
                if isinstance(event := loader.get_event(), yaml.DocumentStartEvent):
                    yield builder.document(loader)
                else:
                    assert isinstance(event, yaml.StreamStartEvent | yaml.DocumentEndEvent), "a document reads its own"
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(_message(error)) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"yaml: {error}") from error


def _message(error: yaml.YAMLError) -> str:
    """Word an error as upstream's reader does, which counts lines from 0 but where its scanner stopped."""
    problem = getattr(error, "problem", None) or str(error)
    at, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    line = 0
    if at is not None and at.line:
        line = at.line + isinstance(error, yaml.scanner.ScannerError)
    elif context is not None:
        line = context.line
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


class _Built(Struct, frozen=True):
    """A value, and what it costs to write it out."""

    value: Any
    cost: int
    # What a scalar says as a key, and whether it is the key that merges.
    key: str = ""
    is_merge: bool = False


class _Open(Struct):
    """A map or list whose end has not come."""

    anchor: str | None
    is_map: bool
    cost: int = 1
    items: list[Any] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)
    merged: dict[str, Any] = field(default_factory=dict)
    # What was read as a key and has no value yet.
    key: _Built | None = None


class _Builder:
    """Turns events into values, counting what they come to."""

    def __init__(self, data: bytes) -> None:
        self._left = max(LEAST_BUDGET, BUDGET_PER_BYTE * len(data))
        self._width = 0
        self._duplicates: list[str] = []

    def complaints(self) -> tuple[str, ...]:
        """Return what is to be said about keys that stood twice."""
        return ("yaml: unmarshal errors:\n" + "\n".join(self._duplicates),) if self._duplicates else ()

    def document(self, loader: Any) -> _Built:
        """Read the one value of a document whose start has been read."""
        anchors: dict[str, _Built | None] = {}
        open_: list[_Open] = []
        while True:
            event = loader.get_event()
            built = self._begin_or_end(event, anchors, open_)
            if built is None:
                continue
            if not open_:
                return built
            self._put(open_[-1], built, event)

    def _begin_or_end(self, event: Any, anchors: "dict[str, _Built | None]", open_: list[_Open]) -> _Built | None:
        """Return the value that an event completes, None when it only begins one."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, anchors)
        if isinstance(event, yaml.ScalarEvent):
            built = self._scalar(event)
            if event.anchor is not None:
                anchors[event.anchor] = built
            return built
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(open_) >= bounds.DEPTH_LIMIT:
                raise ValueError(f"yaml: {bounds.TOO_DEEP}")
            self._width += 1
            if self._width > bounds.WIDTH_LIMIT:
                raise ValueError(f"yaml: {bounds.TOO_WIDE}")
            self._spend(1)
            if event.anchor is not None:
                anchors[event.anchor] = None
            open_.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            return None
        done = open_.pop()
        value: Any = {**done.merged, **done.members} if done.is_map else done.items
        built = _Built(value, done.cost)
        if done.anchor is not None:
            anchors[done.anchor] = built
        return built

    def _alias(self, event: Any, anchors: "dict[str, _Built | None]") -> _Built:
        if event.anchor not in anchors:
            raise ValueError(f"yaml: unknown anchor '{event.anchor}' referenced")
        built = anchors[event.anchor]
        if built is None:
            raise ValueError(f"yaml: anchor '{event.anchor}' value contains itself")
        self._spend(built.cost)
        return built

    def _scalar(self, event: Any) -> _Built:
        text: str = event.value
        cost = 1 + len(text)
        self._spend(cost)
        tag, is_plain = event.tag, event.implicit[0]
        if tag is None or tag == "!":
            tag = _implied(text) if is_plain else _TEXT
            if tag == _TEXT and not (is_plain and text in _LETTERS):
                return _Built(text, cost, text)
        value = _scalar(tag, text, is_plain=is_plain)
        key = text if not isinstance(value, bool) else "true" if value else "false"
        return _Built(value, cost, key, is_merge=tag == _MERGE)

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise ValueError("yaml: document contains excessive aliasing")

    def _put(self, into: _Open, built: _Built, event: Any) -> None:
        into.cost += built.cost
        if not into.is_map:
            into.items.append(built.value)
        elif into.key is None:
            if isinstance(built.value, dict | list):
                raise ValueError(f"yaml: line {event.start_mark.line + 1}: a key that is no scalar")
            into.key = built
            if not built.is_merge:
                self._note_twice(into, built.key, event)
        else:
            key, into.key = into.key, None
            if not key.is_merge:
                into.members[key.key] = built.value
                return
            sources = built.value if isinstance(built.value, list) else [built.value]
            for source in sources:
                if not isinstance(source, dict):
                    raise ValueError("yaml: map merge requires map or sequence of maps as the value")  # noqa: TRY004
                for name, value in source.items():
                    into.merged.setdefault(name, value)

    def _note_twice(self, into: _Open, key: str, event: Any) -> None:
        if key in into.members and len(self._duplicates) < COMPLAINTS_LIMIT:
            self._duplicates.append(f"  line {event.start_mark.line + 1}: key {go_quoted(key)} already set in map")


def _implied(text: str) -> str:
    """Return the tag that a plain scalar has without saying so."""
    return next(
        (tag for tag, pattern in Loader.yaml_implicit_resolvers.get(text[:1], ()) if pattern.match(text)), _TEXT
    )


def _scalar(tag: str, text: str, *, is_plain: bool) -> Any:
    match tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in _TRUE
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case "str" if text in _LETTERS and is_plain:
            return text.lower() in _TRUE
    return text


def _integer(text: str) -> Any:
    if ":" in text:  # base 60 of YAML 1.1, which upstream's reader does not know
        return text
    bare = text.replace("_", "")
    sign, digits = (bare[0], bare[1:]) if bare[:1] in {"+", "-"} else ("", bare)
    base = 10
    if digits[:2].lower() in {"0x", "0b", "0o"}:
        base = {"x": 16, "b": 2, "o": 8}[digits[1].lower()]
        digits = digits[2:]
    elif len(digits) > 1 and digits[0] == "0":
        base = 8
    if len(digits) > 1000:
        raise ValueError("yaml: a number of too many digits")
    return int(f"{sign}{digits}", base)


def _float(text: str) -> Any:
    lowered = text.lower()
    if lowered in _NUMBERS:
        raise ValueError(f"json: unsupported value: {lowered}")
    if ":" in text:
        return text
    value = float(lowered.replace("_", ""))
    if value in _NUMBERS.values():
        raise ValueError(f"json: unsupported value: {'-' if value < 0 else '+'}Inf")
    return value
