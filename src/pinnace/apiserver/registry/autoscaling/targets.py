"""Metrics and their state in one cell: `cpu: 40%/70%` (upstream pkg/printers/internalversion `formatHPAMetrics`)."""

from collections.abc import Sequence

from pinnace.api.autoscaling_v2 import MetricSpec, MetricStatus, MetricTarget, MetricValueStatus
from pinnace.apiserver.registry.printing import NONE, UNKNOWN

# Metrics that a cell shows.
_LIMIT = 2


def shown(metrics: Sequence[MetricSpec], states: Sequence[MetricStatus]) -> str:
    """Return the metrics, each with its state, which stands at the same place in its list."""
    if not metrics:
        return NONE
    known = [states[index] if index < len(states) else MetricStatus() for index in range(len(metrics))]
    cells = [_one(metric, state) for metric, state in zip(metrics, known, strict=True)]
    more = f" + {len(cells) - _LIMIT} more..." if len(cells) > _LIMIT else ""
    return ", ".join(cells[:_LIMIT]) + more


def _one(metric: MetricSpec, state: MetricStatus) -> str:
    if metric.type == "External" and metric.external is not None:
        return _amount(metric.external.target, state.external.current if state.external is not None else None)
    if metric.type == "Object" and metric.object is not None:
        return _amount(metric.object.target, state.object.current if state.object is not None else None)
    if metric.type == "Pods" and metric.pods is not None:
        current = state.pods.current.average_value if state.pods is not None else None
        return f"{current or UNKNOWN}/{metric.pods.target.average_value}"
    if metric.type == "Resource" and metric.resource is not None:
        resource = metric.resource
        return _usage(resource.name, resource.target, state.resource.current if state.resource is not None else None)
    if metric.type == "ContainerResource" and metric.container_resource is not None:
        part, container = metric.container_resource, state.container_resource
        return _usage(part.name, part.target, container.current if container is not None else None)
    return "<unknown type>"


def _amount(target: MetricTarget, current: MetricValueStatus | None) -> str:
    if target.average_value is not None:
        return f"{(current and current.average_value) or UNKNOWN}/{target.average_value} (avg)"
    return f"{(current and current.value) or UNKNOWN}/{target.value}"


def _usage(name: str, target: MetricTarget, current: MetricValueStatus | None) -> str:
    if target.average_value is not None:
        return f"{name}: {(current and current.average_value) or UNKNOWN}/{target.average_value}"
    share = current.average_utilization if current is not None else None
    wanted = "<auto>" if target.average_utilization is None else f"{target.average_utilization}%"
    return f"{name}: {UNKNOWN if share is None else f'{share}%'}/{wanted}"
