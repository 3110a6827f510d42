"""What a pod asks for in all, as exact quantities: what quotas charge and limit ranges bound.

The rule is that of `pod_resources`, for requests and limits alike; the amounts keep the family of suffixes they were written in,
since messages show them. A pod that is being resized counts with the larger of what it has and what it asks for. Upstream:
component-helpers `resource/helpers.go`.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter

from pinnace.api.core_v1 import Container, Pod, ResourceRequirements
from pinnace.api.pod_resources import is_sidecar
from pinnace.machinery.quantity import Quantity, parse

Totals = dict[str, Quantity]

_REQUESTS, _LIMITS = attrgetter("requests"), attrgetter("limits")


def parsed(quantities: Mapping[str, str]) -> Totals:
    """Return a ResourceList as quantities."""
    return {name: parse(text) for name, text in quantities.items()}


def pod_requests(pod: Pod, *, with_overhead: bool = True) -> Totals:
    """Return what a pod requests."""
    return _effective(pod, _REQUESTS, with_overhead=with_overhead)


def pod_limits(pod: Pod, *, with_overhead: bool = True) -> Totals:
    """Return what bounds a pod; overhead adds to what is bounded and bounds nothing by itself."""
    return _effective(pod, _LIMITS, with_overhead=with_overhead)


def add(total: Totals, more: Mapping[str, Quantity]) -> None:
    """Add amounts to a total."""
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _raise_to(total: Totals, floor: Mapping[str, Quantity]) -> None:
    for name, amount in floor.items():
        if name not in total or total[name] < amount:
            total[name] = amount


def _effective(pod: Pod, part: "attrgetter[Mapping[str, str]]", *, with_overhead: bool) -> Totals:
    spec = pod.spec
    running: Totals = {}
    for container in spec.containers:
        add(running, _container(pod, container, part))
    peak: Totals = {}
    sidecars: Totals = {}
    for container in spec.init_containers:
        own = _container(pod, container, part)
        if is_sidecar(container):
            add(sidecars, own)
            _raise_to(peak, sidecars)
        else:
            add(own, sidecars)
            _raise_to(peak, own)
    add(running, sidecars)
    _raise_to(running, peak)
    if spec.resources is not None:
        running.update(parsed(part(spec.resources)))
    if with_overhead:
        overhead = parsed(spec.overhead)
        add(running, overhead if part is _REQUESTS else {name: overhead[name] for name in overhead if name in running})
    return running


def _container(pod: Pod, container: Container, part: "attrgetter[Mapping[str, str]]") -> Totals:
    total = parsed(part(container.resources))
    for granted in _granted(pod, container.name):
        _raise_to(total, parsed(part(granted)))
    return total


def _granted(pod: Pod, name: str) -> Iterable[ResourceRequirements]:
    """Return what a running container has been given, which lags behind its spec while it is resized."""
    for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        if status.name == name:
            yield ResourceRequirements(requests=status.allocated_resources)
            if status.resources is not None:
                yield status.resources
