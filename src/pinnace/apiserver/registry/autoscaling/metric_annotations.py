"""Metrics as annotations of autoscaling/v1, which has fields for the CPU alone.

Text that does not hold metrics is as good as none. Upstream: pkg/apis/autoscaling/v1 `conversion.go`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from pinnace.api import autoscaling_v2 as v2
from pinnace.api import codec
from pinnace.api.scalars import zero_quantity
from pinnace.apiserver.registry.autoscaling import old_metrics as old

S = TypeVar("S", bound=Struct)

UTILIZATION, VALUE, AVERAGE_VALUE = "Utilization", "Value", "AverageValue"


_ZERO = zero_quantity()
_A = TypeVar("_A")
_B = TypeVar("_B")


def _maybe(value: _A | None, convert: Callable[[_A], _B]) -> _B | None:
    return None if value is None else convert(value)


def encode_specs(metrics: Sequence[v2.MetricSpec]) -> str:
    """Return metrics as an annotation holds them."""
    return codec.encode([_old_spec(one) for one in metrics]).decode()


def decode_specs(text: str) -> tuple[v2.MetricSpec, ...] | None:
    """Return the metrics of an annotation, None when it does not hold any."""
    return _decoded(text, old.Spec, _new_spec)


def encode_statuses(metrics: Sequence[v2.MetricStatus]) -> str:
    """Return the state of metrics as an annotation holds it."""
    return codec.encode([_old_status(one) for one in metrics]).decode()


def decode_statuses(text: str) -> tuple[v2.MetricStatus, ...] | None:
    """Return the state of metrics from an annotation, None when it does not hold any."""
    return _decoded(text, old.Status, _new_status)


def _decoded(text: str, cls: type[S], convert: Callable[[S], _B]) -> tuple[_B, ...] | None:
    try:
        items = msgspec.json.decode(text.encode(), type=list[msgspec.Raw])
        return tuple(convert(codec.decode(cls, bytes(item))) for item in items)
    except msgspec.DecodeError:
        return None


def _old_spec(one: v2.MetricSpec) -> old.Spec:
    return old.Spec(
        type=one.type,
        object=_maybe(
            one.object,
            lambda it: old.ObjectSource(
                target=it.described_object,
                metric_name=it.metric.name,
                target_value=it.target.value or _ZERO,
                selector=it.metric.selector,
                average_value=it.target.average_value,
            ),
        ),
        pods=_maybe(
            one.pods,
            lambda it: old.PodsSource(
                metric_name=it.metric.name,
                target_average_value=it.target.average_value or _ZERO,
                selector=it.metric.selector,
            ),
        ),
        resource=_maybe(
            one.resource,
            lambda it: old.ResourceSource(
                name=it.name,
                target_average_utilization=it.target.average_utilization,
                target_average_value=it.target.average_value,
            ),
        ),
        container_resource=_maybe(
            one.container_resource,
            lambda it: old.ContainerSource(
                name=it.name,
                target_average_utilization=it.target.average_utilization,
                target_average_value=it.target.average_value,
                container=it.container,
            ),
        ),
        external=_maybe(
            one.external,
            lambda it: old.ExternalSource(
                metric_name=it.metric.name,
                metric_selector=it.metric.selector,
                target_value=it.target.value,
                target_average_value=it.target.average_value,
            ),
        ),
    )


def _share(utilization: int | None, average: str | None) -> v2.MetricTarget:
    kind = AVERAGE_VALUE if utilization is None else UTILIZATION
    return v2.MetricTarget(type=kind, average_value=average, average_utilization=utilization)


def _new_spec(one: old.Spec) -> v2.MetricSpec:
    return v2.MetricSpec(
        type=one.type,
        object=_maybe(
            one.object,
            lambda it: v2.ObjectMetricSource(
                described_object=it.target,
                metric=v2.MetricIdentifier(name=it.metric_name, selector=it.selector),
                target=v2.MetricTarget(
                    type=VALUE if it.average_value is None else AVERAGE_VALUE,
                    value=it.target_value,
                    average_value=it.average_value,
                ),
            ),
        ),
        pods=_maybe(
            one.pods,
            lambda it: v2.PodsMetricSource(
                metric=v2.MetricIdentifier(name=it.metric_name, selector=it.selector),
                target=v2.MetricTarget(type=AVERAGE_VALUE, average_value=it.target_average_value),
            ),
        ),
        resource=_maybe(
            one.resource,
            lambda it: v2.ResourceMetricSource(
                name=it.name, target=_share(it.target_average_utilization, it.target_average_value)
            ),
        ),
        container_resource=_maybe(
            one.container_resource,
            lambda it: v2.ContainerResourceMetricSource(
                name=it.name,
                container=it.container,
                target=_share(it.target_average_utilization, it.target_average_value),
            ),
        ),
        external=_maybe(
            one.external,
            lambda it: v2.ExternalMetricSource(
                metric=v2.MetricIdentifier(name=it.metric_name, selector=it.metric_selector),
                target=v2.MetricTarget(
                    type=AVERAGE_VALUE if it.target_value is None else VALUE,
                    value=it.target_value,
                    average_value=it.target_average_value,
                ),
            ),
        ),
    )


def _old_status(one: v2.MetricStatus) -> old.Status:
    return old.Status(
        type=one.type,
        object=_maybe(
            one.object,
            lambda it: old.ObjectStatus(
                target=it.described_object,
                metric_name=it.metric.name,
                current_value=it.current.value or _ZERO,
                selector=it.metric.selector,
                average_value=it.current.average_value,
            ),
        ),
        pods=_maybe(
            one.pods,
            lambda it: old.PodsStatus(
                metric_name=it.metric.name,
                current_average_value=it.current.average_value or _ZERO,
                selector=it.metric.selector,
            ),
        ),
        resource=_maybe(
            one.resource,
            lambda it: old.ResourceStatus(
                name=it.name,
                current_average_utilization=it.current.average_utilization,
                current_average_value=it.current.average_value or _ZERO,
            ),
        ),
        container_resource=_maybe(
            one.container_resource,
            lambda it: old.ContainerStatus(
                name=it.name,
                current_average_utilization=it.current.average_utilization,
                current_average_value=it.current.average_value or _ZERO,
                container=it.container,
            ),
        ),
        external=_maybe(
            one.external,
            lambda it: old.ExternalStatus(
                metric_name=it.metric.name,
                metric_selector=it.metric.selector,
                current_value=it.current.value or _ZERO,
                current_average_value=it.current.average_value,
            ),
        ),
    )


def _new_status(one: old.Status) -> v2.MetricStatus:
    return v2.MetricStatus(
        type=one.type,
        object=_maybe(
            one.object,
            lambda it: v2.ObjectMetricStatus(
                described_object=it.target,
                metric=v2.MetricIdentifier(name=it.metric_name, selector=it.selector),
                current=v2.MetricValueStatus(value=it.current_value, average_value=it.average_value),
            ),
        ),
        pods=_maybe(
            one.pods,
            lambda it: v2.PodsMetricStatus(
                metric=v2.MetricIdentifier(name=it.metric_name, selector=it.selector),
                current=v2.MetricValueStatus(average_value=it.current_average_value),
            ),
        ),
        resource=_maybe(
            one.resource,
            lambda it: v2.ResourceMetricStatus(
                name=it.name,
                current=v2.MetricValueStatus(
                    average_value=it.current_average_value, average_utilization=it.current_average_utilization
                ),
            ),
        ),
        container_resource=_maybe(
            one.container_resource,
            lambda it: v2.ContainerResourceMetricStatus(
                name=it.name,
                container=it.container,
                current=v2.MetricValueStatus(
                    average_value=it.current_average_value, average_utilization=it.current_average_utilization
                ),
            ),
        ),
        external=_maybe(
            one.external,
            lambda it: v2.ExternalMetricStatus(
                metric=v2.MetricIdentifier(name=it.metric_name, selector=it.metric_selector),
                current=v2.MetricValueStatus(value=it.current_value, average_value=it.current_average_value),
            ),
        ),
    )
