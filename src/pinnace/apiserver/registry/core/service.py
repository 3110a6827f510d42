"""Services (upstream pkg/registry/core/service `strategy.go`, `storage.go`)."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Service, ServiceSpec
from pinnace.apiserver.registry.core import service_allocation, service_fields
from pinnace.apiserver.registry.core.service_fields import (
    EXTERNAL_NAME,
    LOAD_BALANCER,
    is_headless,
    needs_cluster_ip,
)
from pinnace.apiserver.registry.core.service_warnings import service_warnings, status_warnings
from pinnace.apiserver.registry.core.validation.services import service_errors, service_update_errors, status_errors
from pinnace.apiserver.registry.printing import AGE, NAME, NONE, age, labels, text
from pinnace.apiserver.registry.strategy import (
    Context,
    Part,
    Selectable,
    Strategy,
    take_only_status,
    unknown_field_own_table,
)
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid

# The families of the one range that a cluster has; both where nothing is allocated and clients choose.
_FAMILY, _BOTH = ("IPv4",), ("IPv4", "IPv6")


def _prepare_create(ctx: Context, service: Service) -> Service:  # noqa: ARG001
    return replace(service, spec=_with_families(service_fields.normalized(service.spec, None)))


def _prepare_update(ctx: Context, new: Service, old: Service) -> Service:  # noqa: ARG001
    spec = service_fields.carried_over(new.spec, old.spec)
    spec = service_fields.normalized(spec, old.spec)
    spec = service_fields.without_foreign(spec, old.spec)
    if needs_cluster_ip(spec) and needs_cluster_ip(old.spec):
        if not spec.ip_families:
            spec = replace(spec, ip_families=old.spec.ip_families)
        if spec.ip_family_policy is None:
            spec = replace(spec, ip_family_policy=old.spec.ip_family_policy)
    return replace(new, spec=_with_families(spec))


def _with_families(spec: ServiceSpec) -> ServiceSpec:
    """Complete the address families; a headless Service without selector has no addresses of ours and may have both."""
    if not needs_cluster_ip(spec):
        return spec
    free = is_headless(spec) and not spec.selector
    if spec.ip_family_policy is None:
        several = len(spec.ip_families) > 1 or len(spec.cluster_ips) > 1
        policy = "RequireDualStack" if (free and not spec.ip_families) or several else "SingleStack"
        spec = replace(spec, ip_family_policy=policy)
    if not spec.ip_families:
        dual = free and spec.ip_family_policy != "SingleStack"
        spec = replace(spec, ip_families=_BOTH if dual else _FAMILY)
    return spec


def _validate(service: Service) -> list[FieldError]:
    found = list(service_errors(service))
    return found or list(_family_errors(service.spec))


def _family_errors(spec: ServiceSpec) -> list[FieldError]:
    """Return what this cluster, of one address family, cannot give."""
    if not needs_cluster_ip(spec) or (is_headless(spec) and not spec.selector):
        return []
    found = []
    if spec.ip_family_policy == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        found.append(invalid(Path("spec", "ipFamilyPolicy"), spec.ip_family_policy, text))
    for index, family in enumerate(spec.ip_families):
        if family not in _FAMILY:
            at = Path("spec", "ipFamilies").index(index)
            found.append(invalid(at, family, "not configured on this cluster"))
    return found


def _validate_update(new: Service, old: Service) -> list[FieldError]:
    return list(service_update_errors(new, old))


def _external(service: Service) -> str:
    spec = service.spec
    if spec.type == LOAD_BALANCER:
        found = sorted({one.ip or one.hostname for one in service.status.load_balancer.ingress})
        return ",".join((*found, *spec.external_ips)) or "<pending>"
    if spec.type == EXTERNAL_NAME:
        return spec.external_name
    return ",".join(spec.external_ips) or NONE


def _ports(spec: ServiceSpec) -> str:
    shown = (
        f"{port.port}:{port.node_port}/{port.protocol}" if port.node_port else f"{port.port}/{port.protocol}"
        for port in spec.ports
    )
    return ",".join(shown) or NONE


def _cells(service: Service, now: float) -> Sequence[Any]:
    spec = service.spec
    return (
        service.metadata.name,
        spec.type,
        spec.cluster_ips[0] if spec.cluster_ips else NONE,
        _external(service),
        _ports(spec),
        age(service, now),
        labels(spec.selector),
    )


STRATEGY: Strategy[Service] = Strategy(
    default=service_fields.default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    warnings=service_warnings,
    begin_create=service_allocation.begin_create,
    begin_update=service_allocation.begin_update,
    after_delete=service_allocation.after_delete,
    name_errors=names.dns_label,
    allow_create_on_update=True,
    delete_returns_object=True,
    selectable=Selectable(
        fields={"spec.clusterIP": lambda one: one.spec.cluster_ip, "spec.type": lambda one: one.spec.type},
        unknown=unknown_field_own_table,
    ),
    columns=(
        NAME,
        text("Type", "How the Service is reached."),
        text("Cluster-IP", "The address inside the cluster."),
        text("External-IP", "The addresses outside the cluster."),
        text("Port(s)", "The ports, with those on the nodes."),
        AGE,
        text("Selector", "Labels of the pods behind it.", wide=True),
    ),
    cells=_cells,
    parts={
        "status": Part(
            prepare_update=take_only_status,
            validate_update=lambda new, old: list(status_errors(new, old)),
            warnings=status_warnings,
        )
    },
)
