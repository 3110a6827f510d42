"""What clients are told about Services that are good but odd (upstream pkg/api/service `warnings.go`)."""

from collections.abc import Iterator

from pinnace.api.core_v1 import Service, ServiceSpec
from pinnace.apiserver.registry.core.service_fields import CLUSTER_IP, EXTERNAL_NAME, is_headless
from pinnace.machinery.addresses import cidr_warnings, ip_warnings
from pinnace.machinery.field import Path

_SPEC = Path("spec")
_INGRESS = Path("status", "loadBalancer", "ingress")
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"


def service_warnings(new: Service, old: Service | None) -> list[str]:  # noqa: ARG001
    """Return the warnings about a Service."""
    return list(_warnings(new))


def _warnings(service: Service) -> Iterator[str]:
    spec = service.spec
    if _HINTS in service.metadata.annotations:
        yield f"annotation {_HINTS} is deprecated, please use {_MODE} instead"
    if spec.cluster_ip and not is_headless(spec):
        for index, address in enumerate(spec.cluster_ips):
            yield from ip_warnings(address, _SPEC.child("clusterIPs").index(index))
    yield from _headless_warnings(spec)
    for index, address in enumerate(spec.external_ips):
        yield from ip_warnings(address, _SPEC.child("externalIPs").index(index))
    if spec.load_balancer_ip:
        yield from ip_warnings(spec.load_balancer_ip, _SPEC.child("loadBalancerIP"))
    for index, text in enumerate(spec.load_balancer_source_ranges):
        yield from cidr_warnings(text, _SPEC.child("loadBalancerSourceRanges").index(index))
    if spec.type == EXTERNAL_NAME and spec.external_ips:
        yield f'spec.externalIPs is ignored when spec.type is "{EXTERNAL_NAME}"'
    if spec.type != EXTERNAL_NAME and spec.external_name:
        yield f'spec.externalName is ignored when spec.type is not "{EXTERNAL_NAME}"'
    if spec.traffic_distribution == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _headless_warnings(spec: ServiceSpec) -> Iterator[str]:
    if spec.type != CLUSTER_IP or not is_headless(spec):
        return
    if spec.load_balancer_ip:
        yield "spec.loadBalancerIP is ignored for headless services"
    if spec.external_ips:
        yield "spec.externalIPs is ignored for headless services"
    if spec.session_affinity != "None":
        yield "spec.SessionAffinity is ignored for headless services"


def status_warnings(new: Service, old: Service | None) -> list[str]:  # noqa: ARG001
    """Return the warnings about the addresses in a Service's status."""
    # Upstream names the entry and not its address.
    return [
        text
        for index, one in enumerate(new.status.load_balancer.ingress)
        for text in ip_warnings(one.ip, _INGRESS.index(index))
    ]
