"""FlowSchema (upstream pkg/registry/flowcontrol/flowschema, pkg/apis/flowcontrol/validation `ValidateFlowSchema`)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.flowcontrol_v1 import (
    FlowSchema,
    FlowSchemaSpec,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    ResourcePolicyRule,
    Subject,
)
from pinnace.apiserver.registry.defaulting import filled
from pinnace.apiserver.registry.flowcontrol.mandatory import FLOW_SCHEMAS
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.printing import AGE, NAME, age, integer, text
from pinnace.apiserver.registry.strategy import Context, Part, Strategy, spec_changed
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_supported, required
from pinnace.machinery.names import path_segment

Errors = Iterator[FieldError]

DEFAULT_PRECEDENCE = 1000
HIGHEST_PRECEDENCE = 10000
EXEMPT = "exempt"
_SPEC = Path("spec")
_METHODS = ("ByNamespace", "ByUser")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_URL_VERBS = ("delete", "get", "head", "options", "patch", "post", "put")
# Kind of subject → attribute, wire name.
_SUBJECTS = {
    "ServiceAccount": ("service_account", "serviceAccount"),
    "User": ("user", "user"),
    "Group": ("group", "group"),
}


def default(obj: FlowSchema) -> FlowSchema:
    """Fill in the precedence."""
    spec = filled(obj.spec, matching_precedence=DEFAULT_PRECEDENCE)
    return obj if spec is obj.spec else replace(obj, spec=spec)


def prepare_status(ctx: Context, new: FlowSchema, old: FlowSchema) -> FlowSchema:  # noqa: ARG001
    """Take the status alone; managedFields are kept by whoever keeps them."""
    meta = replace(old.metadata, managed_fields=new.metadata.managed_fields)
    return replace(new, metadata=replace(meta, resource_version=new.metadata.resource_version), spec=old.spec)


def validate(obj: FlowSchema) -> Sequence[FieldError]:
    """Check the spec; that of a mandatory schema is fixed."""
    name = obj.metadata.name
    found = [*_spec_errors(name, obj.spec)]
    fixed = FLOW_SCHEMAS.get(name)
    if fixed is not None and obj.spec != fixed:
        found.append(invalid(_SPEC, go_struct(obj.spec), f"spec of '{name}' must equal the fixed value"))
    return (*found, *condition_errors(one.type for one in obj.status.conditions))


def _spec_errors(name: str, spec: FlowSchemaSpec) -> Errors:
    precedence, at = spec.matching_precedence, _SPEC.child("matchingPrecedence")
    if precedence <= 0:
        yield invalid(at, precedence, "must be a positive value")
    if precedence > HIGHEST_PRECEDENCE:
        yield invalid(at, precedence, f"must not be greater than {HIGHEST_PRECEDENCE}")
    if precedence == 1 and name != EXEMPT:
        yield invalid(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1")
    method = spec.distinguisher_method
    if method is not None and method.type not in _METHODS:
        yield not_supported(_SPEC.child("distinguisherMethod", "type"), go_struct(method), _METHODS)
    level, at = spec.priority_level_configuration.name, _SPEC.child("priorityLevelConfiguration", "name")
    if not level:
        yield required(at, "must reference a priority level")
    else:
        yield from (invalid(at, level, words) for words in names.dns_subdomain(level))
    for index, rule in enumerate(spec.rules):
        yield from _rule_errors(rule, _SPEC.child("rules").index(index))


def _rule_errors(rule: PolicyRulesWithSubjects, path: Path) -> Errors:
    if not rule.subjects:
        yield required(path.child("subjects"), "subjects must contain at least one value")
    for index, subject in enumerate(rule.subjects or ()):
        yield from _subject_errors(subject, path.child("subjects").index(index))
    if not rule.resource_rules and not rule.non_resource_rules:
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for index, one in enumerate(rule.resource_rules):
        yield from _resource_rule_errors(one, path.child("resourceRules").index(index))
    for index, other in enumerate(rule.non_resource_rules):
        yield from _url_rule_errors(other, path.child("nonResourceRules").index(index))


def _subject_errors(subject: Subject, path: Path) -> Errors:
    if subject.kind not in _SUBJECTS:
        yield not_supported(path.child("kind"), subject.kind, sorted(_SUBJECTS))
        return
    for kind in ("ServiceAccount", "User", "Group"):
        attribute, wire = _SUBJECTS[kind]
        value = getattr(subject, attribute)
        if kind != subject.kind:
            if value is not None:
                yield forbidden(path.child(wire), f"{wire} is forbidden when subject kind is not '{kind}'")
        elif value is None:
            yield required(path.child(wire), f"{wire} is required when subject kind is '{kind}'")
        elif kind == "ServiceAccount":
            yield from _account_errors(value.namespace, value.name, path.child(wire))
        elif not value.name:
            yield required(path.child(wire).child("name"))


def _account_errors(namespace: str, name: str, path: Path) -> Errors:
    if not name:
        yield required(path.child("name"))
    elif name != "*":
        yield from (invalid(path.child("name"), name, words) for words in names.dns_subdomain(name))
    if namespace:
        yield from (invalid(path.child("namespace"), namespace, words) for words in names.dns_label(namespace))
    else:
        yield required(path.child("namespace"), "must specify namespace for service account")


def _all_or_some(values: Sequence[str] | None, path: Path, empty: str, what: str) -> Errors:
    """Check a list that has at least one item, or nothing beside a star."""
    if not values:
        yield required(path, empty)
    elif len(values) > 1 and "*" in values:
        yield invalid(path, list(values), f"if '*' is present, must not specify other {what}")


def _resource_rule_errors(rule: ResourcePolicyRule, path: Path) -> Errors:
    verbs, at = rule.verbs or (), path.child("verbs")
    if not verbs:
        yield required(at, "verbs must contain at least one value")
    elif "*" in verbs:
        if len(verbs) > 1:
            yield invalid(at, list(verbs), "if '*' is present, must not specify other verbs")
    elif not set(verbs) <= set(_VERBS):
        yield not_supported(at, list(verbs), _VERBS)
    groups = path.child("apiGroups")
    yield from _all_or_some(rule.api_groups, groups, "resource rules must supply at least one api group", "api groups")
    resources = path.child("resources")
    yield from _all_or_some(rule.resources, resources, "resource rules must supply at least one resource", "resources")
    namespaces = path.child("namespaces")
    if not rule.namespaces:
        if not rule.cluster_scope:
            text = "resource rules that are not cluster scoped must supply at least one namespace"
            yield required(namespaces, text)
    elif "*" in rule.namespaces:
        if len(rule.namespaces) > 1:
            yield invalid(namespaces, list(rule.namespaces), "if '*' is present, must not specify other namespaces")
    else:
        for index, name in enumerate(rule.namespaces):
            for words in names.dns_label(name):
                yield invalid(
                    namespaces.index(index), name, f"nonempty list element does not have expected format: {words}"
                )


def _url_rule_errors(rule: NonResourcePolicyRule, path: Path) -> Errors:
    verbs, at = rule.verbs or (), path.child("verbs")
    if not verbs:
        yield required(at, "verbs must contain at least one value")
    elif "*" in verbs:
        if len(verbs) > 1:
            yield invalid(at, list(verbs), "if '*' is present, must not specify other verbs")
    elif not set(verbs) <= set(_URL_VERBS):
        yield not_supported(at, list(verbs), _URL_VERBS)
    urls, at = rule.non_resource_urls or (), path.child("nonResourceURLs")
    if not urls:
        yield required(at, "nonResourceURLs must contain at least one value")
    elif "*" in urls:
        if len(urls) > 1:
            text = "if '*' is present, must not specify other non-resource URLs"
            yield invalid(at, list(urls), text)
    else:
        for index, url in enumerate(urls):
            yield from _url_errors(url, at.index(index))


def _url_errors(url: str, path: Path) -> Errors:
    if not url:
        yield invalid(path, url, "must not be empty")
        return
    if not url.startswith("/"):
        yield invalid(path, url, "must start with slash")
    if " " in url:
        yield invalid(path, url, "must not contain white-space")
    if "//" in url:
        yield invalid(path, url, "must not contain double slash")
    before, star, after = url.partition("*")
    if star and not (before.endswith("/") and not after):
        yield invalid(path, url, "wildcard can only do suffix matching")


def condition_errors(types: Iterable[str]) -> Errors:
    """Check the types of a status's conditions: each once, and none empty."""
    taken = set()
    for index, kind in enumerate(types):
        path = Path("status", "conditions").index(index).child("type")
        if kind in taken:
            yield duplicate(path, kind)
        taken.add(kind)
        if not kind:
            yield required(path)


def cells(obj: FlowSchema, now: float) -> Sequence[Any]:
    """Return the row."""
    method = obj.spec.distinguisher_method
    dangling = next((one.status for one in obj.status.conditions if one.type == "Dangling"), "?")
    return (
        obj.metadata.name,
        obj.spec.priority_level_configuration.name,
        obj.spec.matching_precedence,
        method.type if method is not None else "<none>",
        age(obj, now),
        dangling,
    )


STRATEGY: Strategy[FlowSchema] = Strategy(
    default=default,
    validate=validate,
    name_errors=path_segment,
    generation=spec_changed,
    columns=(
        NAME,
        text("PriorityLevel", "Where its requests are queued."),
        integer("MatchingPrecedence", "Lower ones are matched first."),
        text("DistinguisherMethod", "What makes a flow."),
        AGE,
        text("MissingPL", "Whether the level is missing."),
    ),
    cells=cells,
    parts={"status": Part(prepare_update=prepare_status, validate_update=lambda new, old: validate(new))},  # noqa: ARG005
)
