"""The shape that metrics had in autoscaling/v1, in which its annotations still hold them.

Presence is that of upstream's types: what was no pointer is always written. Upstream: k8s.io/api/autoscaling/v1 `types.go`.
"""

from msgspec import Struct, field

from pinnace.api.autoscaling_v2 import CrossVersionObjectReference as Reference
from pinnace.api.meta_v1 import LabelSelector
from pinnace.api.scalars import Int32, Quantity, zero_quantity


class ObjectSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    target: Reference = field(default_factory=Reference)
    metric_name: str = field(name="metricName", default_factory=str)
    target_value: Quantity = field(name="targetValue", default_factory=zero_quantity)
    selector: LabelSelector | None = None
    average_value: Quantity | None = field(name="averageValue", default=None)


class PodsSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    metric_name: str = field(name="metricName", default_factory=str)
    target_average_value: Quantity = field(name="targetAverageValue", default_factory=zero_quantity)
    selector: LabelSelector | None = None


class ResourceSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str = field(default_factory=str)
    target_average_utilization: Int32 | None = field(name="targetAverageUtilization", default=None)
    target_average_value: Quantity | None = field(name="targetAverageValue", default=None)


class ContainerSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str = field(default_factory=str)
    target_average_utilization: Int32 | None = field(name="targetAverageUtilization", default=None)
    target_average_value: Quantity | None = field(name="targetAverageValue", default=None)
    container: str = field(default_factory=str)


class ExternalSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    metric_name: str = field(name="metricName", default_factory=str)
    metric_selector: LabelSelector | None = field(name="metricSelector", default=None)
    target_value: Quantity | None = field(name="targetValue", default=None)
    target_average_value: Quantity | None = field(name="targetAverageValue", default=None)


class Spec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str = field(default_factory=str)
    object: ObjectSource | None = None
    pods: PodsSource | None = None
    resource: ResourceSource | None = None
    container_resource: ContainerSource | None = field(name="containerResource", default=None)
    external: ExternalSource | None = None


class ObjectStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    target: Reference = field(default_factory=Reference)
    metric_name: str = field(name="metricName", default_factory=str)
    current_value: Quantity = field(name="currentValue", default_factory=zero_quantity)
    selector: LabelSelector | None = None
    average_value: Quantity | None = field(name="averageValue", default=None)


class PodsStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    metric_name: str = field(name="metricName", default_factory=str)
    current_average_value: Quantity = field(name="currentAverageValue", default_factory=zero_quantity)
    selector: LabelSelector | None = None


class ResourceStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str = field(default_factory=str)
    current_average_utilization: Int32 | None = field(name="currentAverageUtilization", default=None)
    current_average_value: Quantity = field(name="currentAverageValue", default_factory=zero_quantity)


class ContainerStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str = field(default_factory=str)
    current_average_utilization: Int32 | None = field(name="currentAverageUtilization", default=None)
    current_average_value: Quantity = field(name="currentAverageValue", default_factory=zero_quantity)
    container: str = field(default_factory=str)


class ExternalStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    metric_name: str = field(name="metricName", default_factory=str)
    metric_selector: LabelSelector | None = field(name="metricSelector", default=None)
    current_value: Quantity = field(name="currentValue", default_factory=zero_quantity)
    current_average_value: Quantity | None = field(name="currentAverageValue", default=None)


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str = field(default_factory=str)
    object: ObjectStatus | None = None
    pods: PodsStatus | None = None
    resource: ResourceStatus | None = None
    container_resource: ContainerStatus | None = field(name="containerResource", default=None)
    external: ExternalStatus | None = None
