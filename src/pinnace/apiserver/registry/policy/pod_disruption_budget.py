"""PodDisruptionBudget (upstream pkg/registry/policy/poddisruptionbudget, pkg/apis/policy/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.policy_v1 import PodDisruptionBudget
from pinnace.apiserver.registry.conditions import condition_list_errors
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.percentages import share_errors, whole_errors
from pinnace.apiserver.registry.printing import AGE, NAME, age, integer, text
from pinnace.apiserver.registry.strategy import Part, Strategy, spec_changed, take_only_status
from pinnace.machinery.field import FieldError, Path, invalid, not_supported

Errors = Iterator[FieldError]

ALWAYS_ALLOW, IF_HEALTHY = "AlwaysAllow", "IfHealthyBudget"
_SPEC, _STATUS = Path("spec"), Path("status")
_NOT_GIVEN = "N/A"


def validate(obj: PodDisruptionBudget) -> Sequence[FieldError]:
    """Check the bound, which is one of two, and what it covers."""
    return tuple(_errors(obj))


def _errors(obj: PodDisruptionBudget) -> Errors:
    spec = obj.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        yield invalid(_SPEC, go_struct(spec), "minAvailable and maxUnavailable cannot be both set")
    for bound, wire in ((spec.min_available, "minAvailable"), (spec.max_unavailable, "maxUnavailable")):
        if bound is not None:
            yield from share_errors(bound, _SPEC.child(wire))
            yield from whole_errors(bound, _SPEC.child(wire))
    yield from selector_errors(spec.selector, _SPEC.child("selector"))
    policy = spec.unhealthy_pod_eviction_policy
    if policy is not None and policy not in {ALWAYS_ALLOW, IF_HEALTHY}:
        yield not_supported(_SPEC.child("unhealthyPodEvictionPolicy"), policy, (ALWAYS_ALLOW, IF_HEALTHY))


def validate_status(new: PodDisruptionBudget, old: PodDisruptionBudget) -> Sequence[FieldError]:  # noqa: ARG001
    """Check conditions and counts."""
    status = new.status
    return (
        *condition_list_errors(status.conditions, _STATUS.child("conditions")),
        *not_negative(status.disruptions_allowed, _STATUS.child("disruptionsAllowed")),
        *not_negative(status.current_healthy, _STATUS.child("currentHealthy")),
        *not_negative(status.desired_healthy, _STATUS.child("desiredHealthy")),
        *not_negative(status.expected_pods, _STATUS.child("expectedPods")),
    )


def cells(obj: PodDisruptionBudget, now: float) -> Sequence[Any]:
    """Return the row."""
    least, most = obj.spec.min_available, obj.spec.max_unavailable
    return (
        obj.metadata.name,
        _NOT_GIVEN if least is None else str(least),
        _NOT_GIVEN if most is None else str(most),
        obj.status.disruptions_allowed,
        age(obj, now),
    )


STRATEGY: Strategy[PodDisruptionBudget] = Strategy(
    validate=validate,
    generation=spec_changed,
    allow_unconditional_update=False,
    columns=(
        NAME,
        text("Min Available", "How many pods must be left."),
        text("Max Unavailable", "How many pods may be missing."),
        integer("Allowed Disruptions", "How many more pods may be evicted now."),
        AGE,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
