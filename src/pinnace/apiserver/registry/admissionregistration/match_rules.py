"""Which requests admission looks at: rules, selectors, match conditions.

Shared by webhook configurations and policies. Upstream: pkg/apis/admissionregistration/validation.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.admissionregistration_v1 import (
    MatchCondition,
    MatchResources,
    NamedRuleWithOperations,
    RuleWithOperations,
)
from pinnace.api.meta_v1 import LabelSelector
from pinnace.apiserver.cel.declarations import Environment
from pinnace.apiserver.cel.types import BOOL
from pinnace.apiserver.registry.admissionregistration.expressions import expression_errors
from pinnace.apiserver.registry.defaulting import changed, each, filled
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required, too_many

Errors = Iterator[FieldError]

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
CONDITIONS_LIMIT = 64
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


def default_rule(rule: Any) -> Any:
    """Let a rule hold for both scopes unless it says otherwise."""
    return filled(rule, scope="*")


def default_match(match: MatchResources) -> MatchResources:
    """Fill in selectors that select everything, and the policy."""
    match = changed(
        match,
        resource_rules=each(match.resource_rules, default_rule),
        exclude_resource_rules=each(match.exclude_resource_rules, default_rule),
    )
    match = filled(match, match_policy="Equivalent")
    if match.namespace_selector is None:
        match = replace(match, namespace_selector=LabelSelector())
    return match if match.object_selector is not None else replace(match, object_selector=LabelSelector())


def match_errors(match: MatchResources, path: Path) -> Errors:
    """Check what a policy matches."""
    if match.match_policy is None:
        yield required(path.child("matchPolicy"))
    elif match.match_policy not in MATCH_POLICIES:
        yield not_supported(path.child("matchPolicy"), match.match_policy, MATCH_POLICIES)
    for selector, wire in ((match.namespace_selector, "namespaceSelector"), (match.object_selector, "objectSelector")):
        if selector is None:
            yield required(path.child(wire))
        yield from selector_errors(selector, path.child(wire))
    for rules, wire in (
        (match.resource_rules, "resourceRules"),
        (match.exclude_resource_rules, "excludeResourceRules"),
    ):
        for index, rule in enumerate(rules):
            yield from _named_rule_errors(rule, path.child(wire).index(index))


def _named_rule_errors(rule: NamedRuleWithOperations, path: Path) -> Errors:
    taken: set[str] = set()
    for index, name in enumerate(rule.resource_names):
        at = path.child("resourceNames").index(index)
        yield from (invalid(at, name, words) for words in names.path_segment(name))
        if name in taken:
            yield duplicate(at, name)
        taken.add(name)
    yield from rule_errors(rule, path)


def rule_errors(rule: RuleWithOperations | NamedRuleWithOperations, path: Path) -> Errors:
    """Check a rule: operations, groups, versions, resources, scope."""
    at = path.child("operations")
    yield from _star_errors(rule.operations, at, "operations")
    for index, operation in enumerate(rule.operations):
        if operation not in _OPERATIONS:
            yield not_supported(at.index(index), operation, _OPERATIONS)
    yield from _star_errors(rule.api_groups, path.child("apiGroups"), "API groups")
    versions: Sequence[str] = getattr(rule, "api_versions", ())
    at = path.child("apiVersions")
    yield from _star_errors(versions, at, "API versions")
    for index, version in enumerate(versions):
        if not version:
            yield required(at.index(index))
    yield from _resource_errors(rule.resources, path.child("resources"))
    if rule.scope is not None and rule.scope not in _SCOPES:
        yield not_supported(path.child("scope"), rule.scope, _SCOPES)


def _star_errors(values: Sequence[str], path: Path, what: str) -> Errors:
    """Check a list that has an item at least, and nothing beside a star."""
    if not values:
        yield required(path)
    if len(values) > 1 and "*" in values:
        yield invalid(path, list(values), f"if '*' is present, must not specify other {what}")


def _resource_errors(resources: Sequence[str], path: Path) -> Errors:
    if not resources:
        yield required(path)
    all_parts: set[str] = set()
    of_all: set[str] = set()
    has_plain = False
    for index, text in enumerate(resources):
        at = path.index(index)
        if not text:
            yield required(at)
        resource, slash, part = text.partition("/")
        if not slash:
            has_plain = has_plain or text != "*"
            continue
        if resource in all_parts:
            yield invalid(at, text, f"if '{resource}/*' is present, must not specify {text}")
        if part in of_all:
            yield invalid(at, text, f"if '*/{part}' is present, must not specify {text}")
        if part == "*":
            all_parts.add(resource)
        if resource == "*":
            of_all.add(part)
    if len(resources) > 1 and "*/*" in resources:
        yield invalid(path, list(resources), "if '*/*' is present, must not specify other resources")
    if "*" in resources and has_plain:
        text = "if '*' is present, must not specify other resources without subresources"
        yield invalid(path, list(resources), text)


def condition_errors(conditions: Sequence[MatchCondition], path: Path, environment: Environment) -> Errors:
    """Check match conditions: named, each once, with an expression that compiles."""
    if len(conditions) > CONDITIONS_LIMIT:
        yield too_many(path, len(conditions), CONDITIONS_LIMIT)
    taken: set[str] = set()
    for index, condition in enumerate(conditions):
        at = path.index(index)
        expression = condition.expression.strip()
        if not expression:
            yield required(at.child("expression"))
        else:
            yield from expression_errors(expression, at.child("expression"), environment, BOOL)
        name = condition.name
        if not name:
            yield required(at.child("name"))
            continue
        yield from (invalid(at.child("name"), name, words) for words in names.qualified_name(name))
        if name in taken:
            yield duplicate(at.child("name"), name)
        taken.add(name)
