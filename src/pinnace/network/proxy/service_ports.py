"""What the proxy needs to know of a Service: one frozen record per port and address family.

Services without a cluster address (headless, ExternalName) and those that another proxy claims by label have none. Upstream:
pkg/proxy `serviceport.go`, `servicechangetracker.go`.
"""

import ipaddress
from collections.abc import Iterator

from msgspec import Struct

from pinnace.api.core_v1 import Service

# A Service with this label is some other proxy's.
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
AFFINITY_SECONDS = 10800
_EXTERNAL_TYPES = frozenset({"NodePort", "LoadBalancer"})


class PortName(Struct, frozen=True, order=True):
    """Which port of which Service; the family is 4 or 6."""

    namespace: str
    service: str
    port: str
    protocol: str
    family: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}/{self.protocol}/{self.port}"


class ServicePort(Struct, frozen=True, kw_only=True):
    """One port of a Service as the proxy serves it; addresses are of one family."""

    name: PortName
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    # Who may come in through the load balancer's addresses; empty: everybody.
    source_ranges: tuple[str, ...] = ()
    # Seconds for which a client stays with its endpoint; 0: no affinity.
    affinity_seconds: int = 0
    internal_local: bool = False
    external_local: bool = False
    health_check_node_port: int = 0

    @property
    def takes_external(self) -> bool:
        """Whether anything but the cluster address leads here."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)


def family_of(address: str) -> int:
    """Return 4 or 6, of an address or a range."""
    return 6 if ":" in address else 4


def service_ports(service: Service) -> Iterator[ServicePort]:
    """Yield the ports of a Service, once per family that it has a cluster address of."""
    spec, meta = service.spec, service.metadata
    if PROXY_NAME_LABEL in meta.labels or spec.type == "ExternalName" or spec.cluster_ip in {"", "None"}:
        return
    for cluster_ip in spec.cluster_ips or (spec.cluster_ip,):
        family = family_of(cluster_ip)
        ranges = _source_ranges(service, family)
        for port in spec.ports:
            yield ServicePort(
                name=PortName(meta.namespace, meta.name, port.name, port.protocol.lower(), family),
                cluster_ip=cluster_ip,
                port=port.port,
                node_port=port.node_port if spec.type in _EXTERNAL_TYPES else 0,
                external_ips=tuple(ip for ip in spec.external_ips if family_of(ip) == family),
                load_balancer_ips=_load_balancer_ips(service, family),
                source_ranges=ranges,
                affinity_seconds=_affinity_seconds(service),
                internal_local=spec.internal_traffic_policy == "Local",
                external_local=_is_external_local(service),
                health_check_node_port=spec.health_check_node_port,
            )


def _is_external_local(service: Service) -> bool:
    spec = service.spec
    return spec.external_traffic_policy == "Local" and (spec.type in _EXTERNAL_TYPES or bool(spec.external_ips))


def _affinity_seconds(service: Service) -> int:
    if service.spec.session_affinity != "ClientIP":
        return 0
    config = service.spec.session_affinity_config
    client_ip = config.client_ip if config is not None else None
    seconds = client_ip.timeout_seconds if client_ip is not None else None
    return seconds or AFFINITY_SECONDS


def _load_balancer_ips(service: Service, family: int) -> tuple[str, ...]:
    """Return the addresses of the load balancer that traffic still carries when it arrives here."""
    if service.spec.type != "LoadBalancer":
        return ()
    ingress = service.status.load_balancer.ingress
    return tuple(one.ip for one in ingress if one.ip and family_of(one.ip) == family and one.ip_mode != "Proxy")


def _source_ranges(service: Service, family: int) -> tuple[str, ...]:
    """Return the ranges of one family; one that holds every address switches the check off."""
    if service.spec.type != "LoadBalancer":
        return ()
    ranges = [ipaddress.ip_network(text.strip(), strict=False) for text in service.spec.load_balancer_source_ranges]
    own = [one for one in ranges if one.version == family]
    return () if any(one.prefixlen == 0 for one in own) else tuple(sorted(str(one) for one in own))
