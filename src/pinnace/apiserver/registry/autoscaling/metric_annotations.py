"""Metrics as annotations of autoscaling/v1, which has fields for the CPU alone.

Text that does not hold metrics is as good as none. Upstream: pkg/apis/autoscaling/v1 `conversion.go`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from pinnace.api import autoscaling_v2 as v2
from pinnace.api import codec
from pinnace.api.meta_v1 import LabelSelector
from pinnace.api.scalars import zero_quantity
from pinnace.apiserver.registry.autoscaling import old_metrics as old
from pinnace.machinery import quantity

S = TypeVar("S", bound=Struct)
A = TypeVar("A")
B = TypeVar("B")

# What text in an annotation that is not what it should be ends in.
UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
UTILIZATION, VALUE, AVERAGE_VALUE = "Utilization", "Value", "AverageValue"
_ZERO = zero_quantity()


def encode_specs(metrics: Sequence[v2.MetricSpec]) -> str:
    """Return metrics as an annotation holds them."""
    return codec.encode([_old_spec(one) for one in metrics]).decode()


def decode_specs(text: str) -> tuple[v2.MetricSpec, ...] | None:
    """Return the metrics of an annotation, None when it does not hold any."""
    return _decoded(text, old.Spec, _spec)


def encode_statuses(metrics: Sequence[v2.MetricStatus]) -> str:
    """Return the state of metrics as an annotation holds it."""
    return codec.encode([_old_status(one) for one in metrics]).decode()


def decode_statuses(text: str) -> tuple[v2.MetricStatus, ...] | None:
    """Return the state of metrics from an annotation, None when it does not hold any."""
    return _decoded(text, old.Status, _status)


def _decoded(text: str, cls: type[S], convert: Callable[[S], B]) -> tuple[B, ...] | None:
    try:
        items = msgspec.json.decode(text.encode(), type=list[msgspec.Raw])
        return tuple(convert(codec.decode(cls, bytes(item))) for item in items)
    except UNREADABLE:
        return None


def _amount(text: str | None) -> str | None:
    """Return a quantity as it is stored.

    Raises:
        ValueError: it is none.
    """
    return None if text is None else quantity.canonical(text)


def _maybe(value: A | None, convert: Callable[[A], B]) -> B | None:
    return None if value is None else convert(value)


def _named(name: str, selector: LabelSelector | None) -> v2.MetricIdentifier:
    return v2.MetricIdentifier(name=name, selector=selector)


# ── what metrics should be, to the old shape ──


def _old_spec(one: v2.MetricSpec) -> old.Spec:
    return old.Spec(
        type=one.type,
        object=_maybe(one.object, _old_object_source),
        pods=_maybe(one.pods, _old_pods_source),
        resource=_maybe(one.resource, _old_resource_source),
        container_resource=_maybe(one.container_resource, _old_container_source),
        external=_maybe(one.external, _old_external_source),
    )


def _old_object_source(source: v2.ObjectMetricSource) -> old.ObjectSource:
    return old.ObjectSource(
        target=source.described_object,
        metric_name=source.metric.name,
        target_value=source.target.value or _ZERO,
        selector=source.metric.selector,
        average_value=source.target.average_value,
    )


def _old_pods_source(source: v2.PodsMetricSource) -> old.PodsSource:
    return old.PodsSource(
        metric_name=source.metric.name,
        target_average_value=source.target.average_value or _ZERO,
        selector=source.metric.selector,
    )


def _old_resource_source(source: v2.ResourceMetricSource) -> old.ResourceSource:
    return old.ResourceSource(
        name=source.name,
        target_average_utilization=source.target.average_utilization,
        target_average_value=source.target.average_value,
    )


def _old_container_source(source: v2.ContainerResourceMetricSource) -> old.ContainerSource:
    return old.ContainerSource(
        name=source.name,
        target_average_utilization=source.target.average_utilization,
        target_average_value=source.target.average_value,
        container=source.container,
    )


def _old_external_source(source: v2.ExternalMetricSource) -> old.ExternalSource:
    return old.ExternalSource(
        metric_name=source.metric.name,
        metric_selector=source.metric.selector,
        target_value=source.target.value,
        target_average_value=source.target.average_value,
    )


# ── what metrics should be, from the old shape, which does not say which of its amounts counts ──


def _spec(one: old.Spec) -> v2.MetricSpec:
    return v2.MetricSpec(
        type=one.type,
        object=_maybe(one.object, _object_source),
        pods=_maybe(one.pods, _pods_source),
        resource=_maybe(one.resource, _resource_source),
        container_resource=_maybe(one.container_resource, _container_source),
        external=_maybe(one.external, _external_source),
    )


def _object_source(source: old.ObjectSource) -> v2.ObjectMetricSource:
    kind = VALUE if source.average_value is None else AVERAGE_VALUE
    return v2.ObjectMetricSource(
        described_object=source.target,
        metric=_named(source.metric_name, source.selector),
        target=v2.MetricTarget(
            type=kind, value=_amount(source.target_value), average_value=_amount(source.average_value)
        ),
    )


def _pods_source(source: old.PodsSource) -> v2.PodsMetricSource:
    return v2.PodsMetricSource(
        metric=_named(source.metric_name, source.selector),
        target=v2.MetricTarget(type=AVERAGE_VALUE, average_value=_amount(source.target_average_value)),
    )


def _resource_source(source: old.ResourceSource) -> v2.ResourceMetricSource:
    return v2.ResourceMetricSource(name=source.name, target=_usage(source))


def _container_source(source: old.ContainerSource) -> v2.ContainerResourceMetricSource:
    return v2.ContainerResourceMetricSource(name=source.name, container=source.container, target=_usage(source))


def _usage(source: old.ResourceSource | old.ContainerSource) -> v2.MetricTarget:
    share, average = source.target_average_utilization, _amount(source.target_average_value)
    kind = AVERAGE_VALUE if share is None else UTILIZATION
    return v2.MetricTarget(type=kind, average_value=average, average_utilization=share)


def _external_source(source: old.ExternalSource) -> v2.ExternalMetricSource:
    value, average = _amount(source.target_value), _amount(source.target_average_value)
    kind = AVERAGE_VALUE if value is None else VALUE
    return v2.ExternalMetricSource(
        metric=_named(source.metric_name, source.metric_selector),
        target=v2.MetricTarget(type=kind, value=value, average_value=average),
    )


# ── what metrics are, to the old shape ──


def _old_status(one: v2.MetricStatus) -> old.Status:
    return old.Status(
        type=one.type,
        object=_maybe(one.object, _old_object_status),
        pods=_maybe(one.pods, _old_pods_status),
        resource=_maybe(one.resource, _old_resource_status),
        container_resource=_maybe(one.container_resource, _old_container_status),
        external=_maybe(one.external, _old_external_status),
    )


def _old_object_status(status: v2.ObjectMetricStatus) -> old.ObjectStatus:
    return old.ObjectStatus(
        target=status.described_object,
        metric_name=status.metric.name,
        current_value=status.current.value or _ZERO,
        selector=status.metric.selector,
        average_value=status.current.average_value,
    )


def _old_pods_status(status: v2.PodsMetricStatus) -> old.PodsStatus:
    return old.PodsStatus(
        metric_name=status.metric.name,
        current_average_value=status.current.average_value or _ZERO,
        selector=status.metric.selector,
    )


def _old_resource_status(status: v2.ResourceMetricStatus) -> old.ResourceStatus:
    return old.ResourceStatus(
        name=status.name,
        current_average_utilization=status.current.average_utilization,
        current_average_value=status.current.average_value or _ZERO,
    )


def _old_container_status(status: v2.ContainerResourceMetricStatus) -> old.ContainerStatus:
    return old.ContainerStatus(
        name=status.name,
        current_average_utilization=status.current.average_utilization,
        current_average_value=status.current.average_value or _ZERO,
        container=status.container,
    )


def _old_external_status(status: v2.ExternalMetricStatus) -> old.ExternalStatus:
    return old.ExternalStatus(
        metric_name=status.metric.name,
        metric_selector=status.metric.selector,
        current_value=status.current.value or _ZERO,
        current_average_value=status.current.average_value,
    )


# ── what metrics are, from the old shape ──


def _status(one: old.Status) -> v2.MetricStatus:
    return v2.MetricStatus(
        type=one.type,
        object=_maybe(one.object, _object_status),
        pods=_maybe(one.pods, _pods_status),
        resource=_maybe(one.resource, _resource_status),
        container_resource=_maybe(one.container_resource, _container_status),
        external=_maybe(one.external, _external_status),
    )


def _object_status(status: old.ObjectStatus) -> v2.ObjectMetricStatus:
    return v2.ObjectMetricStatus(
        described_object=status.target,
        metric=_named(status.metric_name, status.selector),
        current=v2.MetricValueStatus(value=_amount(status.current_value), average_value=_amount(status.average_value)),
    )


def _pods_status(status: old.PodsStatus) -> v2.PodsMetricStatus:
    return v2.PodsMetricStatus(
        metric=_named(status.metric_name, status.selector),
        current=v2.MetricValueStatus(average_value=_amount(status.current_average_value)),
    )


def _resource_status(status: old.ResourceStatus) -> v2.ResourceMetricStatus:
    return v2.ResourceMetricStatus(name=status.name, current=_used(status))


def _container_status(status: old.ContainerStatus) -> v2.ContainerResourceMetricStatus:
    return v2.ContainerResourceMetricStatus(name=status.name, container=status.container, current=_used(status))


def _used(status: old.ResourceStatus | old.ContainerStatus) -> v2.MetricValueStatus:
    share, average = status.current_average_utilization, _amount(status.current_average_value)
    return v2.MetricValueStatus(average_value=average, average_utilization=share)


def _external_status(status: old.ExternalStatus) -> v2.ExternalMetricStatus:
    return v2.ExternalMetricStatus(
        metric=_named(status.metric_name, status.metric_selector),
        current=v2.MetricValueStatus(
            value=_amount(status.current_value), average_value=_amount(status.current_average_value)
        ),
    )
