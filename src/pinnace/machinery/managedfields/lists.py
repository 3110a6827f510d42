"""Lists whose items have names: sets of scalars, and lists of structs that are told apart by key fields.

An apply keeps the order of the live list where it can and that of the configuration where it must. Items that stand twice
under one name are owned together. Upstream: structured-merge-diff `typed/{compare,merge,remove,tofieldset,validate,helpers}.go`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import json

from pinnace.machinery.managedfields.node import ABSENT, Change, Node, Problem, one_sided, shown
from pinnace.machinery.managedfields.sets import ITSELF, Tree, element_text, has, with_itself


class Key(NamedTuple):
    """A field that is a part of an item's name, with the value it has when it is not given; ABSENT: it is no part then."""

    name: str
    attribute: str
    default: Any


class _Named(Node):
    """What both sorts of lists share; they differ in how an item is named."""

    __slots__ = ("_item",)

    def __init__(self, item: Node) -> None:
        self._item = item

    def _element(self, item: Any) -> str:
        """Return the path element of a typed item."""
        raise NotImplementedError

    def _tree_element(self, item: Any) -> str:
        """Return the path element of an item of a tree.

        Raises:
            ValueError: it cannot be named.
        """
        raise NotImplementedError

    # ── typed values ──

    def all_of(self, value: Any) -> Tree:
        groups = self._groups(value)
        return with_itself({element: self._all_of_group(items) for element, items in groups.items()})

    def _groups(self, items: Sequence[Any] | None) -> dict[str, list[Any]]:
        groups: dict[str, list[Any]] = {}
        for item in items or ():
            groups.setdefault(self._element(item), []).append(item)
        return groups

    def _all_of_group(self, items: list[Any]) -> Tree:
        return ITSELF if len(items) > 1 else self._item.all_of(items[0])

    def compare(self, old: Any, new: Any) -> Change:
        if old is None or new is None:
            return one_sided(self.all_of, old, new)
        return _compared(self._groups(old), self._groups(new), self._all_of_group, self._item.compare)

    # ── trees ──

    def all_in(self, tree: Any) -> Tree:
        return with_itself({name: self._all_in_group(items) for name, items in self._tree_groups(tree).items()})

    def _all_in_group(self, items: list[Any]) -> Tree:
        return ITSELF if len(items) > 1 else self._item.all_in(items[0])

    def _tree_groups(self, items: Sequence[Any] | None) -> dict[str, list[Any]]:
        groups: dict[str, list[Any]] = {}
        for item in items or ():
            groups.setdefault(self._tree_element(item), []).append(item)
        return groups

    def differences(self, old: Any, new: Any) -> Change:
        if not old and not new:
            return Change(ITSELF, None)
        return _compared(self._tree_groups(old), self._tree_groups(new), self._all_in_group, self._item.differences)

    def fields_of(self, tree: Any) -> Tree | None:
        if tree is None:
            return ITSELF
        out = {self._tree_element(item): with_itself(self._item.fields_of(item)) for item in tree}
        return out or None

    def merge(self, live: Any, applied: Any) -> Any:
        if not live or not applied:
            return live or applied
        return _Merge(live, applied, self).run()

    def without(self, tree: Any, unwanted: Tree) -> Any:
        if not isinstance(tree, list):
            return None
        out = []
        for item in tree:
            element = self._tree_element(item)
            inner = unwanted.get(element)
            if inner is None:
                out.append(item)
            elif not has(unwanted, element):
                out.append(self._item.without(item, inner))
        return out or None

    def named(self, fields: Tree) -> Tree:
        return {element: inner and self._item.named(inner) for element, inner in fields.items()}

    def problems(self, tree: Any) -> Iterator[Problem]:
        if tree is None:
            return
        if not isinstance(tree, list):
            yield Problem("", f"expected list, got {shown(tree)}")
            return
        seen = set()
        for index, item in enumerate(tree):
            try:
                element = self._tree_element(item)
            except ValueError as error:
                yield Problem("", f"element {index}: {error}")
                return
            text = element_text(element)
            if element in seen:
                yield Problem("", f"duplicate entries for key {text}")
            seen.add(element)
            yield from (Problem(f"{text}{path}", words) for path, words in self._item.problems(item))

    def fits(self, tree: Any) -> bool:
        if not isinstance(tree, list):
            return tree is None
        if not all(map(self._item.fits, tree)):
            return False
        try:
            return len({self._tree_element(item) for item in tree}) == len(tree)
        except ValueError:
            return False


Groups = Mapping[str, list[Any]]


