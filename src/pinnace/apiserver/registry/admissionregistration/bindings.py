"""ValidatingAdmissionPolicyBinding and MutatingAdmissionPolicyBinding.

Upstream: pkg/registry/admissionregistration/{validating,mutating}admissionpolicybinding, pkg/apis/admissionregistration/validation.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pinnace.api.admissionregistration_v1 import (
    MutatingAdmissionPolicyBinding,
    ParamRef,
    ValidatingAdmissionPolicyBinding,
)
from pinnace.apiserver.registry.admissionregistration.match_rules import default_match, match_errors
from pinnace.apiserver.registry.defaulting import changed, maybe
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, text
from pinnace.apiserver.registry.strategy import Strategy, spec_changed
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]
B = TypeVar("B", ValidatingAdmissionPolicyBinding, MutatingAdmissionPolicyBinding)

_SPEC = Path("spec")
_ACTIONS = ("Audit", "Deny", "Warn")
_NOT_FOUND_ACTIONS = ("Deny", "Allow")
_EXCLUSIVE = "name and selector are mutually exclusive"
_TWICE = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
    "headers serves no purpose)"
)


def default(obj: B) -> B:
    """Complete what is matched."""
    return changed(obj, spec=changed(obj.spec, match_resources=maybe(obj.spec.match_resources, default_match)))


def _shared_errors(obj: ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding) -> Errors:
    spec, at = obj.spec, _SPEC.child("policyName")
    if not spec.policy_name:
        yield required(at)
    else:
        yield from (invalid(at, spec.policy_name, words) for words in names.dns_subdomain(spec.policy_name))
    if spec.param_ref is not None:
        yield from _param_errors(spec.param_ref, _SPEC.child("paramRef"))
    if spec.match_resources is not None:
        yield from match_errors(spec.match_resources, _SPEC.child("matchResources"))


def _param_errors(ref: ParamRef, path: Path) -> Errors:
    if ref.name:
        yield from (invalid(path.child("name"), ref.name, words) for words in names.path_segment(ref.name))
        if ref.selector is not None:
            yield forbidden(path.child("name"), _EXCLUSIVE)
            yield forbidden(path.child("selector"), _EXCLUSIVE)
    elif ref.selector is None:
        yield required(path, "one of name or selector must be specified")
    else:
        yield from selector_errors(ref.selector, path.child("selector"))
    action, at = ref.parameter_not_found_action, path.child("parameterNotFoundAction")
    if action is None:
        yield required(at)
    elif action not in _NOT_FOUND_ACTIONS:
        yield not_supported(at, action, _NOT_FOUND_ACTIONS)


def validate_validating(obj: ValidatingAdmissionPolicyBinding) -> Sequence[FieldError]:
    """Check a binding and what is to be done."""
    found = list(_shared_errors(obj))
    actions, path = obj.spec.validation_actions, _SPEC.child("validationActions")
    if not actions:
        found.append(required(path, "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            found.append(not_supported(path.index(index), action, _ACTIONS))
        if action in actions[:index]:
            found.append(duplicate(path.index(index), action))
    if {"Deny", "Warn"} <= set(actions):
        found.append(invalid(path, list(actions), _TWICE))
    return found


def validate_mutating(obj: MutatingAdmissionPolicyBinding) -> Sequence[FieldError]:
    """Check a binding."""
    return tuple(_shared_errors(obj))


def cells(obj: ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, obj.spec.policy_name, _ref(obj.spec.param_ref), age(obj, now))


def _ref(ref: ParamRef | None) -> str:
    if ref is None:
        return UNSET
    name = ref.name or "*"
    return f"{ref.namespace}/{name}" if ref.namespace else name


_COLUMNS = (NAME, text("PolicyName", "The policy."), text("ParamRef", "Its parameters."), AGE)

VALIDATING: Strategy[ValidatingAdmissionPolicyBinding] = Strategy(
    default=default,
    validate=validate_validating,
    generation=spec_changed,
    allow_unconditional_update=False,
    columns=_COLUMNS,
    cells=cells,
)
MUTATING: Strategy[MutatingAdmissionPolicyBinding] = Strategy(
    default=default,
    validate=validate_mutating,
    generation=spec_changed,
    allow_unconditional_update=False,
    columns=_COLUMNS,
    cells=cells,
)
