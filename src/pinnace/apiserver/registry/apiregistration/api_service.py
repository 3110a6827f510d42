"""APIService (upstream kube-aggregator pkg/registry/apiservice, pkg/apis/apiregistration/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apiregistration_v1 import APIService, APIServiceCondition, APIServiceStatus
from pinnace.apiserver.registry.defaulting import changed, filled, maybe
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Context, Strategy
from pinnace.machinery import names, timestamps
from pinnace.machinery.field import FieldError, Path, invalid, required
from pinnace.machinery.names import path_segment

Errors = Iterator[FieldError]

SERVICE_PORT = 443
_SPEC, _NAME = Path("spec"), Path("metadata", "name")
_LOCAL = ("Local", "Local APIServices are always available")


def default(obj: APIService) -> APIService:
    """Fill in the port of the service."""
    service = maybe(obj.spec.service, lambda one: filled(one, port=SERVICE_PORT))
    return changed(obj, spec=changed(obj.spec, service=service))


def local_condition(now: float) -> APIServiceCondition:
    """Return the condition of a group that this server serves itself."""
    return APIServiceCondition(
        type="Available",
        status="True",
        last_transition_time=timestamps.format(now),
        reason=_LOCAL[0],
        message=_LOCAL[1],
    )


def prepare_create(ctx: Context, obj: APIService) -> APIService:
    """Say at once that what is served here is available."""
    if obj.spec.service is not None:
        return obj
    return replace(obj, status=APIServiceStatus(conditions=(local_condition(ctx.now),)))


def validate(obj: APIService) -> Sequence[FieldError]:
    """Check name, priorities and where the group is served."""
    return tuple(_errors(obj))


def _errors(obj: APIService) -> Errors:
    spec, name = obj.spec, obj.metadata.name
    wanted = f"{spec.version}.{spec.group}"
    if name != wanted:
        yield invalid(_NAME, name, f'must be `spec.version+"."+spec.group`: "{wanted}"')
    if spec.group:
        yield from (invalid(_SPEC.child("group"), spec.group, words) for words in names.dns_subdomain(spec.group))
    yield from (invalid(_SPEC.child("version"), spec.version, words) for words in names.dns_label_1035(spec.version))
    if spec.group_priority_minimum <= 0 or spec.group_priority_minimum > 20000:
        at = _SPEC.child("groupPriorityMinimum")
        yield invalid(at, spec.group_priority_minimum, "must be positive and less than 20000")
    if spec.version_priority <= 0 or spec.version_priority > 1000:
        yield invalid(_SPEC.child("versionPriority"), spec.version_priority, "must be positive and less than 1000")
    yield from _service_errors(obj)
    yield from _status_errors(obj)


def _service_errors(obj: APIService) -> Errors:
    spec = obj.spec
    insecure = _SPEC.child("insecureSkipTLSVerify")
    if spec.service is None:
        if spec.ca_bundle:
            yield invalid(
                _SPEC.child("caBundle"), f"{len(spec.ca_bundle)} bytes", "local APIServices may not have a caBundle"
            )
        if spec.insecure_skip_tls_verify:
            yield invalid(insecure, True, "local APIServices may not have insecureSkipTLSVerify")
        return
    at = _SPEC.child("service")
    if not spec.service.namespace:
        yield required(at.child("namespace"))
    if not spec.service.name:
        yield required(at.child("name"))
    port = spec.service.port
    yield from (invalid(at.child("port"), port, words) for words in names.port_number(port or 0))
    if spec.insecure_skip_tls_verify and spec.ca_bundle:
        yield invalid(insecure, True, "may not be true if caBundle is present")


def _status_errors(obj: APIService) -> Errors:
    for index, condition in enumerate(obj.status.conditions):
        if condition.status not in {"True", "False", "Unknown"}:
            at = Path("status", "conditions").index(index).child("status")
            yield invalid(at, condition.status, "must be True, False or Unknown")


def cells(obj: APIService, now: float) -> Sequence[Any]:
    """Return the row."""
    service = obj.spec.service
    available = next((one for one in obj.status.conditions if one.type == "Available"), None)
    state = "Unknown"
    if available is not None:
        state = available.status if available.status == "True" else f"{available.status} ({available.reason})"
    return (
        obj.metadata.name,
        "Local" if service is None else f"{service.namespace}/{service.name}",
        state,
        age(obj, now),
    )


STRATEGY: Strategy[APIService] = Strategy(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    name_errors=path_segment,
    allow_unconditional_update=False,
    columns=(
        NAME,
        text("Service", "What serves the group."),
        text("Available", "Whether it can be reached."),
        AGE,
    ),
    cells=cells,
)
