"""Which flow schema a request belongs to, and which flow within it.

Schemas are asked in the order of their precedence, then of their names; the first that matches decides. Upstream: apiserver
`util/flowcontrol/rule.go`, `util/flowcontrol/formatting.go`.
"""

from collections.abc import Iterable, Sequence

from pinnace.api.flowcontrol_v1 import (
    FlowSchema,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    ResourcePolicyRule,
    Subject,
)
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.component.http import UserInfo

_ALL = "*"
_SERVICE_ACCOUNT = "system:serviceaccount:"


def in_order(schemas: Iterable[FlowSchema]) -> Sequence[FlowSchema]:
    """Return schemas in the order in which they are asked."""
    return sorted(schemas, key=lambda schema: (schema.spec.matching_precedence, schema.metadata.name))


def matches(schema: FlowSchema, info: RequestInfo, user: UserInfo) -> bool:
    """Tell whether a schema takes a request."""
    return any(_rule_matches(rule, info, user) for rule in schema.spec.rules)


def named_users(schemas: Iterable[FlowSchema]) -> frozenset[str]:
    """Return the users whom schemas name, one by one."""
    subjects = (subject for schema in schemas for rule in schema.spec.rules for subject in rule.subjects or ())
    return frozenset(subject.user.name for subject in subjects if subject.user is not None)


def is_service_account(user: UserInfo) -> bool:
    """Tell whether a user is one that schemas may pick by its namespace."""
    return user.name.startswith(_SERVICE_ACCOUNT)


def distinguisher(schema: FlowSchema, info: RequestInfo, user: UserInfo) -> str:
    """Return what tells the flows of a schema apart; empty when it has one only."""
    method = schema.spec.distinguisher_method
    if method is None:
        return ""
    return user.name if method.type == "ByUser" else info.namespace


def _rule_matches(rule: PolicyRulesWithSubjects, info: RequestInfo, user: UserInfo) -> bool:
    if not any(_subject_matches(subject, user) for subject in rule.subjects or ()):
        return False
    if info.is_resource:
        return any(_resource_matches(one, info) for one in rule.resource_rules)
    return any(_url_matches(one, info) for one in rule.non_resource_rules)


def _subject_matches(subject: Subject, user: UserInfo) -> bool:
    if subject.user is not None:
        return subject.user.name in {_ALL, user.name}
    if subject.group is not None:
        return subject.group.name == _ALL or subject.group.name in user.groups
    if subject.service_account is not None:
        wanted = subject.service_account
        prefix = f"{_SERVICE_ACCOUNT}{wanted.namespace}:"
        return user.name.startswith(prefix) and wanted.name in {_ALL, user.name.removeprefix(prefix)}
    return False


def _has(wanted: Sequence[str] | None, value: str) -> bool:
    return wanted is not None and (_ALL in wanted or value in wanted)


def _resource_matches(rule: ResourcePolicyRule, info: RequestInfo) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if not (_has(rule.verbs, info.verb) and _has(rule.api_groups, info.group) and _has(rule.resources, resource)):
        return False
    return _has(rule.namespaces, info.namespace) if info.namespace else rule.cluster_scope


def _url_matches(rule: NonResourcePolicyRule, info: RequestInfo) -> bool:
    if not _has(rule.verbs, info.verb):
        return False
    return any(
        url == info.path or (url.endswith(_ALL) and info.path.startswith(url[:-1]))
        for url in rule.non_resource_urls or ()
    )
