"""What makes a pod a backend of a Service: addresses, ports, readiness; shared by EndpointSlices and Endpoints.

Pure rules, but for the memory of what was last told. Upstream: staging/src/k8s.io/endpointslice/utils.go, pkg/controller/util/endpoint.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.controllers import pods as pod_rules
from pinnace.machinery import timestamps
from pinnace.machinery.meta import key as key_of

IPV4, IPV6 = "IPv4", "IPv6"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


class Port(Struct, frozen=True):
    """A port of a Service as one pod serves it."""

    name: str
    port: int
    protocol: str
    app_protocol: str | None


def selects_pods(service: core_v1.Service) -> bool:
    """Tell whether a Service's backends are the controllers' business."""
    return service.spec.type != "ExternalName" and bool(service.spec.selector)


def selector_of(service: core_v1.Service) -> Mapping[str, str]:
    """Return the labels by which a Service picks its pods, none when its backends are not the controllers' business."""
    return service.spec.selector if selects_pods(service) else {}


def is_headless(service: core_v1.Service) -> bool:
    """Tell whether a Service has no address of its own."""
    return service.spec.cluster_ip in ("", "None")


def families(service: core_v1.Service) -> tuple[str, ...]:
    """Return the address families of a Service, the primary one first."""
    if service.spec.ip_families:
        return service.spec.ip_families
    return (IPV6,) if ":" in service.spec.cluster_ip else (IPV4,)


def addresses(pod: core_v1.Pod, family: str) -> tuple[str, ...]:
    """Return a pod's addresses of a family."""
    return tuple(item.ip for item in pod.status.pod_ips if (":" in item.ip) == (family == IPV6))


def may_serve(pod: core_v1.Pod, *, terminating: bool) -> bool:
    """Tell whether a pod is listed at all; with `terminating` also on its way out."""
    if not pod.status.pod_ip and not pod.status.pod_ips:
        return False
    if pod.status.phase in {"Succeeded", "Failed"}:
        return False
    return terminating or pod.metadata.deletion_timestamp is None


def ports_of(service: core_v1.Service, pod: core_v1.Pod) -> tuple[Port, ...]:
    """Return the Service's ports as this pod serves them; a name that the pod does not know is left out."""
    found = []
    for item in service.spec.ports:
        number = _port_number(item, pod)
        if number is not None:
            found.append(Port(item.name, number, item.protocol or "TCP", item.app_protocol))
    return tuple(found)


def _port_number(item: core_v1.ServicePort, pod: core_v1.Pod) -> int | None:
    if isinstance(item.target_port, int):
        return item.target_port or item.port
    sidecars = (one for one in pod.spec.init_containers if one.restart_policy == "Always")
    for container in (*pod.spec.containers, *sidecars):
        for port in container.ports:
            if port.name == item.target_port and (port.protocol or "TCP") == (item.protocol or "TCP"):
                return port.container_port
    return None


def hostname_in(service: core_v1.Service, pod: core_v1.Pod) -> str:
    """Return the name under which the Service's domain knows a pod, "" when it has none there."""
    return pod.spec.hostname if pod.spec.subdomain == service.metadata.name else ""


def reference(pod: core_v1.Pod) -> core_v1.ObjectReference:
    """Return how an endpoint refers to its pod."""
    metadata = pod.metadata
    return core_v1.ObjectReference(kind="Pod", namespace=metadata.namespace, name=metadata.name, uid=metadata.uid)


def face(pod: core_v1.Pod) -> tuple[Any, ...]:
    """Return all of a pod that its Services' backends show; equal faces need no look."""
    return (
        pod.status.pod_ips,
        pod.status.phase in {"Succeeded", "Failed"},
        pod.metadata.deletion_timestamp,
        pod_rules.is_ready(pod),
        pod.spec.node_name,
        pod.spec.hostname,
        pod.spec.subdomain,
    )


class TriggerTimes:
    """Remembers what made each Service's backends change, to say since when a change was under way."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, dict[str, float]]] = {}

    def since(self, service: core_v1.Service, pods: Iterable[core_v1.Pod]) -> str:
        """Return the earliest of the changes that were not there at the last call, "" when there is none."""
        key = key_of(service)
        before, known = self._known.get(key, (0.0, {}))
        changed = timestamps.parse(service.metadata.creation_timestamp or "1970-01-01T00:00:00Z")
        times = [changed] if changed > before else []
        now: dict[str, float] = {}
        for pod in pods:
            ready = pod_rules.condition(pod, "Ready")
            text = ready.last_transition_time if ready is not None else pod.metadata.creation_timestamp
            moment = now[pod.metadata.name] = timestamps.parse(text) if text else 0.0
            if moment and moment > known.get(pod.metadata.name, 0.0):
                times.append(moment)
        self._known[key] = (changed, now)
        return timestamps.format(min(times)) if times else ""

    def forget(self, key: str) -> None:
        """The Service is gone."""
        self._known.pop(key, None)
