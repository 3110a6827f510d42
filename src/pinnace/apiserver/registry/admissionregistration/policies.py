"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy.

Upstream: pkg/registry/admissionregistration/{validating,mutating}admissionpolicy, pkg/apis/admissionregistration/validation.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pinnace.api.admissionregistration_v1 import (
    AuditAnnotation,
    MutatingAdmissionPolicy,
    Mutation,
    ParamKind,
    ValidatingAdmissionPolicy,
    Validation,
    Variable,
)
from pinnace.apiserver.cel.environments import JSON_PATCH, OBJECT
from pinnace.apiserver.cel.types import BOOL, NULL, STRING, list_of
from pinnace.apiserver.registry.admissionregistration.expressions import (
    WEIGHT,
    PolicyEnvironments,
    expression_errors,
    policy_environments,
)
from pinnace.apiserver.registry.admissionregistration.match_rules import (
    FAILURE_POLICIES,
    REINVOCATION_POLICIES,
    condition_errors,
    default_match,
    match_errors,
)
from pinnace.apiserver.registry.defaulting import changed, filled, maybe
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, integer, text
from pinnace.apiserver.registry.strategy import Part, Strategy, spec_changed, spec_untouched, take_only_status
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required, too_long, too_many

Errors = Iterator[FieldError]
P = TypeVar("P", ValidatingAdmissionPolicy, MutatingAdmissionPolicy)

ANNOTATIONS_LIMIT = 20
# Bytes.
EXPRESSION_LIMIT_BYTES = 5 * 1024
_SPEC = Path("spec")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_PATCH_TYPES = ("ApplyConfiguration", "JSONPatch")
_IDENTIFIER = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "namespace", "null", "package", "return", "true", "var", "void", "while",
})  # fmt: skip
_NEEDS_CHECK = "validations or auditAnnotations must contain at least one item"


def default(obj: P) -> P:
    """Let failures fail requests, and complete what is matched."""
    spec = filled(obj.spec, failure_policy="Fail")
    spec = changed(spec, match_constraints=maybe(spec.match_constraints, default_match))
    return changed(obj, spec=spec)


def _shared_errors(obj: ValidatingAdmissionPolicy | MutatingAdmissionPolicy, known: PolicyEnvironments) -> Errors:
    spec = obj.spec
    if spec.failure_policy not in FAILURE_POLICIES:
        yield not_supported(_SPEC.child("failurePolicy"), spec.failure_policy, FAILURE_POLICIES)
    if spec.param_kind is not None:
        yield from _param_kind_errors(spec.param_kind, _SPEC.child("paramKind"))
    at = _SPEC.child("matchConstraints")
    if spec.match_constraints is None:
        yield required(at)
    else:
        yield from match_errors(spec.match_constraints, at)
        if not spec.match_constraints.resource_rules:
            yield required(at.child("resourceRules"))
    yield from condition_errors(spec.match_conditions, _SPEC.child("matchConditions"), known.conditions)
    yield from _variable_errors(spec.variables, _SPEC.child("variables"), known)


def _param_kind_errors(kind: ParamKind, path: Path) -> Errors:
    at = path.child("apiVersion")
    if not kind.api_version:
        yield required(at)
    elif kind.api_version.count("/") > 1:
        yield invalid(at, kind.api_version, f"unexpected GroupVersion string: {kind.api_version}")
    else:
        group, slash, version = kind.api_version.rpartition("/")
        if slash:
            yield from (invalid(at, kind.api_version, words) for words in names.dns_subdomain(group))
        yield from (invalid(at, kind.api_version, words) for words in names.dns_label_1035(version))
    if not kind.kind:
        yield required(path.child("kind"))
        return
    wrong = names.dns_label_1035(kind.kind.lower())
    if wrong:
        words = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        yield invalid(path.child("kind"), kind.kind, words)


def _variable_errors(variables: Sequence[Variable], path: Path, known: PolicyEnvironments) -> Errors:
    taken: set[str] = set()
    for index, variable in enumerate(variables):
        at = path.index(index)
        if not variable.name:
            yield required(at.child("name"), "name is not specified")
        elif not _IDENTIFIER.fullmatch(variable.name) or variable.name in _RESERVED:
            yield invalid(at.child("name"), variable.name, "must be a valid CEL identifier")
        elif variable.name in taken:
            yield duplicate(at.child("name"), variable.name)
        taken.add(variable.name)
        if not variable.expression.strip():
            yield required(at.child("expression"), "expression is not specified")
        elif index in known.variable_complaints:
            yield invalid(at.child("expression"), variable.expression, known.variable_complaints[index])


def validate_validating(obj: ValidatingAdmissionPolicy) -> Sequence[FieldError]:
    """Check a policy that refuses."""
    spec = obj.spec
    known = policy_environments(spec.param_kind, spec.variables)
    found = list(_shared_errors(obj, known))
    validations, annotations = _SPEC.child("validations"), _SPEC.child("auditAnnotations")
    if not spec.validations and not spec.audit_annotations:
        return (*found, required(validations, _NEEDS_CHECK), required(annotations, _NEEDS_CHECK))
    for index, validation in enumerate(spec.validations):
        found += _validation_errors(validation, validations.index(index), known)
    if len(spec.audit_annotations) > ANNOTATIONS_LIMIT:
        found.append(too_many(annotations, len(spec.audit_annotations), ANNOTATIONS_LIMIT))
    taken: set[str] = set()
    for index, annotation in enumerate(spec.audit_annotations):
        path = annotations.index(index)
        found += _annotation_errors(obj.metadata.name, annotation, path, known)
        if annotation.key and annotation.key in taken:
            found.append(duplicate(path.child("key"), annotation.key))
        taken.add(annotation.key)
    return found


