"""Service: defaults, the checks that clients meet, addresses and node ports (upstream pkg/registry/core/service)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.core import service_allocation as allocation
from pinnace.apiserver.registry.strategy import Begun, Column, Context, Selectable, Strategy, unknown_field_own_table
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required
from pinnace.machinery.names import dns_label, dns_subdomain, port_number

CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
HEADLESS = allocation.HEADLESS
AFFINITY_SECONDS = 10800
_TYPES = (CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_SPEC = Path("spec")
_ALLOCATOR = allocation.Allocator()


def default(obj: Service) -> Service:
    """Fill in type, affinity, policies, protocols and target ports."""
    spec = obj.spec
    kind = spec.type or CLUSTER_IP
    changes: dict[str, Any] = {
        "type": kind,
        "session_affinity": spec.session_affinity or "None",
        "ports": tuple(map(_port, spec.ports)),
    }
    if changes["session_affinity"] == "ClientIP" and spec.session_affinity_config is None:
        config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=AFFINITY_SECONDS))
        changes["session_affinity_config"] = config
    if kind != EXTERNAL_NAME:
        changes["internal_traffic_policy"] = spec.internal_traffic_policy or "Cluster"
    if kind in {NODE_PORT, LOAD_BALANCER}:
        changes["external_traffic_policy"] = spec.external_traffic_policy or "Cluster"
    if kind == LOAD_BALANCER and spec.allocate_load_balancer_node_ports is None:
        changes["allocate_load_balancer_node_ports"] = True
    if spec.cluster_ip and not spec.cluster_ips:
        changes["cluster_ips"] = (spec.cluster_ip,)
    elif spec.cluster_ips and not spec.cluster_ip:
        changes["cluster_ip"] = spec.cluster_ips[0]
    return replace(obj, spec=replace(spec, **changes))


def _port(port: ServicePort) -> ServicePort:
    target = port.port if port.target_port in {0, "", None} else port.target_port
    return replace(port, protocol=port.protocol or "TCP", target_port=target)


def prepare_update(ctx: Context, new: Service, old: Service) -> Service:  # noqa: ARG001
    """Keep what was allocated where the new spec leaves it open, and drop what the new type does not have."""
    spec = new.spec
    if spec.type == EXTERNAL_NAME:
        ports = tuple(replace(port, node_port=0) for port in spec.ports)
        spec = replace(
            spec,
            cluster_ip="",
            cluster_ips=(),
            ports=ports,
            ip_families=(),
            ip_family_policy=None,
            internal_traffic_policy=None,
        )
        return replace(new, spec=spec)
    if not spec.cluster_ip and old.spec.type != EXTERNAL_NAME:
        spec = replace(spec, cluster_ip=old.spec.cluster_ip, cluster_ips=old.spec.cluster_ips)
    if not spec.ip_families:
        spec = replace(
            spec, ip_families=old.spec.ip_families, ip_family_policy=spec.ip_family_policy or old.spec.ip_family_policy
        )
    if spec.type == CLUSTER_IP and old.spec.type in {NODE_PORT, LOAD_BALANCER}:
        before = {port.node_port for port in old.spec.ports}
        ports = tuple(replace(port, node_port=0) if port.node_port in before else port for port in spec.ports)
        spec = replace(spec, ports=ports, external_traffic_policy="")
    elif spec.type in {NODE_PORT, LOAD_BALANCER}:
        spec = replace(spec, ports=_ports_kept(spec.ports, old.spec.ports))
    return replace(new, spec=spec)


def _ports_kept(new: Sequence[ServicePort], old: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    known = {(port.protocol, port.port): port.node_port for port in old}
    return tuple(
        port if port.node_port else replace(port, node_port=known.get((port.protocol, port.port), 0)) for port in new
    )


def validate(obj: Service) -> Sequence[FieldError]:
    """Check what does not depend on other Services."""
    return tuple(_errors(obj.spec))


def _errors(spec: ServiceSpec) -> Iterator[FieldError]:
    if not spec.ports and spec.cluster_ip != HEADLESS and spec.type != EXTERNAL_NAME:
        yield required(_SPEC.child("ports"))
    names: set[str] = set()
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        path = _SPEC.child("ports").index(index)
        if not port.name and len(spec.ports) > 1:
            yield required(path.child("name"))
        if port.name:
            yield from (invalid(path.child("name"), port.name, message) for message in dns_label(port.name))
            if port.name in names:
                yield duplicate(path.child("name"), port.name)
            names.add(port.name)
        yield from (invalid(path.child("port"), port.port, message) for message in port_number(port.port))
        if port.protocol not in _PROTOCOLS:
            yield not_supported(path.child("protocol"), port.protocol, _PROTOCOLS)
        if isinstance(port.target_port, int):
            for message in port_number(port.target_port):
                yield invalid(path.child("targetPort"), port.target_port, message)
        if (port.protocol, port.port) in seen:
            yield duplicate(path, {"protocol": port.protocol, "port": port.port})
        seen.add((port.protocol, port.port))
    if spec.type not in _TYPES:
        yield not_supported(_SPEC.child("type"), spec.type, _TYPES)
    if spec.session_affinity not in {"None", "ClientIP"}:
        yield not_supported(_SPEC.child("sessionAffinity"), spec.session_affinity, ("ClientIP", "None"))
    if spec.type == EXTERNAL_NAME:
        name = spec.external_name.removesuffix(".")
        if not name:
            yield required(_SPEC.child("externalName"))
        else:
            yield from (invalid(_SPEC.child("externalName"), name, message) for message in dns_subdomain(name))


def validate_update(new: Service, old: Service) -> Sequence[FieldError]:
    """Hold a Service to its addresses."""
    kept = old.spec.cluster_ips and new.spec.cluster_ips != old.spec.cluster_ips
    if kept and EXTERNAL_NAME not in {new.spec.type, old.spec.type}:
        return (invalid(_SPEC.child("clusterIPs").index(0), list(new.spec.cluster_ips), "may not change once set"),)
    return ()


async def begin_create(ctx: Context, obj: Service) -> Begun[Service]:
    """Allocate for a new Service."""
    return await _allocate(ctx, obj, None)


async def begin_update(ctx: Context, new: Service, old: Service) -> Begun[Service]:
    """Allocate what the new spec needs beyond what it has."""
    return await _allocate(ctx, new, old)


async def _allocate(ctx: Context, obj: Service, old: Service | None) -> Begun[Service]:
    spec, errors = obj.spec, []
    taken, taken_ports = await _ALLOCATOR.taken(ctx, old)
    # From here to `hold` nothing waits, so that two requests cannot be given the same.
    if spec.type != EXTERNAL_NAME and spec.cluster_ip != HEADLESS:
        if spec.cluster_ip:
            problem = allocation.address_error(spec.cluster_ip, taken)
            if problem:
                errors.append(invalid(_SPEC.child("clusterIPs"), list(spec.cluster_ips), problem))
        else:
            chosen = allocation.free_address(taken, ctx.identity.random.getrandbits(32))
            if chosen is None:
                errors.append(invalid(_SPEC.child("clusterIPs"), [], "failed to allocate a serviceIP: range is full"))
            else:
                spec = replace(spec, cluster_ip=chosen, cluster_ips=(chosen,))
    if spec.type != EXTERNAL_NAME:
        spec = replace(
            spec, ip_families=spec.ip_families or ("IPv4",), ip_family_policy=spec.ip_family_policy or "SingleStack"
        )
    ports, port_errors = _node_ports(ctx, spec, taken_ports)
    errors += port_errors
    spec = replace(spec, ports=ports)
    addresses = [item for item in spec.cluster_ips if item != HEADLESS]
    pairs = [(port.protocol, port.node_port) for port in ports if port.node_port]
    _ALLOCATOR.hold(addresses, pairs)

    async def finish(stored: bool) -> None:  # noqa: ARG001, FBT001
        _ALLOCATOR.release(addresses, pairs)

    return Begun(replace(obj, spec=spec), errors, finish)


def _node_ports(
    ctx: Context, spec: ServiceSpec, taken: set[tuple[str, int]]
) -> tuple[tuple[ServicePort, ...], list[FieldError]]:
    wanted = spec.type == NODE_PORT or (spec.type == LOAD_BALANCER and spec.allocate_load_balancer_node_ports)
    given, errors = [], []
    numbers = {number for _, number in taken}
    for index, port in enumerate(spec.ports):
        path = _SPEC.child("ports").index(index).child("nodePort")
        if port.node_port:
            if port.node_port not in allocation.PORTS:
                first, last = allocation.PORTS[0], allocation.PORTS[-1]
                text = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
                errors.append(invalid(path, port.node_port, text))
            elif (port.protocol, port.node_port) in taken:
                errors.append(invalid(path, port.node_port, "provided port is already allocated"))
        elif wanted:
            chosen = allocation.free_port(numbers, ctx.identity.random.getrandbits(32))
            if chosen is None:
                errors.append(invalid(path, 0, "failed to allocate a nodePort: range is full"))
            else:
                port = replace(port, node_port=chosen)
        numbers.add(port.node_port)
        given.append(port)
    return tuple(given), errors


def cells(obj: Service, now: float) -> Sequence[Any]:
    """Return the row."""
    spec = obj.spec
    return (
        obj.metadata.name,
        spec.type,
        spec.cluster_ip or columns.NONE,
        _external(obj),
        columns.joined(map(_shown, spec.ports)),
        columns.object_age(obj, now),
        columns.joined(f"{key}={spec.selector[key]}" for key in sorted(spec.selector)),
    )


def _external(obj: Service) -> str:
    if obj.spec.type == EXTERNAL_NAME:
        return obj.spec.external_name
    if obj.spec.type == LOAD_BALANCER:
        ingress = sorted(item.ip or item.hostname for item in obj.status.load_balancer.ingress)
        return ",".join([*ingress, *obj.spec.external_ips]) or "<pending>"
    return columns.joined(obj.spec.external_ips)


def _shown(port: ServicePort) -> str:
    node = f":{port.node_port}" if port.node_port else ""
    return f"{port.port}{node}/{port.protocol}"


STRATEGY: Strategy[Service] = Strategy(
    default=default,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    begin_create=begin_create,
    begin_update=begin_update,
    name_errors=dns_label,
    allow_create_on_update=True,
    delete_returns_object=True,
    selectable=Selectable(
        fields={"spec.clusterIP": lambda obj: obj.spec.cluster_ip, "spec.type": lambda obj: obj.spec.type},
        unknown=unknown_field_own_table,
    ),
    columns=(
        columns.NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        columns.AGE,
        columns.SELECTOR,
    ),
    cells=cells,
)
