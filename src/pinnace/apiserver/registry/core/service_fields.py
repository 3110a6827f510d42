"""Which fields of a Service belong to which type, and how they follow when it changes.

Upstream: pkg/registry/core/service `strategy.go`, `storage.go` (patchAllocatedValues, normalizeClusterIPs,
dropTypeDependentFields).
"""

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    ClientIPConfig,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
)
from pinnace.apiserver.registry.defaulting import changed, each, filled

CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
HEADLESS = "None"
AFFINITY_SECONDS = 10800


def needs_cluster_ip(spec: ServiceSpec) -> bool:
    return spec.type != EXTERNAL_NAME


def needs_node_port(spec: ServiceSpec) -> bool:
    if spec.type == LOAD_BALANCER:
        return spec.allocate_load_balancer_node_ports is not False
    return spec.type == NODE_PORT


def needs_health_check_port(spec: ServiceSpec) -> bool:
    return spec.type == LOAD_BALANCER and spec.external_traffic_policy == "Local"


def is_external(spec: ServiceSpec) -> bool:
    """Tell whether clients outside the cluster can reach it."""
    return spec.type in {NODE_PORT, LOAD_BALANCER} or (spec.type == CLUSTER_IP and bool(spec.external_ips))


def is_headless(spec: ServiceSpec) -> bool:
    return spec.cluster_ips == (HEADLESS,) or (not spec.cluster_ips and spec.cluster_ip == HEADLESS)


def default(service: Service) -> Service:
    """Return a Service with defaults."""
    spec = filled(service.spec, type=CLUSTER_IP, session_affinity="None")
    if spec.session_affinity == "None":
        spec = changed(spec, session_affinity_config=None)
    elif spec.session_affinity == "ClientIP":
        spec = changed(spec, session_affinity_config=_affinity(spec.session_affinity_config))
    spec = changed(spec, ports=each(spec.ports, _port))
    if is_external(spec):
        spec = filled(spec, external_traffic_policy="Cluster")
    if spec.type in {CLUSTER_IP, NODE_PORT, LOAD_BALANCER} and spec.internal_traffic_policy is None:
        spec = replace(spec, internal_traffic_policy="Cluster")
    if spec.type == LOAD_BALANCER and spec.allocate_load_balancer_node_ports is None:
        spec = replace(spec, allocate_load_balancer_node_ports=True)
    balancer: LoadBalancerStatus = service.status.load_balancer
    status = changed(service.status, load_balancer=changed(balancer, ingress=each(balancer.ingress, _ingress)))
    return changed(service, spec=spec, status=status)


def _affinity(config: SessionAffinityConfig | None) -> SessionAffinityConfig:
    if config is None or config.client_ip is None or config.client_ip.timeout_seconds is None:
        return SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=AFFINITY_SECONDS))
    return config


def _port(port: ServicePort) -> ServicePort:
    return filled(port, protocol="TCP", target_port=port.port)


def _ingress(ingress: LoadBalancerIngress) -> LoadBalancerIngress:
    return replace(ingress, ip_mode="VIP") if ingress.ip and ingress.ip_mode is None else ingress


def carried_over(new: ServiceSpec, old: ServiceSpec) -> ServiceSpec:
    """Return the new spec with what was allocated to the old one and is still needed, where a client left it out."""
    if needs_cluster_ip(old) and needs_cluster_ip(new):
        if not new.cluster_ip:
            new = replace(new, cluster_ip=old.cluster_ip)
        if not new.cluster_ips and new.cluster_ip == old.cluster_ip:
            new = replace(new, cluster_ips=old.cluster_ips)
    if needs_node_port(old) and needs_node_port(new):
        known = {(port.protocol, port.port): port.node_port for port in old.ports}
        used = {(port.protocol, port.node_port) for port in new.ports if port.node_port}

        def kept(port: ServicePort) -> ServicePort:
            before = known.get((port.protocol, port.port), 0)
            if port.node_port or not before or (port.protocol, before) in used:
                return port
            return replace(port, node_port=before)

        new = changed(new, ports=each(new.ports, kept))
    if needs_health_check_port(old) and needs_health_check_port(new) and not new.health_check_node_port:
        new = replace(new, health_check_node_port=old.health_check_node_port)
    return new


def normalized(new: ServiceSpec, old: ServiceSpec | None) -> ServiceSpec:
    """Return the spec with the one and the many cluster IPs in step."""
    if old is None:
        if new.cluster_ip and not new.cluster_ips:
            return replace(new, cluster_ips=(new.cluster_ip,))
        return new
    if new.cluster_ip == old.cluster_ip or new.cluster_ips != old.cluster_ips:
        if new.cluster_ip and not new.cluster_ips:
            return replace(new, cluster_ips=(new.cluster_ip,))
        return new
    # Only the one was changed, by a client that does not know the many.
    return replace(new, cluster_ips=(new.cluster_ip,) if new.cluster_ip else ())


def without_foreign(new: ServiceSpec, old: ServiceSpec) -> ServiceSpec:
    """Return the spec without what the old type had, the new one has not, and the client only repeats."""
    if needs_cluster_ip(old) and not needs_cluster_ip(new):
        if new.cluster_ips == old.cluster_ips or not new.cluster_ip:
            new = replace(new, cluster_ip="", cluster_ips=())
        if new.ip_families == old.ip_families:
            new = replace(new, ip_families=())
        if new.ip_family_policy == old.ip_family_policy:
            new = replace(new, ip_family_policy=None)
        if new.internal_traffic_policy == old.internal_traffic_policy:
            new = replace(new, internal_traffic_policy=None)
    if needs_node_port(old) and not needs_node_port(new) and _node_ports(new) == _node_ports(old):
        new = replace(new, ports=tuple(replace(port, node_port=0) for port in new.ports))
    if (
        needs_health_check_port(old)
        and not needs_health_check_port(new)
        and new.health_check_node_port == old.health_check_node_port
    ):
        new = replace(new, health_check_node_port=0)
    if old.type == LOAD_BALANCER != new.type:
        if new.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports:
            new = replace(new, allocate_load_balancer_node_ports=None)
        if new.load_balancer_class == old.load_balancer_class:
            new = replace(new, load_balancer_class=None)
    if is_external(old) and not is_external(new) and new.external_traffic_policy == old.external_traffic_policy:
        new = replace(new, external_traffic_policy="")
    return new


def _node_ports(spec: ServiceSpec) -> set[int]:
    return {port.node_port for port in spec.ports}
