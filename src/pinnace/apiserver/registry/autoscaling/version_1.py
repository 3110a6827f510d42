"""autoscaling/v1 of HorizontalPodAutoscaler: one target, the CPU; the rest travels in annotations.

A client of version 1 that reads an object and writes it back loses nothing of it: metrics, behavior, their state and conditions
are in annotations on the way out and in the fields again on the way in. Upstream: pkg/apis/autoscaling/v1 `conversion.go`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.api import autoscaling_v1 as v1
from pinnace.api import autoscaling_v2 as v2
from pinnace.api import codec
from pinnace.apiserver.registry.autoscaling import horizontal_pod_autoscaler as autoscaler
from pinnace.apiserver.registry.autoscaling.metric_annotations import (
    UNREADABLE,
    decode_specs,
    decode_statuses,
    encode_specs,
    encode_statuses,
)
from pinnace.apiserver.registry.defaulting import changed, filled
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.versions import Version
from pinnace.machinery import quantity, timestamps

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_CARRIED = frozenset({METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS})

_Annotations = Mapping[str, str]


def default(obj: v1.HorizontalPodAutoscaler) -> v1.HorizontalPodAutoscaler:
    """Keep one pod at least; metrics are filled in when all of them are together."""
    if obj.spec.min_replicas is not None:
        return obj
    return changed(obj, spec=filled(obj.spec, min_replicas=autoscaler.LEAST_REPLICAS))


# ── out: what version 1 has no field for becomes annotations ──


def to_served(obj: v2.HorizontalPodAutoscaler) -> v1.HorizontalPodAutoscaler:
    """Return the autoscaler as version 1 shows it."""
    spec, status = obj.spec, obj.status
    annotations = _without_carried(obj.metadata.annotations) | _carried(obj)
    return v1.HorizontalPodAutoscaler(
        kind="HorizontalPodAutoscaler",
        api_version="autoscaling/v1",
        metadata=replace(obj.metadata, annotations=annotations),
        spec=v1.HorizontalPodAutoscalerSpec(
            scale_target_ref=v1.CrossVersionObjectReference(
                kind=spec.scale_target_ref.kind,
                name=spec.scale_target_ref.name,
                api_version=spec.scale_target_ref.api_version,
            ),
            min_replicas=spec.min_replicas,
            max_replicas=spec.max_replicas,
            target_cpu_utilization_percentage=_cpu_target(spec),
        ),
        status=v1.HorizontalPodAutoscalerStatus(
            observed_generation=status.observed_generation,
            last_scale_time=status.last_scale_time,
            current_replicas=status.current_replicas,
            desired_replicas=status.desired_replicas,
            current_cpu_utilization_percentage=_cpu_state(status),
        ),
    )


def _without_carried(annotations: _Annotations) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key not in _CARRIED}


def _carried(obj: v2.HorizontalPodAutoscaler) -> dict[str, str]:
    spec, status = obj.spec, obj.status
    found: dict[str, str] = {}
    others = [metric for metric in spec.metrics if not _is_cpu_target(metric)]
    if others:
        found[METRICS] = encode_specs(others)
    # The state of the CPU is carried too, as the field has no room for its raw value.
    if status.current_metrics:
        found[CURRENT_METRICS] = encode_statuses(status.current_metrics)
    if spec.behavior is not None:
        # Upstream writes its internal type, whose names are Go's.
        found[BEHAVIOR] = msgspec.json.encode(go_struct(spec.behavior)).decode()
    if status.conditions:
        found[CONDITIONS] = msgspec.json.encode(status.conditions).decode()
    return found


def _is_cpu_target(metric: v2.MetricSpec) -> bool:
    resource = metric.resource
    return (
        metric.type == autoscaler.RESOURCE
        and resource is not None
        and resource.name == autoscaler.CPU
        and resource.target.average_utilization is not None
    )


def _cpu_target(spec: v2.HorizontalPodAutoscalerSpec) -> int | None:
    for metric in spec.metrics:
        if (
            metric.type == autoscaler.RESOURCE
            and metric.resource is not None
            and metric.resource.name == autoscaler.CPU
        ):
            return metric.resource.target.average_utilization
    return None


def _cpu_state(status: v2.HorizontalPodAutoscalerStatus) -> int | None:
    found = None
    for metric in status.current_metrics or ():
        resource = metric.resource
        if metric.type == autoscaler.RESOURCE and resource is not None and resource.name == autoscaler.CPU:
            found = resource.current.average_utilization if resource.current.average_utilization is not None else found
    return found


# ── in: annotations become fields again ──


def to_stored(obj: v1.HorizontalPodAutoscaler) -> v2.HorizontalPodAutoscaler:
    """Return the autoscaler as version 2 has it."""
    spec, annotations = obj.spec, obj.metadata.annotations
    return v2.HorizontalPodAutoscaler(
        kind="HorizontalPodAutoscaler",
        api_version="autoscaling/v2",
        metadata=replace(obj.metadata, annotations=_without_carried(annotations)),
        spec=v2.HorizontalPodAutoscalerSpec(
            scale_target_ref=v2.CrossVersionObjectReference(
                kind=spec.scale_target_ref.kind,
                name=spec.scale_target_ref.name,
                api_version=spec.scale_target_ref.api_version,
            ),
            min_replicas=spec.min_replicas,
            max_replicas=spec.max_replicas,
            metrics=_metrics(spec.target_cpu_utilization_percentage, annotations),
            behavior=_behavior(annotations),
        ),
        status=_status(obj.status, annotations),
    )


def _metrics(cpu: int | None, annotations: _Annotations) -> tuple[v2.MetricSpec, ...]:
    others = decode_specs(annotations.get(METRICS, "")) or ()
    return others if cpu is None else (*others, autoscaler.cpu_target(cpu))


def _behavior(annotations: _Annotations) -> v2.HorizontalPodAutoscalerBehavior | None:
    try:
        tree = _uncapitalized(msgspec.json.decode(annotations.get(BEHAVIOR, "")))
        behavior = codec.convert(v2.HorizontalPodAutoscalerBehavior, tree)
        for rules in (behavior.scale_up, behavior.scale_down):
            if rules is not None and rules.tolerance is not None:
                quantity.parse(rules.tolerance)
    except UNREADABLE:
        return None
    return behavior if behavior != v2.HorizontalPodAutoscalerBehavior() else None


def _uncapitalized(tree: Any) -> Any:
    """Return a tree with Go's names of fields turned into those of the wire."""
    if isinstance(tree, dict):
        return {key[:1].lower() + key[1:]: _uncapitalized(value) for key, value in tree.items()}
    return [_uncapitalized(item) for item in tree] if isinstance(tree, list) else tree


