"""Nobody grants what they do not hold: the check of every write to a role or binding.

A user may write a role whose rules the user is granted in the same place, or with the verb `escalate` on it; and bind a role on the same
terms, or with the verb `bind`. Masters may do both. It runs as the last step of mutating admission, so it sees the rules that would
be stored. Upstream: `pkg/registry/rbac/escalation_check.go`, `pkg/registry/rbac/*/policybased/storage.go`.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef
from pinnace.apiserver.admission import Attributes as Write
from pinnace.apiserver.admission import Plugin
from pinnace.apiserver.authorization.interface import Attributes, Authorizer, Decision
from pinnace.apiserver.authorization.roles import Roles
from pinnace.apiserver.authorization.rules import compacted, quoted, shown, uncovered
from pinnace.apiserver.authorization.union import MASTERS
from pinnace.component.http import UserInfo
from pinnace.machinery.errors import NotFound, not_found

_GROUP = "rbac.authorization.k8s.io"
_KINDS = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings"})
_EVERYTHING = (
    PolicyRule(verbs=("*",), api_groups=("*",), resources=("*",)),
    PolicyRule(verbs=("*",), non_resource_urls=("*",)),
)


class EscalationCheck(Plugin):
    """Refuses roles and bindings that would give more than their writer has."""

    def __init__(self, roles: Roles, authorizer: Authorizer) -> None:
        self._roles = roles
        self._authorizer = authorizer

    async def mutate(self, attributes: Write, obj: Any, old: Any) -> Any:
        if attributes.group != _GROUP or attributes.resource not in _KINDS or obj is None:
            return obj
        if MASTERS in attributes.user.groups or _keeps_its_content(obj, old):
            return obj
        if isinstance(obj, RoleBinding | ClusterRoleBinding):
            await self._check_binding(attributes, obj)
        else:
            await self._check_role(attributes, obj, old)
        return obj

    async def _check_role(self, write: Write, role: Role | ClusterRole, old: Role | ClusterRole | None) -> None:
        if await self._may(write.user, "escalate", write.resource, write.namespace, write.name):
            return
        self._check_held(write, role.rules or (), role.metadata.name)
        if (_gathers(role) or _gathers(old)) and self._lacking(write, _EVERYTHING)[0]:
            # Who says what a role is gathered from could gather anything.
            text = "must have cluster-admin privileges to use the aggregationRule"
            raise write.refuse(text, name=role.metadata.name)

    async def _check_binding(self, write: Write, binding: RoleBinding | ClusterRoleBinding) -> None:
        ref: RoleRef = binding.role_ref
        plural = {"Role": "roles", "ClusterRole": "clusterroles"}.get(ref.kind, "")
        if plural and await self._may(write.user, "bind", plural, write.namespace, ref.name):
            return
        self._roles.refresh()
        try:
            rules = self._roles.rules_of(ref, write.namespace)
        except NotFound:
            raise not_found(_GROUP, plural, ref.name) from None
        self._check_held(write, rules, binding.metadata.name)

    async def _may(self, user: UserInfo, verb: str, plural: str, namespace: str, name: str) -> bool:
        verdict = await self._authorizer.authorize(
            Attributes(
                user=user,
                verb=verb,
                is_resource=True,
                group=_GROUP,
                version="*",
                resource=plural,
                namespace=namespace,
                name=name,
            )
        )
        return verdict.decision is Decision.ALLOWED

    def _lacking(self, write: Write, wanted: Sequence[PolicyRule]) -> tuple[tuple[PolicyRule, ...], tuple[str, ...]]:
        """Return what the user does not hold of the rules wanted, and what could not be found out."""
        self._roles.refresh()
        granted = self._roles.rules_for(write.user, write.namespace)
        return uncovered(granted.rules, wanted), granted.failures

    def _check_held(self, write: Write, wanted: Sequence[PolicyRule], name: str) -> None:
        missing, failures = self._lacking(write, wanted)
        if not missing:
            return
        user = write.user
        listed = "\n".join(sorted({shown(rule) for rule in compacted(missing)}))
        text = (
            f'user "{user.name}" (groups={quoted(user.groups)}) is attempting to grant RBAC permissions '
            f"not currently held:\n{listed}"
        )
        if failures:
            text += f"; resolution errors: [{', '.join(failures)}]"
        raise write.refuse(text, name=name)


def _gathers(role: Role | ClusterRole | None) -> bool:
    return (
        isinstance(role, ClusterRole)
        and role.aggregation_rule is not None
        and bool(role.aggregation_rule.cluster_role_selectors)
    )


def _keeps_its_content(obj: Any, old: Any) -> bool:
    """Tell whether a write touches nothing but what garbage collection needs to touch."""
    if old is None:
        return False
    meta = replace(
        obj.metadata,
        owner_references=old.metadata.owner_references,
        finalizers=old.metadata.finalizers,
        managed_fields=old.metadata.managed_fields,
        resource_version=old.metadata.resource_version,
    )
    same: bool = replace(obj, kind=old.kind, api_version=old.api_version, metadata=meta) == old
    return same
