"""What is known of a place in an object: how values there are compared, merged, pruned and owned.

A `Node` is made once for each type and field from the schema (`api.field_schema`). Two forms of values are met: typed ones (frozen
structs, tuples, mappings), which every write compares, and plain trees of JSON, which an apply merges. This module holds the seam and
the leaves: scalars, and lists and maps that are owned as one. Upstream: structured-merge-diff `typed/`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pinnace.machinery.codec import raw
from pinnace.machinery.managedfields.sets import ITSELF, Tree, below


class Problem(NamedTuple):
    """What is wrong with an applied configuration, and where."""

    path: str
    text: str


class Change(NamedTuple):
    """How two values differ: the paths that are new or have another value, and those that are gone; None for none."""

    changed: Tree | None
    removed: Tree | None


class Absent:
    """Stands for a value that is not there, where None is JSON's null."""


ABSENT = Absent()
SAME = Change(None, None)


class Node(ABC):
    """A place in an object."""

    __slots__ = ()

    @abstractmethod
    def all_of(self, value: Any) -> Tree:
        """Return every path of a typed value, its own included: what is owned when it appears, and lost when it goes."""

    @abstractmethod
    def compare(self, old: Any, new: Any) -> Change:
        """Compare typed values that are both there and not equal; None is null."""

    @abstractmethod
    def all_in(self, tree: Any) -> Tree:
        """Return every path of a tree, its own included."""

    @abstractmethod
    def differences(self, old: Any, new: Any) -> Change:
        """Compare trees that are both there and not equal."""

    @abstractmethod
    def fields_of(self, tree: Any) -> Tree | None:
        """Return the paths that a configuration claims; None when it claims none."""

    @abstractmethod
    def merge(self, live: Any, applied: Any) -> Any:
        """Lay a configuration over a live tree."""

    @abstractmethod
    def without(self, tree: Any, unwanted: Tree) -> Any:
        """Return a tree less the paths of a set; None when nothing is left of it."""

    def named(self, fields: Tree) -> Tree:
        """Return a set with each struct field on the way to its paths added."""
        return fields

    @abstractmethod
    def problems(self, tree: Any) -> Iterator[Problem]:
        """Yield what keeps a configuration from being of this type."""

    @abstractmethod
    def fits(self, tree: Any) -> bool:
        """Tell whether there are no problems, without the words for them."""


def one_sided(all_of: Callable[[Any], Tree], old: Any, new: Any) -> Change:
    """Compare a value with null: what is in it comes or goes, the place itself stays."""
    inner = below(all_of(old if new is None else new))
    if not inner:
        return Change(ITSELF, None)
    return Change(inner, None) if old is None else Change(None, inner)


def shown(value: Any) -> str:
    """Return a value as Go prints the wrapper that holds it."""
    return f"&{{{go_text(value)}}}"


def go_text(value: Any) -> str:
    """Return a plain value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def go_syntax(value: Any) -> str:
    """Return a plain value as Go's %#v prints it."""
    if isinstance(value, dict):
        inner = ", ".join(f"{go_syntax(key)}:{go_syntax(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(go_syntax, value)) + "}"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "interface {}(nil)" if value is None else go_text(value)


def go_type(value: Any) -> str:
    """Return the Go type that a plain value decodes to."""
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "int64" if isinstance(value, int) else "float64"


class Leaf(Node):
    """A place that is owned as one, whatever is in it."""

    __slots__ = ()

    def all_of(self, value: Any) -> Tree:  # noqa: ARG002
        return ITSELF

    def compare(self, old: Any, new: Any) -> Change:  # noqa: ARG002
        return Change(ITSELF, None)

    def all_in(self, tree: Any) -> Tree:  # noqa: ARG002
        return ITSELF

    def differences(self, old: Any, new: Any) -> Change:  # noqa: ARG002
        return Change(ITSELF, None)

    def fields_of(self, tree: Any) -> Tree | None:  # noqa: ARG002
        return ITSELF

    def merge(self, live: Any, applied: Any) -> Any:  # noqa: ARG002
        return applied


_NONE = type(None)
_SCALAR_TYPES: dict[str, frozenset[type]] = {
    "numeric": frozenset({int, float, _NONE}),
    "string": frozenset({str, _NONE}),
    "boolean": frozenset({bool, _NONE}),
    "any scalar": frozenset({int, float, str, bool, _NONE}),
}


class Scalar(Leaf):
    """A number, a text, a truth value, or (`any scalar`) one of them."""

    __slots__ = ("_kind", "_types")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._types = _SCALAR_TYPES[kind]

    def without(self, tree: Any, unwanted: Tree) -> Any:  # noqa: ARG002
        return tree

    def problems(self, tree: Any) -> Iterator[Problem]:
        if tree is None:
            return
        is_number = isinstance(tree, int | float) and not isinstance(tree, bool)
        match self._kind:
            case "numeric" if not is_number:
                yield Problem("", f"expected numeric (int or float), got {go_type(tree)}")
            case "string" if not isinstance(tree, str):
                yield Problem("", f"expected string, got &value.valueUnstructured{{Value:{go_syntax(tree)}}}")
            case "boolean" if not isinstance(tree, bool):
                yield Problem("", f"expected boolean, got {shown(tree)}")
            case "any scalar" if isinstance(tree, dict | list):
                yield Problem("", f"expected any scalar, got {shown(tree)}")

    def fits(self, tree: Any) -> bool:
        return type(tree) in self._types


class Free(Leaf):
    """JSON of any shape."""

    __slots__ = ()

    def compare(self, old: Any, new: Any) -> Change:
        """Compare what is said, not how it is written."""
        return Change(None, None) if raw.whole(old) == raw.whole(new) else super().compare(old, new)

    def without(self, tree: Any, unwanted: Tree) -> Any:  # noqa: ARG002
        return tree

    def problems(self, tree: Any) -> Iterator[Problem]:
        del tree
        return iter(())

    def fits(self, tree: Any) -> bool:  # noqa: ARG002
        return True


class Atomic(Leaf):
    """A list or map that is owned as one; what it is made of matters for the check of a configuration alone."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Node) -> None:
        self._inner = inner

    def without(self, tree: Any, unwanted: Tree) -> Any:
        """Leave nothing: whoever removes from a list or map that is one removes it."""

    def problems(self, tree: Any) -> Iterator[Problem]:
        yield from self._inner.problems(tree)

    def fits(self, tree: Any) -> bool:
        return self._inner.fits(tree)


class Items(Leaf):
    """A list whose items have no names; always within an `Atomic`."""

    __slots__ = ("_item",)

    def __init__(self, item: Node) -> None:
        self._item = item

    def without(self, tree: Any, unwanted: Tree) -> Any:
        """Leave nothing."""

    def problems(self, tree: Any) -> Iterator[Problem]:
        if tree is None:
            return
        if not isinstance(tree, list):
            yield Problem("", f"expected list, got {shown(tree)}")
            return
        for index, value in enumerate(tree):
            yield from (Problem(f"[{index}]{path}", text) for path, text in self._item.problems(value))

    def fits(self, tree: Any) -> bool:
        return tree is None or (isinstance(tree, list) and all(map(self._item.fits, tree)))
