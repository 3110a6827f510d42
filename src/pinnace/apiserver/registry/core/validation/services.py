"""What a Service may look like (upstream pkg/apis/core/validation `ValidateService`)."""

from collections.abc import Iterator
from typing import Any

from pinnace.api.core_v1 import Service, ServicePort, ServiceSpec
from pinnace.apiserver.registry.core.service_fields import (
    CLUSTER_IP,
    EXTERNAL_NAME,
    HEADLESS,
    LOAD_BALANCER,
    NODE_PORT,
    is_external,
    is_headless,
    needs_cluster_ip,
    needs_health_check_port,
)
from pinnace.apiserver.registry.core.validation.handlers import port_errors
from pinnace.apiserver.registry.core.validation.service_addresses import address_errors, address_update_errors
from pinnace.apiserver.registry.metadata import label_errors
from pinnace.machinery import names
from pinnace.machinery.addresses import cidr, ip_address, parse, special_address_errors
from pinnace.machinery.field import (
    FieldError,
    Path,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

Errors = Iterator[FieldError]

_SPEC = Path("spec")
_TYPES = (CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_TRAFFIC = ("Cluster", "Local")
_DAY_SECONDS = 86400


def service_errors(service: Service) -> Errors:
    """Check a Service."""
    spec = service.spec
    headless = is_headless(spec)
    if not spec.ports and not headless and spec.type != EXTERNAL_NAME:
        yield required(_SPEC.child("ports"))
    yield from _type_errors(spec, headless=headless)
    taken: set[str] = set()
    for index, port in enumerate(spec.ports):
        yield from _port_errors(port, _SPEC.child("ports").index(index), taken, several=len(spec.ports) > 1)
    yield from label_errors(spec.selector, _SPEC.child("selector"))
    yield from _affinity_errors(spec)
    yield from address_errors(spec)
    for index, address in enumerate(spec.external_ips):
        at = _SPEC.child("externalIPs").index(index)
        wrong = ip_address(address)
        yield from (invalid(at, address, text) for text in wrong)
        if not wrong:
            yield from special_address_errors(address, at)
    if not spec.type:
        yield required(_SPEC.child("type"))
    elif spec.type not in _TYPES:
        yield not_supported(_SPEC.child("type"), spec.type, _TYPES)
    yield from _port_pairs(spec)
    yield from _balancer_errors(spec)
    yield from _policy_errors(spec)


def _type_errors(spec: ServiceSpec, *, headless: bool) -> Errors:
    if spec.type in {LOAD_BALANCER, NODE_PORT}:
        if spec.type == LOAD_BALANCER:
            for index, port in enumerate(spec.ports):
                if port.port == 10250:
                    text = "may not expose port 10250 externally since it is used by kubelet"
                    yield invalid(_SPEC.child("ports").index(index), port.port, text)
        if headless:
            text = f"may not be set to 'None' for {spec.type} services"
            yield invalid(_SPEC.child("clusterIPs").index(0), HEADLESS, text)
    elif spec.type == EXTERNAL_NAME:
        for value, wire in (
            (spec.cluster_ips, "clusterIPs"),
            (spec.ip_families, "ipFamilies"),
            (spec.ip_family_policy, "ipFamilyPolicy"),
        ):
            if value:
                yield forbidden(_SPEC.child(wire), "may not be set for ExternalName services")
        at = _SPEC.child("externalName")
        name = spec.external_name.removesuffix(".")
        if name:
            yield from (invalid(at, name, text) for text in names.dns_subdomain(name))
        else:
            yield required(at)


def _port_errors(port: ServicePort, path: Path, taken: set[str], *, several: bool) -> Errors:
    if not port.name:
        if several:
            yield required(path.child("name"))
    else:
        yield from (invalid(path.child("name"), port.name, text) for text in names.dns_label(port.name))
        if port.name in taken:
            yield duplicate(path.child("name"), port.name)
        taken.add(port.name)
    yield from (invalid(path.child("port"), port.port, text) for text in names.port_number(port.port))
    if not port.protocol:
        yield required(path.child("protocol"))
    elif port.protocol not in _PROTOCOLS:
        yield not_supported(path.child("protocol"), port.protocol, _PROTOCOLS)
    yield from port_errors(port.target_port, path.child("targetPort"))
    if port.app_protocol is not None:
        at = path.child("appProtocol")
        yield from (invalid(at, port.app_protocol, text) for text in names.qualified_name(port.app_protocol))


def _affinity_errors(spec: ServiceSpec) -> Errors:
    at = _SPEC.child("sessionAffinity")
    if not spec.session_affinity:
        yield required(at)
    elif spec.session_affinity not in {"ClientIP", "None"}:
        yield not_supported(at, spec.session_affinity, ("ClientIP", "None"))
    config = _SPEC.child("sessionAffinityConfig")
    if spec.session_affinity == "ClientIP":
        client = spec.session_affinity_config.client_ip if spec.session_affinity_config is not None else None
        if client is None or client.timeout_seconds is None:
            yield required(config, "when session affinity type is ClientIP")
        elif not 0 < client.timeout_seconds <= _DAY_SECONDS:
            where = config.child("clientIP").child("timeoutSeconds")
            yield invalid(where, client.timeout_seconds, f"must be greater than 0 and less than {_DAY_SECONDS}")
    elif spec.session_affinity == "None" and spec.session_affinity_config is not None:
        yield forbidden(config, "must not be set when session affinity is None")


def _port_pairs(spec: ServiceSpec) -> Errors:
    """No port twice, neither for clients in the cluster nor on the nodes."""
    path = _SPEC.child("ports")
    if spec.type == CLUSTER_IP:
        for index, port in enumerate(spec.ports):
            if port.node_port:
                text = "may not be used when `type` is 'ClusterIP'"
                yield forbidden(path.index(index).child("nodePort"), text)
    on_nodes: set[tuple[str, int]] = set()
    inside: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        if port.node_port:
            if (port.protocol, port.node_port) in on_nodes:
                yield duplicate(path.index(index).child("nodePort"), port.node_port)
            on_nodes.add((port.protocol, port.node_port))
    for index, port in enumerate(spec.ports):
        if (port.protocol, port.port) in inside:
            yield duplicate(path.index(index), _bare_port(port))
        inside.add((port.protocol, port.port))


def _bare_port(port: ServicePort) -> dict[str, Any]:
    """Return protocol and port in the form in which upstream quotes them: a port with nothing else."""
    return {
        "Name": "",
        "Protocol": port.protocol,
        "AppProtocol": None,
        "Port": port.port,
        "TargetPort": 0,
        "NodePort": 0,
    }


def _balancer_errors(spec: ServiceSpec) -> Errors:
    # The wire name in these messages begins with a capital upstream.
    ranges = _SPEC.child("LoadBalancerSourceRanges")
    only = f"may only be used when `type` is '{LOAD_BALANCER}'"
    if spec.load_balancer_source_ranges:
        if spec.type != LOAD_BALANCER:
            yield forbidden(ranges, only)
        else:
            for index, text in enumerate(spec.load_balancer_source_ranges):
                yield from (invalid(ranges.index(index), text, words) for words in cidr(text.strip()))
    if spec.allocate_load_balancer_node_ports is not None and spec.type != LOAD_BALANCER:
        yield forbidden(_SPEC.child("allocateLoadBalancerNodePorts"), only)
    if spec.type == LOAD_BALANCER and spec.allocate_load_balancer_node_ports is None:
        yield required(_SPEC.child("allocateLoadBalancerNodePorts"))
    if spec.load_balancer_class is not None:
        at = _SPEC.child("loadBalancerClass")
        if spec.type != LOAD_BALANCER:
            yield forbidden(at, only)
        yield from (
            invalid(at, spec.load_balancer_class, text) for text in names.qualified_name(spec.load_balancer_class)
        )


def _policy_errors(spec: ServiceSpec) -> Errors:
    at = _SPEC.child("externalTrafficPolicy")
    if not is_external(spec):
        if spec.external_traffic_policy:
            yield invalid(at, spec.external_traffic_policy, "may only be set for externally-accessible services")
    elif not spec.external_traffic_policy:
        yield required(at)
    elif spec.external_traffic_policy not in _TRAFFIC:
        yield not_supported(at, spec.external_traffic_policy, _TRAFFIC)
    at = _SPEC.child("healthCheckNodePort")
    if spec.health_check_node_port and not needs_health_check_port(spec):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid(at, spec.health_check_node_port, text)
    at = _SPEC.child("internalTrafficPolicy")
    if spec.internal_traffic_policy is None:
        if needs_cluster_ip(spec) and spec.type in _TYPES:
            yield required(at)
    elif spec.internal_traffic_policy not in _TRAFFIC:
        yield not_supported(at, spec.internal_traffic_policy, _TRAFFIC)
    at = _SPEC.child("trafficDistribution")
    if spec.traffic_distribution is not None and spec.traffic_distribution not in _DISTRIBUTIONS:
        yield not_supported(at, spec.traffic_distribution, _DISTRIBUTIONS)


def service_update_errors(new: Service, old: Service) -> Errors:
    """Check what changed: addresses stay, except on the way to or from a name outside the cluster."""
    after, before = new.spec, old.spec
    yield from address_update_errors(after, before)
    if before.type == LOAD_BALANCER == after.type and before.load_balancer_class != after.load_balancer_class:
        yield invalid(_SPEC.child("loadBalancerClass"), after.load_balancer_class, "may not change once set")


def status_errors(new: Service, old: Service) -> Errors:  # noqa: ARG001
    """Check what a load balancer says about itself."""
    ingress = Path("status", "loadBalancer", "ingress")
    for index, one in enumerate(new.status.load_balancer.ingress):
        if one.ip:
            at = ingress.index(index).child("ip")
            yield from (invalid(at, one.ip, text) for text in ip_address(one.ip))
        if one.hostname:
            at = ingress.index(index).child("hostname")
            yield from (invalid(at, one.hostname, text) for text in names.dns_subdomain(one.hostname))
            if parse(one.hostname) is not None:
                yield invalid(at, one.hostname, "must be a DNS name, not an IP address")