def _status(status: v1.HorizontalPodAutoscalerStatus, annotations: _Annotations) -> v2.HorizontalPodAutoscalerStatus:
    metrics = decode_statuses(annotations.get(CURRENT_METRICS, ""))
    if metrics is None and status.current_cpu_utilization_percentage is not None:
        current = v2.MetricValueStatus(average_utilization=status.current_cpu_utilization_percentage)
        cpu = v2.ResourceMetricStatus(name=autoscaler.CPU, current=current)
        metrics = (v2.MetricStatus(type=autoscaler.RESOURCE, resource=cpu),)
    return v2.HorizontalPodAutoscalerStatus(
        observed_generation=status.observed_generation,
        last_scale_time=status.last_scale_time,
        current_replicas=status.current_replicas,
        desired_replicas=status.desired_replicas,
        current_metrics=metrics,
        conditions=_conditions(annotations),
    )


def _conditions(annotations: _Annotations) -> tuple[v2.HorizontalPodAutoscalerCondition, ...]:
    try:
        items = msgspec.json.decode(annotations.get(CONDITIONS, ""), type=list[msgspec.Raw])
        return tuple(_condition(bytes(item)) for item in items)
    except UNREADABLE:
        return ()


def _condition(data: bytes) -> v2.HorizontalPodAutoscalerCondition:
    found = codec.decode(v2.HorizontalPodAutoscalerCondition, data)
    since = found.last_transition_time
    return found if since is None else replace(found, last_transition_time=timestamps.canonical(since))


VERSION: Version[v1.HorizontalPodAutoscaler, v2.HorizontalPodAutoscaler] = Version(
    strategy=autoscaler.STRATEGY,
    default=default,
    to_stored=to_stored,
    to_served=to_served,
)
