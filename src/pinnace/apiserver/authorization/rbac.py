"""Role-based authorization: a request is allowed when a role that is bound to its user has a rule for it.

Decisions are remembered without the object's name, which rules seldom look at, until any role or binding changes; so the usual request
costs one lookup, and a change counts from the next request on. Upstream: `plugin/pkg/auth/authorizer/rbac/rbac.go`.
"""

from msgspec import Struct

from pinnace.apiserver.authorization.interface import NO_OPINION, Attributes, Authorizer, Decision, Verdict
from pinnace.apiserver.authorization.roles import Granted, Roles
from pinnace.apiserver.authorization.rules import allows_path, allows_resource
from pinnace.machinery.memo import is_short

# Decisions that are remembered; clients choose paths and namespaces, so there has to be an end.
_REMEMBERED = 16_384


class _Answer(Struct, frozen=True):
    """What is decided for a verb on a resource: by name first, then for all."""

    by_name: tuple[tuple[frozenset[str], Verdict], ...]
    otherwise: Verdict


class RbacAuthorizer(Authorizer):
    """Authorizes by Role, ClusterRole, RoleBinding and ClusterRoleBinding."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._answers: dict[tuple[object, ...], _Answer] = {}
        self._granted: dict[tuple[object, ...], Granted] = {}

    async def authorize(self, attributes: Attributes) -> Verdict:
        if self._roles.refresh() or len(self._answers) >= _REMEMBERED:
            self._answers.clear()
            self._granted.clear()
        user = attributes.user
        if attributes.is_resource:
            key: tuple[str | tuple[str, ...], ...] = (
                user.name,
                user.groups,
                attributes.verb,
                attributes.group,
                attributes.resource,
                attributes.subresource,
                attributes.namespace,
            )
        else:
            key = (user.name, user.groups, attributes.verb, attributes.path)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._decide(attributes)
            if is_short(key):
                self._answers[key] = answer
        for names, verdict in answer.by_name:
            if attributes.name in names:
                return verdict
        return answer.otherwise

    def _decide(self, attributes: Attributes) -> _Answer:
        granted = self._rules(attributes)
        by_name: list[tuple[frozenset[str], Verdict]] = []
        for grant in granted.grants:
            rule = grant.rule
            if not attributes.is_resource:
                if allows_path(rule, attributes.verb, attributes.path):
                    return _Answer((), Verdict(Decision.ALLOWED, grant.reason))
                continue
            if not allows_resource(
                rule, attributes.verb, attributes.group, attributes.resource, attributes.subresource
            ):
                continue
            verdict = Verdict(Decision.ALLOWED, grant.reason)
            if not rule.resource_names:
                return _Answer(tuple(by_name), verdict)
            by_name.append((frozenset(rule.resource_names), verdict))
        failures = granted.failures
        if not failures:
            return _Answer(tuple(by_name), NO_OPINION)
        listed = failures[0] if len(failures) == 1 else f"[{', '.join(dict.fromkeys(failures))}]"
        return _Answer(tuple(by_name), Verdict(Decision.NO_OPINION, f"RBAC: {listed}"))

    def _rules(self, attributes: Attributes) -> Granted:
        user, namespace = attributes.user, attributes.namespace if attributes.is_resource else ""
        key: tuple[str | tuple[str, ...], ...] = (user.name, user.groups, namespace)
        granted = self._granted.get(key)
        if granted is None:
            granted = self._roles.rules_for(user, namespace)
            if is_short(key):
                self._granted[key] = granted
        return granted
