"""What a claim asks of devices, on its own or in a template (upstream pkg/apis/resource/validation `validateDeviceClaim`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from pinnace.api.resource_v1 import (
    CapacityRequirements,
    CELDeviceSelector,
    DeviceClaim,
    DeviceClaimConfiguration,
    DeviceConstraint,
    DeviceRequest,
    DeviceSelector,
    DeviceSubRequest,
    DeviceToleration,
    ExactDeviceRequest,
    OpaqueDeviceConfiguration,
    ResourceClaimSpec,
)
from pinnace.apiserver.cel import CompilationError, value_type
from pinnace.apiserver.cel.environments import device
from pinnace.apiserver.cel.types import ANY, BOOL
from pinnace.apiserver.registry.defaulting import changed, each, maybe
from pinnace.apiserver.registry.resource.lists import list_errors, map_errors, set_errors
from pinnace.apiserver.registry.resource.names import (
    KEY_LIMIT,
    class_errors,
    driver_errors,
    fully_qualified_errors,
    label_errors,
    qualified_errors,
)
from pinnace.machinery import names
from pinnace.machinery.codec import raw
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required, too_long

Errors = Iterator[FieldError]
# Name of a request → names of its alternatives, None when it has none.
Requests = Mapping[str, frozenset[str] | None]

LIST_LIMIT = 32
ALTERNATIVES_LIMIT = 8
TOLERATIONS_LIMIT = 16
# Bytes.
EXPRESSION_LIMIT_BYTES = PARAMETERS_LIMIT_BYTES = 10 * 1024
# What a byte of an object with selectors costs: they are compiled.
EXPRESSIONS_WEIGHT = 128
ALL, EXACT_COUNT = "All", "ExactCount"
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_UNKNOWN = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def default_spec(spec: ResourceClaimSpec) -> ResourceClaimSpec:
    """Ask for one device of each request that does not say how many."""
    requests = spec.devices.requests
    if not requests:
        # Upstream's store keeps no empty list.
        return spec if requests is None else replace(spec, devices=replace(spec.devices, requests=None))
    return changed(spec, devices=changed(spec.devices, requests=each(requests, _default_request)))


def _default_request(request: DeviceRequest) -> DeviceRequest:
    return changed(
        request, exactly=maybe(request.exactly, _counted), first_available=each(request.first_available, _counted)
    )


def _counted(request: Any) -> Any:
    mode = request.allocation_mode or EXACT_COUNT
    count = 1 if mode == EXACT_COUNT and request.count == 0 else request.count
    tolerations = each(request.tolerations, lambda one: one if one.operator else replace(one, operator="Equal"))
    if (mode, count) == (request.allocation_mode, request.count) and tolerations is request.tolerations:
        return request
    return replace(request, allocation_mode=mode, count=count, tolerations=tolerations)


def spec_errors(spec: ResourceClaimSpec, path: Path) -> Errors:
    """Check a claim's spec."""
    devices, at = spec.devices, path.child("devices")
    requests = request_names(devices)
    yield from set_errors(
        devices.requests or (), LIST_LIMIT, _request_errors, lambda one: one.name, at.child("requests")
    )
    yield from list_errors(
        devices.constraints, LIST_LIMIT, lambda one, to: _constraint_errors(one, to, requests), at.child("constraints")
    )
    yield from list_errors(
        devices.config, LIST_LIMIT, lambda one, to: _config_errors(one, to, requests), at.child("config")
    )


def request_names(devices: DeviceClaim) -> Requests:
    """Return what other parts of a claim may refer to."""
    return {
        one.name: frozenset(other.name for other in one.first_available) if one.first_available else None
        for one in devices.requests or ()
    }


def _request_errors(request: DeviceRequest, path: Path) -> Errors:
    yield from label_errors(request.name, path.child("name"))
    exactly, several = request.exactly, request.first_available
    if exactly is None and not several:
        yield required(path, "exactly one of `exactly` or `firstAvailable` is required")
    elif exactly is not None and several:
        text = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        yield invalid(path, None, text)
    elif exactly is not None:
        yield from _device_errors(exactly, path.child("exactly"))
    else:
        at = path.child("firstAvailable")
        yield from set_errors(several, ALTERNATIVES_LIMIT, _alternative_errors, lambda one: one.name, at)


def _alternative_errors(request: DeviceSubRequest, path: Path) -> Errors:
    yield from label_errors(request.name, path.child("name"))
    yield from _device_errors(request, path)


def _device_errors(request: ExactDeviceRequest | DeviceSubRequest, path: Path) -> Errors:
    yield from class_errors(request.device_class_name, path.child("deviceClassName"))
    yield from list_errors(request.selectors, LIST_LIMIT, selector_errors, path.child("selectors"))
    if request.allocation_mode == ALL:
        if request.count:
            text = "must not be specified when allocationMode is 'All'"
            yield invalid(path.child("count"), request.count, text)
    elif request.allocation_mode == EXACT_COUNT:
        if request.count <= 0:
            yield invalid(path.child("count"), request.count, "must be greater than zero")
    else:
        yield not_supported(path.child("allocationMode"), request.allocation_mode, (ALL, EXACT_COUNT))
    at = path.child("tolerations")
    yield from list_errors(request.tolerations, TOLERATIONS_LIMIT, toleration_errors, at)
    if request.capacity is not None:
        yield from _capacity_errors(request.capacity, path.child("capacity"))


