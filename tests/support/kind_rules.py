"""What a kind's rules say to a manifest, without a server: for tables of (change, exact complaints)."""

from typing import Any

from tests.support.manifests import manifest

from pinnace.api import codec, resources
from pinnace.apiserver.registry.strategy import DEFAULT, Strategy
from pinnace.apiserver.registry.table import STRATEGIES

DROP = object()


def resource_of(plural: str) -> resources.Resource:
    """Return a resource by its plural, in its stored version."""
    return next(one for one in resources.RESOURCES if one.plural == plural and one.stored_in is None)


def changed(tree: Any, changes: dict[str, Any]) -> Any:
    """Return a tree with values at paths as `spec.rules.0.verbs`; DROP takes a member away."""
    for path, value in changes.items():
        tree = _put(tree, path.split("."), value)
    return tree


def _put(tree: Any, steps: list[str], value: Any) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(tree, list):
        items = [*tree]
        index = int(step)
        made = value if not rest else _put(items[index], rest, value)
        items[index : index + 1] = [] if made is DROP else [made]
        return items
    members = dict(tree or {})
    made = value if not rest else _put(members.get(step), rest, value)
    if made is DROP:
        members.pop(step, None)
    else:
        members[step] = made
    return members


class Rules:
    """The strategy of one kind, and its manifest."""

    def __init__(self, plural: str) -> None:
        self.resource = resource_of(plural)
        self.strategy: Strategy[Any] = STRATEGIES.get((self.resource.group, plural), DEFAULT)
        self.body = manifest(self.resource)

    def make(self, changes: dict[str, Any]) -> Any:
        """Return the typed object of a changed manifest, with defaults."""
        return self.strategy.default(codec.convert(self.resource.type, changed(self.body, changes)))

    def refused(self, changes: dict[str, Any]) -> list[str]:
        """Return what is said to a new object."""
        return [str(error) for error in self.strategy.validate(self.make(changes))]

    def refused_update(self, before: dict[str, Any], after: dict[str, Any], part: str = "") -> list[str]:
        """Return what is said to an update."""
        old, new = self.make(before), self.make(after)
        if part:
            return [str(error) for error in self.strategy.parts[part].validate_update(new, old)]
        found = [] if self.strategy.validates_update_fully else list(self.strategy.validate(new))
        return [str(error) for error in (*found, *self.strategy.validate_update(new, old))]

    def warned(self, changes: dict[str, Any]) -> list[str]:
        """Return the warnings about a new object."""
        return list(self.strategy.warnings(self.make(changes), None))

    def row(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Return the table's row by its columns' names."""
        columns, cells = self.strategy.columns or (), self.strategy.cells
        assert cells is not None
        return dict(zip((one.name for one in columns), cells(self.make(changes), 0.0), strict=True))
