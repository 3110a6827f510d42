"""What a pod's containers ask for together, and the quality-of-service class that follows.

Upstream: k8s.io/component-helpers/resource, pkg/apis/core/v1/helper/qos.
"""

from collections.abc import Iterable, Mapping

from pinnace.api.core_v1 import Container, PodSpec, ResourceRequirements
from pinnace.machinery import quantity
from pinnace.machinery.quantity import Quantity

# Resources that may be given for a whole pod, beside huge pages.
POD_LEVEL = ("cpu", "memory")
HUGE_PAGES = "hugepages-"
BEST_EFFORT, BURSTABLE, GUARANTEED = "BestEffort", "Burstable", "Guaranteed"

Amounts = dict[str, Quantity]


def total_requests(spec: PodSpec) -> dict[str, str]:
    """Return what containers ask together; sidecars count with the containers, other init containers by the largest."""
    return {name: str(amount) for name, amount in sorted(totals(spec, "requests").items())}


def totals(spec: PodSpec, which: str) -> Amounts:
    """Return the totals of `requests` or of `limits`."""
    total = _sum(getattr(one.resources, which) for one in spec.containers)
    sidecars: Amounts = {}
    largest: Amounts = {}
    for one in spec.init_containers:
        own = _sum([getattr(one.resources, which)])
        if one.restart_policy == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = sidecars
        else:
            _add(own, sidecars)
        for name, amount in own.items():
            if name not in largest or largest[name] < amount:
                largest[name] = amount
    for name, amount in largest.items():
        if name not in total or total[name] < amount:
            total[name] = amount
    return total


def _sum(lists: Iterable[Mapping[str, str]]) -> Amounts:
    total: Amounts = {}
    for each in lists:
        _add(total, {name: quantity.parse(text) for name, text in each.items()})
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def qos_class(spec: PodSpec) -> str:
    """Return a pod's class: Guaranteed when each container's cpu and memory requests equal its limits."""
    if spec.resources is not None and (spec.resources.requests or spec.resources.limits):
        return _class_of([spec.resources])
    containers: tuple[Container, ...] = (*spec.containers, *spec.init_containers)
    return _class_of([one.resources for one in containers])


def _class_of(all_resources: list[ResourceRequirements]) -> str:
    requests: Amounts = {}
    limits: Amounts = {}
    guaranteed = True
    for resources in all_resources:
        own_requests, own_limits = _compute(resources.requests), _compute(resources.limits)
        _add(requests, own_requests)
        _add(limits, own_limits)
        if len(own_limits) < len(POD_LEVEL):
            guaranteed = False
    if not requests and not limits:
        return BEST_EFFORT
    # By amount alone: 1 and 1000m are written in different ways.
    if guaranteed and _nanos(requests) == _nanos(limits):
        return GUARANTEED
    return BURSTABLE


def _nanos(amounts: Amounts) -> dict[str, int]:
    return {name: amount.nanos for name, amount in amounts.items()}


def _compute(resources: Mapping[str, str]) -> Amounts:
    """Return the compute resources that are not zero."""
    parsed = {name: quantity.parse(resources[name]) for name in POD_LEVEL if name in resources}
    return {name: amount for name, amount in parsed.items() if amount}