def _capacity_errors(capacity: CapacityRequirements, path: Path) -> Errors:
    at = path.child("requests")
    yield from map_errors(capacity.requests, KEY_LIMIT, qualified_errors, lambda value, to: (), at)  # noqa: ARG005


def toleration_errors(toleration: DeviceToleration, path: Path) -> Errors:
    """Check a toleration of a device's taint."""
    if toleration.key:
        yield from (invalid(path.child("key"), toleration.key, words) for words in names.qualified_name(toleration.key))
    value = path.child("value")
    if toleration.operator == "Exists":
        if toleration.value:
            yield invalid(value, toleration.value, "must be empty for operator `Exists`")
    elif toleration.operator == "Equal":
        yield from (invalid(value, toleration.value, words) for words in names.label_value(toleration.value))
        if not toleration.key:
            yield required(path.child("key"))
    elif not toleration.operator:
        yield required(path.child("operator"))
    else:
        yield not_supported(path.child("operator"), toleration.operator, ("Equal", "Exists"))
    if toleration.effect and toleration.effect not in _EFFECTS:
        yield not_supported(path.child("effect"), toleration.effect, _EFFECTS)


def selector_errors(selector: DeviceSelector, path: Path) -> Errors:
    """Check a device selector."""
    if selector.cel is None:
        yield required(path.child("cel"))
    else:
        yield from _expression_errors(selector.cel, path.child("cel", "expression"))


def _expression_errors(selector: CELDeviceSelector, path: Path) -> Errors:
    if len(selector.expression.encode()) > EXPRESSION_LIMIT_BYTES:
        yield too_long(path, "", EXPRESSION_LIMIT_BYTES)
    elif not selector.expression.strip():
        yield invalid(path, selector.expression, "must evaluate to bool")
    else:
        yield from _compile_errors(selector.expression, path)


def _compile_errors(expression: str, path: Path) -> Errors:
    try:
        found = value_type(expression, device())
    except CompilationError as error:
        yield invalid(path, expression, f"compilation failed: {error}")
        return
    if found not in (BOOL, ANY):
        yield invalid(path, expression, f"must evaluate to {BOOL} or the unknown type, not {found}")


def _constraint_errors(constraint: DeviceConstraint, path: Path, requests: Requests) -> Errors:
    yield from reference_set_errors(constraint.requests, path.child("requests"), requests)
    match, distinct = constraint.match_attribute, constraint.distinct_attribute
    if match is not None:
        yield from fully_qualified_errors(match, path.child("matchAttribute"))
    if distinct is not None:
        yield from fully_qualified_errors(distinct, path.child("distinctAttribute"))
    # Upstream words both cases alike.
    text = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    if match is None and distinct is None:
        yield required(path, text)
    elif match is not None and distinct is not None:
        yield invalid(path, None, text)


def _config_errors(config: DeviceClaimConfiguration, path: Path, requests: Requests) -> Errors:
    yield from reference_set_errors(config.requests, path.child("requests"), requests)
    yield from opaque_errors(config.opaque, path.child("opaque"))


def reference_set_errors(references: tuple[str, ...], path: Path, requests: Requests) -> Errors:
    """Check references to requests, each of which stands once."""
    yield from set_errors(
        references, LIST_LIMIT, lambda one, at: reference_errors(one, at, requests), lambda one: one, path
    )


def reference_errors(reference: str, path: Path, requests: Requests) -> Errors:
    """Check a reference to a request, or to one of its alternatives."""
    parts = reference.split("/")
    if len(parts) > 2:
        yield invalid(path, reference, _UNKNOWN)
        return
    for part in parts:
        yield from label_errors(part, path)
    alternatives = requests.get(parts[0])
    if parts[0] not in requests or (len(parts) == 2 and parts[1] not in (alternatives or ())):
        yield invalid(path, reference, _UNKNOWN)


def opaque_errors(config: OpaqueDeviceConfiguration | None, path: Path) -> Errors:
    """Check a driver's own parameters."""
    if config is None:
        yield required(path)
        return
    yield from driver_errors(config.driver, path.child("driver"))
    yield from raw_errors(config.parameters, path.child("parameters"))


def raw_errors(value: Raw, path: Path) -> Errors:
    """Check free-form data: an object of some size."""
    if not value:
        yield required(path)
    elif len(value) > PARAMETERS_LIMIT_BYTES:
        yield too_long(path, "", PARAMETERS_LIMIT_BYTES)
    elif not isinstance(raw.opened(value), dict):
        yield invalid(path, "<value omitted>", "parameters must be a valid JSON object")