def _validation_errors(validation: Validation, path: Path, known: PolicyEnvironments) -> Errors:
    at = path.child("expression")
    if not validation.expression.strip():
        yield required(at, "expression is not specified")
    else:
        yield from expression_errors(validation.expression, at, known.expressions, BOOL)
    at = path.child("messageExpression")
    if validation.message_expression and not validation.message_expression.strip():
        yield invalid(at, validation.message_expression, "must be non-empty if specified")
    elif validation.message_expression:
        yield from expression_errors(validation.message_expression, at, known.messages, STRING)
    message, at = validation.message, path.child("message")
    if message and not message.strip():
        yield invalid(at, message, "must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid(at, message, "must not contain line breaks")
    elif "\n" in validation.expression.strip() and not message.strip():
        yield required(at, "must be specified if expression contains line breaks")
    if validation.reason is not None and validation.reason not in _REASONS:
        yield not_supported(path.child("reason"), validation.reason, _REASONS)


def _annotation_errors(policy: str, annotation: AuditAnnotation, path: Path, known: PolicyEnvironments) -> Errors:
    if not annotation.key:
        yield required(path.child("key"))
    else:
        qualified = f"{policy}/{annotation.key}"
        yield from (invalid(path.child("key"), qualified, words) for words in names.qualified_name(qualified))
    at = path.child("valueExpression")
    if not annotation.value_expression.strip():
        yield required(at, "valueExpression is not specified")
    elif len(annotation.value_expression.encode()) > EXPRESSION_LIMIT_BYTES:
        yield too_long(at, "", EXPRESSION_LIMIT_BYTES)
    else:
        yield from expression_errors(annotation.value_expression.strip(), at, known.expressions, STRING, NULL)


def validate_mutating(obj: MutatingAdmissionPolicy) -> Sequence[FieldError]:
    """Check a policy that changes objects."""
    spec, path = obj.spec, _SPEC.child("mutations")
    known = policy_environments(spec.param_kind, spec.variables, patches=True)
    found = list(_shared_errors(obj, known))
    if not spec.mutations:
        found.append(required(path, "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.mutations):
        found += _mutation_errors(mutation, path.index(index), known)
    at = _SPEC.child("reinvocationPolicy")
    if not spec.reinvocation_policy:
        found.append(required(at))
    elif spec.reinvocation_policy not in REINVOCATION_POLICIES:
        found.append(not_supported(at, spec.reinvocation_policy, REINVOCATION_POLICIES))
    return found


def _mutation_errors(mutation: Mutation, path: Path, known: PolicyEnvironments) -> Errors:
    kind = mutation.patch_type
    if not kind:
        yield required(path.child("patchType"))
        return
    if kind not in _PATCH_TYPES:
        yield not_supported(path.child("patchType"), kind, _PATCH_TYPES)
        return
    given = {"applyConfiguration": mutation.apply_configuration, "jsonPatch": mutation.json_patch}
    wanted, other = (
        ("applyConfiguration", "jsonPatch") if kind == "ApplyConfiguration" else ("jsonPatch", "applyConfiguration")
    )
    patch = given[wanted]
    if patch is None:
        yield required(path.child(wanted), f"must be specified when patchType is {kind}")
    elif not patch.expression.strip():
        yield required(path.child(wanted).child("expression"), "expression is not specified")
    else:
        result = OBJECT if kind == "ApplyConfiguration" else list_of(JSON_PATCH)
        yield from expression_errors(
            patch.expression, path.child(wanted).child("expression"), known.expressions, result
        )
    if given[other] is not None:
        yield invalid(path.child(other), f"{{{other}}}", f"must not be specified when patchType is {kind}")


def validate_status(new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> Sequence[FieldError]:
    """Check the whole, of which only the status can have changed."""
    return () if spec_untouched(new, old) else validate_validating(new)


def _kind(kind: ParamKind | None) -> str:
    return UNSET if kind is None else f"{kind.api_version}/{kind.kind}"


def validating_cells(obj: ValidatingAdmissionPolicy, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, len(obj.spec.validations), _kind(obj.spec.param_kind), age(obj, now))


def mutating_cells(obj: MutatingAdmissionPolicy, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, len(obj.spec.mutations), _kind(obj.spec.param_kind), age(obj, now))


_PARAM_KIND = text("ParamKind", "The kind of its parameters.")

VALIDATING: Strategy[ValidatingAdmissionPolicy] = Strategy(
    default=default,
    validate=validate_validating,
    is_untouched=spec_untouched,
    weight=WEIGHT,
    generation=spec_changed,
    allow_unconditional_update=False,
    columns=(NAME, integer("Validations", "How many checks it makes."), _PARAM_KIND, AGE),
    cells=validating_cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
MUTATING: Strategy[MutatingAdmissionPolicy] = Strategy(
    default=default,
    validate=validate_mutating,
    is_untouched=spec_untouched,
    weight=WEIGHT,
    generation=spec_changed,
    allow_unconditional_update=False,
    columns=(NAME, integer("Mutations", "How many changes it makes."), _PARAM_KIND, AGE),
    cells=mutating_cells,
)
