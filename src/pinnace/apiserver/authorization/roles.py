"""Which rules a user has where: the roles and bindings of the cluster, read from the caches and kept decoded.

Invariant: `rules_for` goes by every write to a role or binding that has been answered. Only what has changed since the last question
is read again. Upstream: `pkg/registry/rbac/validation/rule.go`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from pinnace.component.http import UserInfo
from pinnace.machinery import errors

ACCOUNT_PREFIX = "system:serviceaccount:"
_GROUP = "rbac.authorization.k8s.io"


class Item(Protocol):
    """An object as a cache holds it."""

    @property
    def key(self) -> str: ...
    @property
    def object(self) -> Any: ...


class Source(Protocol):
    """The cache of one kind."""

    @property
    def changed(self) -> int:
        """Return the revision of the kind's last change."""

    def current(self, namespace: str = "") -> Iterable[Item]:
        """Return what is there."""


class Grant(Struct, frozen=True):
    """A rule with what gives it to the user, as reasons name it."""

    rule: PolicyRule
    reason: str


class Granted(Struct, frozen=True):
    """All that a user is granted in a namespace (or cluster-wide), and what could not be found out."""

    grants: tuple[Grant, ...]
    failures: tuple[str, ...]

    @property
    def rules(self) -> tuple[PolicyRule, ...]:
        return tuple(grant.rule for grant in self.grants)


class _Decoded:
    """The objects of one source, decoded once a version."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen = -1
        self._items: dict[str, tuple[Item, Any]] = {}

    def refresh(self) -> bool:
        """Read what is new; tell whether there was anything."""
        if self._source.changed == self._seen:
            return False
        self._seen = self._source.changed
        known, self._items = self._items, {}
        for item in self._source.current():
            old = known.get(item.key)
            self._items[item.key] = old if old is not None and old[0] is item else (item, item.object)
        return True

    def objects(self) -> Iterator[Any]:
        return (obj for _, obj in self._items.values())


_Bindings = Mapping[str, Sequence[tuple[int, RoleBinding | ClusterRoleBinding, Subject]]]


class Roles:
    """The roles and bindings of a cluster."""

    def __init__(
        self, roles: Source, role_bindings: Source, cluster_roles: Source, cluster_role_bindings: Source
    ) -> None:
        self._sources = tuple(map(_Decoded, (roles, role_bindings, cluster_roles, cluster_role_bindings)))
        self._roles: dict[tuple[str, str], Role] = {}
        self._cluster_roles: dict[str, ClusterRole] = {}
        # By namespace (empty: everywhere) and subject.
        self._bindings: dict[str, _Bindings] = {}

    def refresh(self) -> bool:
        """Take up changes; tell whether there were any."""
        roles, role_bindings, cluster_roles, cluster_role_bindings = self._sources
        changed = False
        if roles.refresh():
            changed = True
            self._roles = {(obj.metadata.namespace, obj.metadata.name): obj for obj in roles.objects()}
        if cluster_roles.refresh():
            changed = True
            self._cluster_roles = {obj.metadata.name: obj for obj in cluster_roles.objects()}
        # Both are asked: what one does not read now would be read as old later.
        if role_bindings.refresh() | cluster_role_bindings.refresh():
            changed = True
            self._index(role_bindings.objects(), cluster_role_bindings.objects())
        return changed

    def _index(self, bindings: Iterable[RoleBinding], cluster_bindings: Iterable[ClusterRoleBinding]) -> None:
        found: dict[str, dict[str, list[tuple[int, RoleBinding | ClusterRoleBinding, Subject]]]] = {}
        both: tuple[RoleBinding | ClusterRoleBinding, ...] = (*cluster_bindings, *bindings)
        for place, one in enumerate(both):
            namespace = one.metadata.namespace
            subjects = found.setdefault(namespace, {})
            for subject in one.subjects:
                subjects.setdefault(_key(subject, namespace), []).append((place, one, subject))
        self._bindings = dict(found)

    def rules_for(self, user: UserInfo, namespace: str) -> Granted:
        """Return what a user is granted everywhere and, when a namespace is given, there; call `refresh` before."""
        grants: list[Grant] = []
        failures: list[str] = []
        keys = (f"u{user.name}", *(f"g{group}" for group in user.groups))
        for where in ("", namespace) if namespace else ("",):
            by_subject = self._bindings.get(where, {})
            applying: dict[int, tuple[RoleBinding | ClusterRoleBinding, Subject]] = {}
            for key in keys:
                for place, one, subject in by_subject.get(key, ()):
                    applying.setdefault(place, (one, subject))
            for place in sorted(applying):
                one, subject = applying[place]
                try:
                    rules = self.rules_of(one.role_ref, where)
                except errors.NotFound as error:
                    failures.append(str(error))
                    continue
                reason = _reason(one, subject)
                grants += (Grant(rule, reason) for rule in rules)
        return Granted(tuple(grants), tuple(failures))

    def rules_of(self, ref: RoleRef, namespace: str) -> tuple[PolicyRule, ...]:
        """Return the rules of a role that a binding in a namespace names.

        Raises:
            NotFound: there is no such role.
        """
        found = self._roles.get((namespace, ref.name)) if ref.kind == "Role" else self._cluster_roles.get(ref.name)
        if found is None:
            raise errors.not_found(_GROUP, ref.kind.lower(), ref.name)
        return found.rules or ()


def _key(subject: Subject, namespace: str) -> str:
    if subject.kind == "Group":
        return f"g{subject.name}"
    if subject.kind == "ServiceAccount":
        return f"u{ACCOUNT_PREFIX}{subject.namespace or namespace}:{subject.name}"
    return f"u{subject.name}"


def _reason(one: RoleBinding | ClusterRoleBinding, subject: Subject) -> str:
    meta, ref = one.metadata, one.role_ref
    kind, name = (
        ("RoleBinding", f"{meta.name}/{meta.namespace}") if meta.namespace else ("ClusterRoleBinding", meta.name)
    )
    whom = subject.name
    if subject.kind == "ServiceAccount":
        whom = f"{subject.name}/{subject.namespace or meta.namespace}"
    return f'RBAC: allowed by {kind} "{name}" of {ref.kind} "{ref.name}" to {subject.kind} "{whom}"'
