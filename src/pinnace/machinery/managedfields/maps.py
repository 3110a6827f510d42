"""Structs, whose fields the schema names, and maps, whose keys are anybody's.

Upstream: structured-merge-diff `typed/{compare,merge,remove,tofieldset,validate}.go`, the parts about maps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from pinnace.machinery.managedfields.node import ABSENT, SAME, Change, Node, Problem, one_sided, shown
from pinnace.machinery.managedfields.sets import ITSELF, Tree, has, with_itself
from pinnace.machinery.memo import Memo


class Member(NamedTuple):
    """One field of a struct.

    Attributes:
        element: its path element, `f:` and the wire name.
        zero: the value that is not written; ABSENT for a field that always is.
    """

    element: str
    attribute: str
    zero: Any
    node: Node


class _Map(Node):
    """What structs and maps share: both are maps on the wire."""

    __slots__ = ()

    def _node(self, name: str) -> Node | None:
        """Return what is known of a key; None when the schema has no such field."""
        raise NotImplementedError

    _claims_keys = False

    def all_in(self, tree: Any) -> Tree:
        return with_itself(
            {f"f:{name}": self._all_below(name, value) for name, value in tree.items()} if tree else None
        )

    def _all_below(self, name: str, value: Any) -> Tree:
        node = self._node(name)
        return ITSELF if node is None else node.all_in(value)

    def differences(self, old: Any, new: Any) -> Change:
        if not old and not new:
            return Change(ITSELF, None)
        before, after = old or {}, new or {}
        changed: dict[str, Any] = {}
        removed: dict[str, Any] = {}
        for name, value in after.items():
            if name not in before:
                changed[f"f:{name}"] = self._all_below(name, value)
            elif value != before[name]:
                node = self._node(name)
                found = Change(ITSELF, None) if node is None else node.differences(before[name], value)
                if found.changed is not None:
                    changed[f"f:{name}"] = found.changed
                if found.removed is not None:
                    removed[f"f:{name}"] = found.removed
        removed.update(
            (f"f:{name}", self._all_below(name, value)) for name, value in before.items() if name not in after
        )
        return Change(changed or None, removed or None)

    def fields_of(self, tree: Any) -> Tree | None:
        if not tree:
            return ITSELF
        out: dict[str, Any] = {}
        for name, value in tree.items():
            node = self._node(name)
            fields = node.fields_of(value) if node is not None else ITSELF
            if self._claims_keys or value is None or value == {}:
                fields = with_itself(fields)
            if fields is not None:
                out[f"f:{name}"] = fields
        return out or None

    def merge(self, live: Any, applied: Any) -> Any:
        if not live or not applied:
            return live or applied
        out = dict(live)
        for name, new in applied.items():
            old = out.get(name, ABSENT)
            if old == new:
                continue
            node = self._node(name)
            out[name] = new if old is ABSENT or node is None else node.merge(old, new)
        return out

    def without(self, tree: Any, unwanted: Tree) -> Any:
        if not isinstance(tree, dict):
            return None
        out = {}
        for name, value in tree.items():
            element = f"f:{name}"
            inner = unwanted.get(element)
            if inner is None:
                out[name] = value
            elif not has(unwanted, element):
                node = self._node(name)
                out[name] = value if node is None else node.without(value, inner)
        return out or None

    def problems(self, tree: Any) -> Iterator[Problem]:
        if tree is None:
            return
        if not isinstance(tree, dict):
            yield Problem("", f"expected map, got {shown(tree)}")
            return
        for name, value in tree.items():
            node = self._node(name)
            if node is None:
                yield Problem(f".{name}", "field not declared in schema")
                return
            yield from (Problem(f".{name}{path}", text) for path, text in node.problems(value))

    def fits(self, tree: Any) -> bool:
        if not isinstance(tree, dict):
            return tree is None
        for name, value in tree.items():
            node = self._node(name)
            if node is None or not node.fits(value):
                return False
        return True


class Struct(_Map):
    """A struct; `is_shared` says that many objects hold the same one, so that what is in it is worked out once."""

    __slots__ = ("_by_name", "_empty", "_fresh", "_members", "_values")

    def __init__(self, empty: Any) -> None:
        self._empty = empty
        self._members: tuple[Member, ...] = ()
        self._by_name: Mapping[str, Node] = {}
        self._values: Callable[[Any], Sequence[Any]] = tuple
        self._fresh: Memo[Any, Change] | None = None

    def fill(self, members: Sequence[Member], nodes: Mapping[str, Node], *, is_shared: bool = False) -> None:
        """Give it its fields, which may lead back to it: `members` are compared, `nodes` are all that may be applied."""
        self._members = tuple(members)
        self._by_name = nodes
        attributes = [member.attribute for member in members]
        if len(attributes) > 1:
            self._values = attrgetter(*attributes)
        else:
            self._values = lambda obj: tuple(getattr(obj, name) for name in attributes)
        self._fresh = Memo(lambda new: self._compare(self._empty, new)) if is_shared else None

    def _node(self, name: str) -> Node | None:
        return self._by_name.get(name)

    def all_of(self, value: Any) -> Tree:
        out = {
            element: node.all_of(inner)
            for inner, (element, _, zero, node) in zip(self._values(value), self._members, strict=True)
            if zero is ABSENT or inner != zero
        }
        return with_itself(out)

    def compare(self, old: Any, new: Any) -> Change:
        if old is None or new is None:
            return one_sided(self.all_of, old, new)
        if self._fresh is not None and old == self._empty:
            return self._fresh(new)
        return self._compare(old, new)

    def _compare(self, old: Any, new: Any) -> Change:
        changed: dict[str, Any] = {}
        removed: dict[str, Any] = {}
        for before, after, (element, _, zero, node) in zip(
            self._values(old), self._values(new), self._members, strict=True
        ):
            if before is after or before == after:
                continue
            if zero is not ABSENT:
                if before == zero:
                    changed[element] = node.all_of(after)
                    continue
                if after == zero:
                    removed[element] = node.all_of(before)
                    continue
            found = node.compare(before, after)
            if found.changed is not None:
                changed[element] = found.changed
            if found.removed is not None:
                removed[element] = found.removed
        return Change(changed or None, removed or None) if changed or removed else SAME

    def named(self, fields: Tree) -> Tree:
        out: dict[str, Any] = {}
        for element, inner in fields.items():
            node = self._by_name.get(element[2:]) if element[:2] == "f:" else None
            out[element] = inner if node is None else with_itself(node.named(inner)) if inner else inner
        return out


class Map(_Map):
    """A map whose keys are owned one by one."""

    __slots__ = ("_value",)
    _claims_keys = True

    def __init__(self, value: Node) -> None:
        self._value = value

    def _node(self, name: str) -> Node | None:  # noqa: ARG002
        return self._value

    def all_of(self, value: Any) -> Tree:
        return with_itself({f"f:{name}": self._value.all_of(inner) for name, inner in value.items()})

    def compare(self, old: Any, new: Any) -> Change:
        if old is None or new is None:
            return one_sided(self.all_of, old, new)
        changed: dict[str, Any] = {}
        removed: dict[str, Any] = {}
        for name, after in new.items():
            before = old.get(name, ABSENT)
            if before is ABSENT:
                changed[f"f:{name}"] = self._value.all_of(after)
            elif before != after:
                found = self._value.compare(before, after)
                if found.changed is not None:
                    changed[f"f:{name}"] = found.changed
                if found.removed is not None:
                    removed[f"f:{name}"] = found.removed
        for name, before in old.items():
            if name not in new:
                removed[f"f:{name}"] = self._value.all_of(before)
        return Change(changed or None, removed or None)

    def named(self, fields: Tree) -> Tree:
        return {element: inner and self._value.named(inner) for element, inner in fields.items()}
