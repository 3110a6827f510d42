"""Rules: verbs on resources, or on paths, as roles hold them; matched as upstream matches them.

Upstream: `plugin/pkg/auth/authorizer/rbac`, `pkg/apis/rbac/v1/evaluation_helpers.go`.
"""

from dataclasses import dataclass

from pinnace.apiserver.authorization.interface import Attributes

_ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows verbs on resources of groups (of these names only, when there are any), or on paths."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    def allows(self, attributes: Attributes) -> bool:
        if attributes.verb not in self.verbs and _ANY not in self.verbs:
            return False
        if not attributes.is_resource:
            return any(_path_matches(path, attributes.path) for path in self.paths)
        if attributes.group not in self.groups and _ANY not in self.groups:
            return False
        if self.names and attributes.name not in self.names:
            return False
        return self._covers(attributes)

    def _covers(self, attributes: Attributes) -> bool:
        resources = self.resources
        if _ANY in resources or attributes.resource_path in resources:
            return True
        return bool(attributes.subresource) and f"{_ANY}/{attributes.subresource}" in resources


def on(groups: str, resources: str, verbs: str, *, names: str = "") -> Rule:
    """Write a rule as one reads it: words separated by blanks; the core group is `core`."""
    return Rule(
        verbs=frozenset(verbs.split()),
        groups=frozenset("" if group == "core" else group for group in groups.split()),
        resources=frozenset(resources.split()),
        names=frozenset(names.split()),
    )


def on_paths(verbs: str, *paths: str) -> Rule:
    """Write a rule on paths; one that ends with `*` covers everything it begins."""
    return Rule(verbs=frozenset(verbs.split()), paths=paths)


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith(_ANY) else path == pattern
