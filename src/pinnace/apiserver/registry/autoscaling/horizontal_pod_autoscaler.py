"""HorizontalPodAutoscaler, as autoscaling/v2 stores it (upstream pkg/registry/autoscaling/horizontalpodautoscaler).

What metrics and behavior may look like is in `validation.py`.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.autoscaling_v2 import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from pinnace.apiserver.registry.autoscaling import targets, validation
from pinnace.apiserver.registry.defaulting import changed, filled, maybe
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.printing import AGE, NAME, UNSET, age, text
from pinnace.apiserver.registry.strategy import Part, Strategy, take_only_status
from pinnace.machinery.field import FieldError, Path

CPU, RESOURCE, UTILIZATION = "cpu", "Resource", "Utilization"
LEAST_REPLICAS, CPU_PERCENT = 1, 80
_STATUS = Path("status")
_PERIOD_SECONDS = 15
_ALL_PODS = HPAScalingPolicy(type="Percent", value=100, period_seconds=_PERIOD_SECONDS)
_FOUR_PODS = HPAScalingPolicy(type="Pods", value=4, period_seconds=_PERIOD_SECONDS)


def cpu_target(percent: int) -> MetricSpec:
    """Return the metric that keeps the CPU at a share of what pods request."""
    target = MetricTarget(type=UTILIZATION, average_utilization=percent)
    return MetricSpec(type=RESOURCE, resource=ResourceMetricSource(name=CPU, target=target))


def default(obj: HorizontalPodAutoscaler) -> HorizontalPodAutoscaler:
    """Keep one pod at least, look at the CPU when at nothing else, and complete a behavior that is given."""
    spec = obj.spec
    if spec.min_replicas is None:
        spec = replace(spec, min_replicas=LEAST_REPLICAS)
    if not spec.metrics:
        spec = replace(spec, metrics=(cpu_target(CPU_PERCENT),))
    return changed(obj, spec=changed(spec, behavior=maybe(spec.behavior, _default_behavior)))


def _default_behavior(behavior: HorizontalPodAutoscalerBehavior) -> HorizontalPodAutoscalerBehavior:
    up, down = behavior.scale_up or HPAScalingRules(), behavior.scale_down or HPAScalingRules()
    if up.stabilization_window_seconds is None:
        up = replace(up, stabilization_window_seconds=0)
    up, down = filled(up, select_policy="Max"), filled(down, select_policy="Max")
    return changed(
        behavior,
        scale_up=up if up.policies is not None else replace(up, policies=(_FOUR_PODS, _ALL_PODS)),
        scale_down=down if down.policies is not None else replace(down, policies=(_ALL_PODS,)),
    )


def validate(obj: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """Check a new autoscaler."""
    return tuple(validation.spec_errors(obj.spec, None))


def validate_update(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """Check an autoscaler again, forgiving what an older server let in."""
    return tuple(validation.spec_errors(new.spec, old.spec))


def validate_status(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Sequence[FieldError]:  # noqa: ARG001
    """Check the counts."""
    return (
        *not_negative(new.status.current_replicas, _STATUS.child("currentReplicas")),
        *not_negative(new.status.desired_replicas, _STATUS.child("desiredReplicas")),
    )


def cells(obj: HorizontalPodAutoscaler, now: float) -> Sequence[Any]:
    """Return the row."""
    spec, target = obj.spec, obj.spec.scale_target_ref
    return (
        obj.metadata.name,
        f"{target.kind}/{target.name}",
        targets.shown(spec.metrics, obj.status.current_metrics or ()),
        UNSET if spec.min_replicas is None else str(spec.min_replicas),
        spec.max_replicas,
        obj.status.current_replicas,
        age(obj, now),
    )


STRATEGY: Strategy[HorizontalPodAutoscaler] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    columns=(
        NAME,
        text("Reference", "What is scaled."),
        text("Targets", "What the metrics are, and what they should be."),
        text("MinPods", "How few pods there may be."),
        text("MaxPods", "How many pods there may be."),
        text("Replicas", "How many pods there are."),
        AGE,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
