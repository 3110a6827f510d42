"""Role and ClusterRole (upstream pkg/apis/rbac/validation, pkg/registry/rbac/{role,clusterrole}).

Whether a user may write a role at all depends on the rules the user holds: that is the check of `authorization/escalation.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.rbac_v1 import ClusterRole, PolicyRule, Role
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery.field import FieldError, Path, invalid, required
from pinnace.machinery.names import path_segment

R = TypeVar("R", Role, ClusterRole)

_RULES = Path("rules")
_SELECTORS = Path("aggregationRule", "clusterRoleSelectors")


def default(obj: R) -> R:
    """Make no rules of an empty list of them, as storage upstream does."""
    return replace(obj, rules=None) if obj.rules == () else obj


def validate_role(obj: Role) -> Sequence[FieldError]:
    """Check the rules, which hold inside a namespace."""
    return tuple(_rule_errors(obj.rules or (), namespaced=True))


def validate_cluster_role(obj: ClusterRole) -> Sequence[FieldError]:
    """Check the rules, and what picks the roles that they are gathered from."""
    return (*_rule_errors(obj.rules or (), namespaced=False), *_aggregation_errors(obj))


def _rule_errors(rules: Iterable[PolicyRule], *, namespaced: bool) -> Iterator[FieldError]:
    for index, rule in enumerate(rules):
        path = _RULES.index(index)
        if not rule.verbs:
            yield required(path.child("verbs"), "verbs must contain at least one value")
        if rule.non_resource_urls:
            urls, shown = path.child("nonResourceURLs"), list(rule.non_resource_urls)
            if namespaced:
                yield invalid(urls, shown, "namespaced rules cannot apply to non-resource URLs")
            if rule.api_groups or rule.resources or rule.resource_names:
                yield invalid(urls, shown, "rules cannot apply to both regular resources and non-resource URLs")
            continue
        if not rule.api_groups:
            yield required(path.child("apiGroups"), "resource rules must supply at least one api group")
        if not rule.resources:
            yield required(path.child("resources"), "resource rules must supply at least one resource")


def _aggregation_errors(obj: ClusterRole) -> Iterator[FieldError]:
    if obj.aggregation_rule is None:
        return
    selectors = obj.aggregation_rule.cluster_role_selectors
    if not selectors:
        yield required(_SELECTORS, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(selectors):
        found = tuple(selector_errors(selector, _SELECTORS.index(index)))
        yield from found
        if found:
            yield invalid(_SELECTORS.index(index), None, "invalid label selector.")


ROLE: Strategy[Role] = Strategy(
    default=default, validate=validate_role, name_errors=path_segment, allow_create_on_update=True
)
CLUSTER_ROLE: Strategy[ClusterRole] = Strategy(
    default=default, validate=validate_cluster_role, name_errors=path_segment, allow_create_on_update=True
)
