"""What a pod asks for as a whole. Pure.

Regular containers and sidecars run at the same time; an init container runs beside the sidecars before it; the pod needs the larger of the
two, and its overhead. What the pod itself says in `spec.resources` replaces the sum. Upstream: component-helpers `resource/helpers.go`.
"""

from collections.abc import Callable, Mapping

from pinnace.api import core_v1
from pinnace.kubelet.pod_containers import is_sidecar
from pinnace.machinery import quantity

# Units: thousandths of a core for cpu, else bytes or pieces.
Amounts = dict[str, int]


def requests(pod: core_v1.Pod) -> Amounts:
    """Return what the pod asks for."""
    own = pod.spec.resources.requests if pod.spec.resources is not None else {}
    return _whole(pod, lambda container: container.resources.requests, own)


def limits(pod: core_v1.Pod) -> Amounts:
    """Return the most that the pod may use; a resource that some container may use without limit counts as far as others have one."""
    own = pod.spec.resources.limits if pod.spec.resources is not None else {}
    return _whole(pod, lambda container: container.resources.limits, own)


def every_container_limits(pod: core_v1.Pod, resource: str) -> bool:
    """Tell whether every container, or the pod as a whole, has a limit of a resource."""
    if pod.spec.resources is not None and resource in pod.spec.resources.limits:
        return True
    return all(
        amount(container.resources.limits, resource)
        for container in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
    )


def amount(values: Mapping[str, str], resource: str) -> int:
    """Return one amount in the units above; zero when there is none."""
    found = quantity.parse(values.get(resource, "0"))
    return found.milli() if resource == "cpu" else found.value()


def _whole(pod: core_v1.Pod, of: Callable[[core_v1.Container], Mapping[str, str]], own: Mapping[str, str]) -> Amounts:
    beside: Amounts = {}
    most: Amounts = {}
    for container in pod.spec.init_containers or ():
        values = _amounts(of(container))
        if is_sidecar(container):
            beside = _sum(beside, values)
            most = _larger(most, beside)
        else:
            most = _larger(most, _sum(beside, values))
    running = beside
    for container in pod.spec.containers or ():
        running = _sum(running, _amounts(of(container)))
    whole = {**_larger(most, running), **_amounts(own)}
    return _sum(whole, _amounts({key: value for key, value in (pod.spec.overhead or {}).items() if key in whole}))


def _amounts(values: Mapping[str, str]) -> Amounts:
    return {resource: amount(values, resource) for resource in values}


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def _larger(one: Amounts, other: Amounts) -> Amounts:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}