def _compared(
    before: Groups, after: Groups, all_of: Callable[[list[Any]], Tree], compare: Callable[[Any, Any], Change]
) -> Change:
    """Compare the items of two lists, grouped by name."""
    changed: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    for element, items in after.items():
        known = before.get(element)
        if known is None:
            changed[element] = all_of(items)
            continue
        if known == items:
            continue
        if len(known) == len(items) == 1:
            found = compare(known[0], items[0])
        else:
            # A name that stood or stands twice is owned as a whole.
            found = Change(all_of(items), all_of(known) if min(len(known), len(items)) == 1 else None)
        if found.changed is not None:
            changed[element] = found.changed
        if found.removed is not None:
            removed[element] = found.removed
    removed.update((element, all_of(items)) for element, items in before.items() if element not in after)
    return Change(changed or None, removed or None)


class ValueSet(_Named):
    """A list of scalars, each owned by itself."""

    __slots__ = ()

    def _element(self, item: Any) -> str:
        return f"v:{json.encode(item).decode()}"

    def _tree_element(self, item: Any) -> str:
        if isinstance(item, dict):
            raise ValueError("associative list without keys has an element that's a map type")  # noqa: TRY004
        if isinstance(item, list):
            raise ValueError("not supported: associative list with lists as elements")  # noqa: TRY004
        if item is None:
            raise ValueError("associative list without keys has an element that's an explicit null")
        return self._element(item)


class KeyedList(_Named):
    """A list of structs with key fields."""

    __slots__ = ("_keys",)

    def __init__(self, item: Node, keys: Sequence[Key]) -> None:
        super().__init__(item)
        self._keys = tuple(sorted(keys))

    def _element(self, item: Any) -> str:
        found = {}
        for name, attribute, default in self._keys:
            value = getattr(item, attribute) or default
            if value is not ABSENT:
                found[name] = value
        return f"k:{json.encode(found).decode()}"

    def _tree_element(self, item: Any) -> str:
        if item is None:
            raise ValueError("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise ValueError("associative list with keys may not have non-map elements")  # noqa: TRY004
        found = {}
        for name, _, default in self._keys:
            value = item.get(name, default)
            if value is not ABSENT:
                found[name] = value
        if not found:
            names = " ".join(f'"{key.name}"' for key in self._keys)
            raise ValueError(
                f"associative list with keys has an element that omits all key fields [{names}] "
                "(and doesn't have default values for any key fields)"
            )
        return f"k:{json.encode(found).decode()}"


class _Merge:
    """One merge of two lists."""

    __slots__ = ("_applied", "_applied_names", "_live", "_live_by_name", "_live_names", "_node", "_out")

    def __init__(self, live: list[Any], applied: list[Any], node: _Named) -> None:
        element = node._tree_element  # noqa: SLF001 - the other half of the same thing
        self._node = node._item  # noqa: SLF001
        self._live = live
        self._live_names = [element(item) for item in live]
        self._applied_names = [element(item) for item in applied]
        self._applied: Mapping[str, Any] = dict(zip(self._applied_names, applied, strict=True))
        self._live_by_name: dict[str, Any] = {}
        for name, item in zip(self._live_names, live, strict=True):
            # A configuration is not merged into items that share a name; it takes their place.
            self._live_by_name[name] = None if name in self._live_by_name else item
        self._out: list[Any] = []

    def run(self) -> list[Any]:
        """Return the merged list."""
        shared = iter([name for name in self._applied_names if name in self._live_by_name])
        wanted = next(shared, None)
        merged: set[str] = set()
        at_live = at_applied = 0
        while at_live < len(self._live_names) or at_applied < len(self._applied_names):
            if at_live < len(self._live_names) and at_applied < len(self._applied_names):
                name = self._live_names[at_live]
                if name == self._applied_names[at_applied]:
                    self._take(name)
                    merged.add(name)
                    at_live, at_applied = at_live + 1, at_applied + 1
                    wanted = next(shared, None)
                    continue
                if name in self._applied and wanted is not None and wanted != name:
                    at_live += 1  # it comes, but not before the item that the configuration has first
                    continue
            if at_live < len(self._live_names):
                name = self._live_names[at_live]
                if name not in self._applied:
                    self._out.append(self._live[at_live])
                    at_live += 1
                    continue
                if name in merged:
                    at_live += 1
            if at_applied < len(self._applied_names):
                name = self._applied_names[at_applied]
                self._take(name)
                merged.add(name)
                at_applied += 1
                if wanted == name:
                    wanted = next(shared, None)
        return self._out

    def _take(self, name: str) -> None:
        live, applied = self._live_by_name.get(name), self._applied[name]
        self._out.append(applied if live is None or live == applied else self._node.merge(live, applied))
