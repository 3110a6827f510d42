"""Rules as roles hold them: what one allows, and whether rules cover others.

Upstream: `plugin/pkg/auth/authorizer/rbac`, `pkg/apis/rbac/v1/evaluation_helpers.go`, `component-helpers/auth/rbac/validation/policy_comparator.go`.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from pinnace.api.rbac_v1 import PolicyRule
from pinnace.apiserver.authorization.interface import Attributes

ANY = "*"


def allows(rule: PolicyRule, attributes: Attributes) -> bool:
    """Tell whether a rule allows a request."""
    if not attributes.is_resource:
        return allows_path(rule, attributes.verb, attributes.path)
    return allows_resource(rule, attributes.verb, attributes.group, attributes.resource, attributes.subresource) and (
        not rule.resource_names or attributes.name in rule.resource_names
    )


def allows_resource(rule: PolicyRule, verb: str, group: str, resource: str, subresource: str) -> bool:
    """Tell whether a rule is about a verb on a resource, whatever names it is narrowed to."""
    if not _has(rule.verbs or (), verb) or not _has(rule.api_groups, group):
        return False
    resources = rule.resources
    if ANY in resources:
        return True
    if not subresource:
        return resource in resources
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def allows_path(rule: PolicyRule, verb: str, path: str) -> bool:
    """Tell whether a rule is about a verb on a path that is no resource's."""
    return _has(rule.verbs or (), verb) and any(_path_matches(pattern, path) for pattern in rule.non_resource_urls)


def allowed_by_any(rules: Iterable[PolicyRule], attributes: Attributes) -> bool:
    """Tell whether one of the rules allows a request."""
    return any(allows(rule, attributes) for rule in rules)


def uncovered(held: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Return what is wanted and not held, each as a rule on one verb of one resource or path."""
    return tuple(part for rule in wanted for part in _parts(rule) if not any(_covers(one, part) for one in held))


def compacted(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Put rules together that differ in their verbs only; each has one resource and one name at most, or is left as it is."""
    found: dict[tuple[tuple[str, ...], ...], PolicyRule] = {}
    rest: list[PolicyRule] = []
    for rule in rules:
        if rule.non_resource_urls or len(rule.api_groups) != 1 or len(rule.resources) != 1:
            rest.append(rule)
            continue
        key = (rule.api_groups, rule.resources, rule.resource_names)
        known = found.get(key)
        verbs = (*((known.verbs or ()) if known is not None else ()), *(rule.verbs or ()))
        found[key] = replace(rule, verbs=tuple(dict.fromkeys(verbs)))
    return (*found.values(), *rest)


def shown(rule: PolicyRule) -> str:
    """Return a rule as refusals print it."""
    parts = (
        ("APIGroups", rule.api_groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.non_resource_urls),
        ("ResourceNames", rule.resource_names),
        ("Verbs", rule.verbs or ()),
    )
    return "{" + ", ".join(f"{name}:{quoted(words)}" for name, words in parts if words) + "}"


def quoted(words: Iterable[str]) -> str:
    """Return words as Go prints a slice of quoted strings."""
    return "[" + " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words) + "]"


def _has(words: Sequence[str], word: str) -> bool:
    return word in words or ANY in words


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern.rstrip(ANY)) if pattern.endswith(ANY) else path == pattern


def _parts(rule: PolicyRule) -> Iterator[PolicyRule]:
    """Yield a rule's parts: one verb on one resource of one group, or on one path, and of one name where there are any."""
    for group in rule.api_groups:
        for resource in rule.resources:
            for verb in rule.verbs or ():
                part = PolicyRule(verbs=(verb,), api_groups=(group,), resources=(resource,))
                if not rule.resource_names:
                    yield part
                for name in rule.resource_names:
                    yield replace(part, resource_names=(name,))
    for path in rule.non_resource_urls:
        for verb in rule.verbs or ():
            yield PolicyRule(verbs=(verb,), non_resource_urls=(path,))


def _covers(held: PolicyRule, part: PolicyRule) -> bool:
    (verb,) = part.verbs or ("",)
    if part.non_resource_urls:
        path = part.non_resource_urls[0]
        return _has(held.verbs or (), verb) and any(_path_covers(pattern, path) for pattern in held.non_resource_urls)
    resource, _, subresource = part.resources[0].partition("/")
    if not allows_resource(held, verb, part.api_groups[0], resource, subresource):
        return False
    if not held.resource_names:
        return True
    return bool(part.resource_names) and set(part.resource_names) <= set(held.resource_names)


def _path_covers(pattern: str, path: str) -> bool:
    """Tell whether a pattern covers another pattern or path."""
    return path == pattern or (pattern.endswith(ANY) and path.startswith(pattern.rstrip(ANY)))
