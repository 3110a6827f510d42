"""What a pod asks for: the effective request that scheduler, node admission and quota all go by.

Rule (upstream component-helpers/resource): the larger of the sum over containers and sidecars, and of each plain init container
together with the sidecars started before it; pod-level requests replace that for the resources they name; overhead comes on top.
Amounts are integers: milli-units for cpu, whole units (bytes, counts) for everything else, rounded up.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pinnace.api import core_v1
from pinnace.machinery import quantity

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
PODS = "pods"
# Scoring treats a container that asks for nothing as asking for this, so that idle pods spread too.
DEFAULT_CPU_MILLIS = 100
DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024

Amounts = dict[str, int]


def amount(resource: str, value: str | float) -> int:
    """Return a quantity as the integer that resource is counted in."""
    parsed = quantity.parse(value)
    return parsed.milli() if resource == CPU else parsed.value()


def amounts(quantities: Mapping[str, str] | None) -> Amounts:
    """Return a ResourceList in integers."""
    return {name: amount(name, value) for name, value in (quantities or {}).items()}


def pod_requests(pod: core_v1.Pod) -> Amounts:
    """Return what the pod's node must have free."""
    return _effective(pod, MappingProxyType({}))


def scoring_requests(pod: core_v1.Pod) -> Amounts:
    """Return the request with defaults for containers that name no cpu or memory; for scores only."""
    return _effective(pod, MappingProxyType({CPU: DEFAULT_CPU_MILLIS, MEMORY: DEFAULT_MEMORY_BYTES}))


def is_sidecar(container: core_v1.Container) -> bool:
    """Tell whether an init container keeps running beside the regular ones."""
    return container.restart_policy == "Always"


def _effective(pod: core_v1.Pod, defaults: Mapping[str, int]) -> Amounts:
    spec = pod.spec
    running: Amounts = {}
    for container in spec.containers:
        _add(running, _container(container, defaults))
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.init_containers:
        own = _container(container, defaults)
        if is_sidecar(container):
            _add(sidecars, own)
            _raise_to(peak, sidecars)
        else:
            _add(own, sidecars)
            _raise_to(peak, own)
    _add(running, sidecars)
    _raise_to(running, peak)
    if spec.resources is not None:
        running.update(amounts(spec.resources.requests))
    _add(running, amounts(spec.overhead))
    return running


def _container(container: core_v1.Container, defaults: Mapping[str, int]) -> Amounts:
    return {**defaults, **amounts(container.resources.requests)}


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise_to(total: Amounts, floor: Mapping[str, int]) -> None:
    for name, value in floor.items():
        total[name] = max(total.get(name, 0), value)
