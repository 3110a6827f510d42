"""What the spec of a HorizontalPodAutoscaler may say (upstream pkg/apis/autoscaling/validation)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pinnace.api.autoscaling_v2 import (
    ContainerResourceMetricSource,
    CrossVersionObjectReference,
    ExternalMetricSource,
    HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    ObjectMetricSource,
    PodsMetricSource,
    ResourceMetricSource,
)
from pinnace.apiserver.registry.numbers import positive
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]
# Says what is wrong with the apiVersion of a reference, nothing when it is good.
VersionRule = Callable[[str], str]

PERIOD_MOST_SECONDS, WINDOW_MOST_SECONDS = 1800, 3600
_SPEC = Path("spec")
_METRIC_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_TARGET_TYPES = frozenset({"Utilization", "Value", "AverageValue"})
_POLICY_TYPES, _SELECT_POLICIES = ("Percent", "Pods"), ("Disabled", "Max", "Min")


def spec_errors(spec: HorizontalPodAutoscalerSpec, old: HorizontalPodAutoscalerSpec | None) -> Errors:
    """Check a spec; `old` is the one it replaces."""
    least = 0 if old is not None and old.min_replicas == 0 else 1
    low, high = spec.min_replicas, spec.max_replicas
    if low is not None and low < least:
        yield invalid(_SPEC.child("minReplicas"), low, f"must be greater than or equal to {least}")
    if high == 0:
        yield required(_SPEC.child("maxReplicas"), "must be set and greater than 0")
    elif high < 1:
        yield invalid(_SPEC.child("maxReplicas"), high, "must be greater than 0")
    if low is not None and high < low:
        yield invalid(_SPEC.child("maxReplicas"), high, "must be greater than or equal to `minReplicas`")
    target = spec.scale_target_ref
    yield from _reference_errors(target, _SPEC.child("scaleTargetRef"), _target_rule(target, old))
    yield from _metric_list_errors(spec.metrics, low, _object_rule(old))
    if spec.behavior is not None:
        yield from _behavior_errors(spec.behavior, _SPEC.child("behavior"))


# ── references ──


def _any_version(version: str) -> str:  # noqa: ARG001
    return ""


def _parsed(version: str) -> str:
    """Refuse what is no group and version; the core group has no name."""
    return f"unexpected GroupVersion string: {version}" if version.count("/") > 1 else ""


def _grouped(version: str) -> str:
    """Refuse the core group as well, since little in it can be scaled."""
    return _parsed(version) or (
        "" if version.partition("/")[1] and version[0] != "/" else "apiVersion must specify API group"
    )


def _target_rule(target: CrossVersionObjectReference, old: HorizontalPodAutoscalerSpec | None) -> VersionRule:
    if old is not None:
        before = old.scale_target_ref
        if (before.api_version, before.kind) == (target.api_version, target.kind):
            return _any_version
    return _parsed if target.kind == "ReplicationController" else _grouped


def _object_rule(old: HorizontalPodAutoscalerSpec | None) -> VersionRule:
    metrics = old.metrics if old is not None else ()
    described = (one.object.described_object.api_version for one in metrics if one.type == "Object" and one.object)
    return _any_version if any(map(_parsed, described)) else _parsed


def _reference_errors(reference: CrossVersionObjectReference, path: Path, rule: VersionRule) -> Errors:
    for value, wire in ((reference.kind, "kind"), (reference.name, "name")):
        if not value:
            yield required(path.child(wire))
        yield from (invalid(path.child(wire), value, words) for words in names.path_segment(value))
    if words := rule(reference.api_version):
        yield invalid(path.child("apiVersion"), reference.api_version, words)


# ── metrics ──


def _metric_list_errors(metrics: Sequence[MetricSpec], least: int | None, rule: VersionRule) -> Errors:
    path = _SPEC.child("metrics")
    for index, metric in enumerate(metrics):
        yield from _metric_errors(metric, path.index(index), rule)
    if least == 0 and not any(metric.type in {"Object", "External"} for metric in metrics):
        yield forbidden(path, "must specify at least one Object or External metric to support scaling to zero replicas")


def _metric_errors(metric: MetricSpec, path: Path, rule: VersionRule) -> Errors:
    kind = path.child("type")
    if not metric.type:
        yield required(kind, "must specify a metric source type")
    if metric.type not in _METRIC_TYPES:
        yield not_supported(kind, metric.type, _METRIC_TYPES)
    sources: dict[str, tuple[Any, Callable[[Any, Path], Errors]]] = {
        "object": (metric.object, lambda source, at: _object_errors(source, at, rule)),
        "external": (metric.external, _external_errors),
        "pods": (metric.pods, _pods_errors),
        "resource": (metric.resource, _resource_errors),
        "containerResource": (metric.container_resource, _container_errors),
    }
    present = [wire for wire, (source, _) in sources.items() if source is not None]
    for wire in present[:1]:
        source, check = sources[wire]
        yield from check(source, path.child(wire))
    expected = metric.type[:1].lower() + metric.type[1:]
    if metric.type not in _METRIC_TYPES:
        # Upstream complains of the type again where it looks for the source.
        yield not_supported(kind, metric.type, _METRIC_TYPES)
    elif expected not in present:
        yield required(path.child(expected), "must populate information for the given metric source")
    if len(present) > 1:
        for wire in present:
            if wire != expected:
                yield forbidden(path.child(wire), "must populate the given metric source only")


def _object_errors(source: ObjectMetricSource, path: Path, rule: VersionRule) -> Errors:
    yield from _reference_errors(source.described_object, path.child("describedObject"), rule)
    yield from _identifier_errors(source.metric, path.child("metric"))
    yield from _target_errors(source.target, path.child("target"))
    if source.target.value is None and source.target.average_value is None:
        yield required(path.child("target", "averageValue"), "must set either a target value or averageValue")


def _external_errors(source: ExternalMetricSource, path: Path) -> Errors:
    yield from _identifier_errors(source.metric, path.child("metric"))
    yield from _target_errors(source.target, path.child("target"))
    value, average = source.target.value, source.target.average_value
    if value is None and average is None:
        words = "must set either a target value for metric or a per-pod target"
        yield required(path.child("target", "averageValue"), words)
    if value is not None and average is not None:
        words = "may not set both a target value for metric and a per-pod target"
        yield forbidden(path.child("target", "value"), words)


def _pods_errors(source: PodsMetricSource, path: Path) -> Errors:
    yield from _identifier_errors(source.metric, path.child("metric"))
    yield from _target_errors(source.target, path.child("target"))
    if source.target.average_value is None:
        yield required(path.child("target", "averageValue"), "must specify a positive target averageValue")


def _resource_errors(source: ResourceMetricSource, path: Path) -> Errors:
    if not source.name:
        yield required(path.child("name"), "must specify a resource name")
    yield from _usage_errors(source.target, path.child("target"))


def _container_errors(source: ContainerResourceMetricSource, path: Path) -> Errors:
    if not source.name:
        yield required(path.child("name"), "must specify a resource name")
    at = path.child("container")
    if not source.container:
        yield required(at, "must specify a container")
    else:
        yield from (invalid(at, source.container, words) for words in names.dns_label(source.container))
    yield from _usage_errors(source.target, path.child("target"))


def _usage_errors(target: MetricTarget, path: Path) -> Errors:
    yield from _target_errors(target, path)
    share, average = target.average_utilization, target.average_value
    if share is None and average is None:
        words = "must set either a target raw value or a target utilization"
        yield required(path.child("averageUtilization"), words)
    if share is not None and average is not None:
        words = "may not set both a target raw value and a target utilization"
        yield forbidden(path.child("averageValue"), words)


def _target_errors(target: MetricTarget, path: Path) -> Errors:
    if not target.type:
        yield required(path.child("type"), "must specify a metric target type")
    if target.type not in _TARGET_TYPES:
        yield invalid(path.child("type"), target.type, "must be either Utilization, Value, or AverageValue")
    for amount, wire in ((target.value, "value"), (target.average_value, "averageValue")):
        if amount is not None and quantity.parse(amount) <= quantity.of_value(0):
            yield invalid(path.child(wire), amount, "must be positive")
    if target.average_utilization is not None and target.average_utilization < 1:
        yield invalid(path.child("averageUtilization"), target.average_utilization, "must be greater than 0")


def _identifier_errors(metric: MetricIdentifier, path: Path) -> Errors:
    if not metric.name:
        yield required(path.child("name"), "must specify a metric name")
    yield from (invalid(path.child("name"), metric.name, words) for words in names.path_segment(metric.name))


# ── behavior ──


def _behavior_errors(behavior: HorizontalPodAutoscalerBehavior, path: Path) -> Errors:
    for rules, wire in ((behavior.scale_up, "scaleUp"), (behavior.scale_down, "scaleDown")):
        if rules is not None:
            yield from _rules_errors(rules, path.child(wire))


def _rules_errors(rules: HPAScalingRules, path: Path) -> Errors:
    at, window = path.child("stabilizationWindowSeconds"), rules.stabilization_window_seconds
    if window is not None and window < 0:
        yield invalid(at, window, "must be greater than or equal to zero")
    if window is not None and window > WINDOW_MOST_SECONDS:
        yield invalid(at, window, f"must be less than or equal to {WINDOW_MOST_SECONDS}")
    if rules.select_policy is not None and rules.select_policy not in _SELECT_POLICIES:
        yield not_supported(path.child("selectPolicy"), rules.select_policy, _SELECT_POLICIES)
    if not rules.policies:
        yield required(path.child("policies"), "must specify at least one Policy")
    for index, policy in enumerate(rules.policies or ()):
        yield from _policy_errors(policy, path.child("policies").index(index))
    if rules.tolerance is not None and quantity.parse(rules.tolerance) < quantity.of_value(0):
        yield invalid(path.child("tolerance"), rules.tolerance, "must be greater than or equal to 0")


def _policy_errors(policy: HPAScalingPolicy, path: Path) -> Errors:
    if policy.type not in _POLICY_TYPES:
        yield not_supported(path.child("type"), policy.type, _POLICY_TYPES)
    yield from positive(policy.value, path.child("value"))
    yield from positive(policy.period_seconds, path.child("periodSeconds"))
    if policy.period_seconds > PERIOD_MOST_SECONDS:
        words = f"must be less than or equal to {PERIOD_MOST_SECONDS}"
        yield invalid(path.child("periodSeconds"), policy.period_seconds, words)
