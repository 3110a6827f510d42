"""Authorizers over objects that a test lists, without a server."""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Pod
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from pinnace.apiserver.authorization import (
    Attributes,
    Authorizer,
    Authorizers,
    MastersAuthorizer,
    NodeAuthorizer,
    NodeGraph,
    RbacAuthorizer,
    Roles,
)
from pinnace.apiserver.authorization.policy.cluster_roles import cluster_role_bindings, cluster_roles
from pinnace.apiserver.authorization.policy.controller_roles import controller_role_bindings, controller_roles
from pinnace.apiserver.authorization.policy.namespace_roles import namespace_role_bindings, namespace_roles
from pinnace.component.http import UserInfo
from pinnace.machinery.selectors import FieldSelector


@dataclass(frozen=True)
class Item:
    """An object as a cache holds it."""

    object: Any

    @property
    def name(self) -> str:
        return str(self.object.metadata.name)

    @property
    def key(self) -> str:
        return f"{self.object.metadata.namespace}/{self.name}"


class Source:
    """The cache of one kind, that a test may write to."""

    def __init__(self, objects: tuple[Any, ...] = ()) -> None:
        self._items = {item.key: item for item in map(Item, objects)}
        self.changed = 1

    def put(self, obj: Any) -> None:
        item = Item(obj)
        self._items[item.key] = item
        self.changed += 1

    def remove(self, obj: Any) -> None:
        del self._items[Item(obj).key]
        self.changed += 1

    def current(self, namespace: str = "", fields: FieldSelector = FieldSelector()) -> list[Item]:  # noqa: B008
        found = [one for one in self._items.values() if not namespace or one.object.metadata.namespace == namespace]
        node = fields.exact("spec.nodeName")
        return found if node is None else [one for one in found if one.object.spec.node_name == node]


class Objects:
    """Other objects, by their type."""

    def __init__(self, *objects: Any) -> None:
        self._objects = list(objects)

    async def get(self, cls: type[Any], name: str, namespace: str = "") -> Any:
        return next((one for one in await self.list(cls, namespace) if one.metadata.name == name), None)

    async def list(self, cls: type[Any], namespace: str = "") -> tuple[Any, ...]:
        return tuple(
            one
            for one in self._objects
            if isinstance(one, cls) and (not namespace or one.metadata.namespace == namespace)
        )


class Policy:
    """The bootstrap policy with a test's own roles and bindings; `admin`, `edit` and `view` are gathered."""

    def __init__(self, *objects: Any, bootstrap: bool = True) -> None:
        everything: list[Any] = list(objects)
        if bootstrap:
            everything += [*namespace_roles(), *controller_roles(), *_gathered(cluster_roles())]
            everything += [*namespace_role_bindings(), *cluster_role_bindings(), *controller_role_bindings()]
        self.sources = {
            cls: Source(tuple(one for one in everything if isinstance(one, cls)))
            for cls in (Role, RoleBinding, ClusterRole, ClusterRoleBinding)
        }
        self.pods = Source(tuple(one for one in everything if isinstance(one, Pod)))
        self.roles = Roles(*self.sources.values())
        self.rbac = RbacAuthorizer(self.roles)
        graph = NodeGraph(self.pods, Objects(*everything))
        self.authorizer: Authorizer = Authorizers(MastersAuthorizer(), NodeAuthorizer(graph), self.rbac)


def _gathered(roles: tuple[ClusterRole, ...]) -> list[ClusterRole]:
    """Do what the aggregation controller does, as often as it takes."""
    known = {role.metadata.name: role for role in roles}
    for name in ("view", "edit", "admin"):
        role = known[name]
        assert role.aggregation_rule is not None
        labels = role.aggregation_rule.cluster_role_selectors[0].match_labels
        sources = [one for one in known.values() if labels.items() <= one.metadata.labels.items() and one is not role]
        rules = dict.fromkeys(rule for one in sources for rule in one.rules or ())
        known[name] = replace(role, rules=tuple(rules))
    return list(known.values())


def user(name: str, *groups: str) -> UserInfo:
    """Return an authenticated user."""
    return UserInfo(name, groups=(*groups, "system:authenticated"))


def account(namespace: str, name: str) -> UserInfo:
    """Return a service account as a user."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return user(f"system:serviceaccount:{namespace}:{name}", *groups)


def node(name: str) -> UserInfo:
    """Return a node as a user."""
    return user(f"system:node:{name}", "system:nodes")


ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))


def resource(who: UserInfo, verb: str, what: str, group: str = "", **fields: Any) -> Attributes:
    """Return a request on a resource, `pods` or `pods/log`."""
    plural, _, subresource = what.partition("/")
    return Attributes(
        user=who, verb=verb, is_resource=True, group=group, resource=plural, subresource=subresource, **fields
    )


def path(who: UserInfo, where: str, verb: str = "get") -> Attributes:
    """Return a request on a path."""
    return Attributes(user=who, verb=verb, path=where)
