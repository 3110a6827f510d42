"""When the failure of a pod fails the Job, and which pods are enough for its success.

Upstream: pkg/apis/batch/validation `validatePodFailurePolicy`, `validateSuccessPolicy`.
"""

from collections.abc import Iterator, Sequence

from pinnace.api import batch_v1 as v1
from pinnace.apiserver.registry.batch import index_ranges
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.machinery import names
from pinnace.machinery.field import (
    OMITTED,
    FieldError,
    Path,
    duplicate,
    go_quoted,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)

Errors = Iterator[FieldError]

ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")
RULES_LIMIT, EXIT_CODES_LIMIT, CONDITIONS_LIMIT = 20, 255, 20
INDEXES_LIMIT_BYTES = 64 * 1024


def failure_errors(spec: v1.JobSpec, policy: v1.PodFailurePolicy, path: Path) -> Errors:
    """Check the rules about failed pods."""
    rules, at = policy.rules or (), path.child("rules")
    if len(rules) > RULES_LIMIT:
        yield too_many(at, len(rules), RULES_LIMIT)
    pod = spec.template.spec
    containers = {container.name for container in (*pod.containers, *pod.init_containers)}
    for index, rule in enumerate(rules):
        yield from _rule_errors(spec, rule, containers, at.index(index))


def _rule_errors(spec: v1.JobSpec, rule: v1.PodFailurePolicyRule, containers: set[str], path: Path) -> Errors:
    yield from _action_errors(spec, rule.action, path.child("action"))
    if rule.on_exit_codes is not None:
        yield from _exit_code_errors(rule.on_exit_codes, containers, path.child("onExitCodes"))
    if rule.on_pod_conditions:
        yield from _condition_errors(rule.on_pod_conditions, path.child("onPodConditions"))
    if rule.on_exit_codes is not None and rule.on_pod_conditions:
        yield invalid(path, OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported")
    if rule.on_exit_codes is None and not rule.on_pod_conditions:
        yield invalid(path, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required")


def _one_of(value: str, choices: Sequence[str], path: Path) -> Errors:
    if not value:
        yield required(path, f"valid values: [{' '.join(map(go_quoted, choices))}]")
    elif value not in choices:
        yield not_supported(path, value, choices)


def _action_errors(spec: v1.JobSpec, action: str, path: Path) -> Errors:
    yield from _one_of(action, ACTIONS, path)
    if action == "FailIndex" and spec.backoff_limit_per_index is None:
        yield invalid(path, action, "requires the backoffLimitPerIndex to be set")


def _exit_code_errors(wanted: v1.PodFailurePolicyOnExitCodesRequirement, containers: set[str], path: Path) -> Errors:
    yield from _one_of(wanted.operator, OPERATORS, path.child("operator"))
    if wanted.container_name is not None and wanted.container_name not in containers:
        text = "must be one of the container or initContainer names in the pod template"
        yield invalid(path.child("containerName"), wanted.container_name, text)
    at, values = path.child("values"), wanted.values or ()
    if not values:
        yield invalid(at, wanted.values, "at least one value is required")
    elif len(values) > EXIT_CODES_LIMIT:
        yield too_many(at, len(values), EXIT_CODES_LIMIT)
    for index, value in enumerate(values):
        if value == 0 and wanted.operator == "In":
            yield invalid(at.index(index), value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield duplicate(at.index(index), value)
    if list(values) != sorted(values):
        yield invalid(at, values, "must be ordered")


def _condition_errors(patterns: Sequence[v1.PodFailurePolicyOnPodConditionsPattern], path: Path) -> Errors:
    if len(patterns) > CONDITIONS_LIMIT:
        yield too_many(path, len(patterns), CONDITIONS_LIMIT)
    for index, pattern in enumerate(patterns):
        at = path.index(index)
        yield from (invalid(at.child("type"), pattern.type, text) for text in names.qualified_name(pattern.type))
        yield from _one_of(pattern.status, STATUSES, at.child("status"))


def success_errors(spec: v1.JobSpec, policy: v1.SuccessPolicy, path: Path) -> Errors:
    """Check the rules about succeeded indexes."""
    if spec.completion_mode != "Indexed":
        yield invalid(path, go_struct(policy), "requires indexed completion mode")
        return
    rules, at = policy.rules or (), path.child("rules")
    if not rules:
        yield required(at, "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > RULES_LIMIT:
        yield too_many(at, len(rules), RULES_LIMIT)
    if spec.completions is not None:
        for index, rule in enumerate(rules):
            yield from _success_rule_errors(rule, spec.completions, at.index(index))


def _success_rule_errors(rule: v1.SuccessPolicyRule, completions: int, path: Path) -> Errors:
    indexes, wanted, total = rule.succeeded_indexes, rule.succeeded_count, 0
    if indexes is None and wanted is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    if indexes is not None:
        at = path.child("succeededIndexes")
        if len(indexes.encode()) > INDEXES_LIMIT_BYTES:
            yield too_long(at, indexes, INDEXES_LIMIT_BYTES)
        try:
            total = index_ranges.count(indexes, completions)
        except ValueError as error:
            yield invalid(at, indexes, f"error parsing succeededIndexes: {error}")
    if wanted is not None:
        at = path.child("succeededCount")
        yield from not_negative(wanted, at)
        if wanted > completions:
            text = f"must be less than or equal to {completions} (the number of specified completions)"
            yield invalid(at, wanted, text)
        if indexes is not None and wanted > total:
            text = (
                f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            )
            yield invalid(at, wanted, text)
