"""YAML to a plain tree, as sigs.k8s.io/yaml reads it: what JSON can say, and nothing else.

Only the composer of PyYAML's C loader runs; scalars are resolved here, and aliases are expanded within a budget, so that a few
hundred bytes of aliases cannot become megabytes of objects. Times and binary stay the texts they were written as.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from pinnace.machinery.codec.parsed import Parsed
from pinnace.machinery.field import go_quoted

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

# Nodes that a text may come to, beyond a handful for each of its bytes.
LEAST_BUDGET_NODES, NODES_PER_BYTE = 10_000, 1
_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"true", "yes", "on", "y"})
# Truth values of YAML 1.1 that PyYAML takes for texts; upstream's reader does not.
_LETTERS = frozenset("yYnN")
_NUMBERS = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


def parse(data: bytes) -> Parsed:
    """Read one document.

    Raises:
        ValueError: it is no YAML, or says what JSON cannot.
    """
    try:
        node = yaml.compose(data, Loader=Loader)
    except yaml.YAMLError as error:
        raise ValueError(_message(error)) from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"yaml: {error}") from error
    if node is None:
        return Parsed(None)
    builder = _Builder(max(LEAST_BUDGET_NODES, NODES_PER_BYTE * len(data)))
    try:
        tree = builder.build(node)
    except RecursionError as error:
        raise ValueError("yaml: exceeded max depth") from error
    texts = ("yaml: unmarshal errors:\n" + "\n".join(builder.duplicates),) if builder.duplicates else ()
    return Parsed(tree, texts)


def parse_all(data: bytes) -> Iterator[Any]:
    """Yield the tree of each document of a stream.

    Raises:
        ValueError: as `parse`.
    """
    try:
        nodes = list(yaml.compose_all(data, Loader=Loader))
    except yaml.YAMLError as error:
        raise ValueError(_message(error)) from error
    budget = max(LEAST_BUDGET_NODES, NODES_PER_BYTE * len(data))
    for node in nodes:
        if node is not None:
            yield _Builder(budget).build(node)


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


class _Builder:
    """Turns nodes into values, counting them."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self.duplicates: list[str] = []

    def build(self, node: yaml.Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("yaml: document contains excessive aliasing")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item) for item in node.value]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    merged = {**self._source(source), **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise ValueError(f"yaml: line {key_node.start_mark.line + 1}: a key that is no scalar")  # noqa: TRY004 - the text is wrong, not its type here
            key = _key(key_node)
            if key in out:
                line = key_node.start_mark.line + 1
                self.duplicates.append(f"  line {line}: key {go_quoted(key)} already set in map")
            out[key] = self.build(value_node)
        return {**merged, **out}

    def _source(self, node: yaml.Node) -> dict[str, Any]:
        tree = self.build(node)
        if not isinstance(tree, dict):
            raise ValueError("yaml: map merge requires map or sequence of maps as the value")  # noqa: TRY004
        return tree


def _key(node: yaml.ScalarNode) -> str:
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(node.value)


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in _TRUE
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case "str" if text in _LETTERS and not getattr(node, "style", None):
            return text.lower() in _TRUE
    return text


def _integer(text: str) -> Any:
    if ":" in text:  # base 60 of YAML 1.1, which upstream's reader does not know
        return text
    bare = text.replace("_", "")
    sign, digits = (bare[0], bare[1:]) if bare[0] in "+-" else ("", bare)
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
    return float(lowered.replace("_", ""))
