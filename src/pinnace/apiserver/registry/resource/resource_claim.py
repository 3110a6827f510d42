"""ResourceClaim (upstream pkg/registry/resource/resourceclaim, pkg/apis/resource/validation `ValidateResourceClaim`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.core_v1 import Namespace
from pinnace.api.resource_v1 import (
    AllocatedDeviceStatus,
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceRequestAllocationResult,
    NetworkDeviceData,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimSpec,
    ResourceClaimStatus,
)
from pinnace.apiserver.registry.core.validation.scheduling import node_selector_errors
from pinnace.apiserver.registry.defaulting import changed
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.resource.device_claims import (
    EXPRESSIONS_WEIGHT,
    LIST_LIMIT,
    Requests,
    default_spec,
    opaque_errors,
    raw_errors,
    reference_errors,
    reference_set_errors,
    request_names,
    spec_errors,
)
from pinnace.apiserver.registry.resource.lists import list_errors, set_errors
from pinnace.apiserver.registry.resource.names import driver_errors, label_errors, pool_errors
from pinnace.apiserver.registry.strategy import Begun, Context, Part, Strategy, take_only_status
from pinnace.machinery.addresses import parse_range
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required, too_long, too_many

Errors = Iterator[FieldError]

ADMIN_ACCESS = "resource.kubernetes.io/admin-access"
RESERVED_LIMIT = 256
CONDITIONS_LIMIT = 8
ADDRESSES_LIMIT = 16
# Bytes.
INTERFACE_LIMIT_BYTES, HARDWARE_LIMIT_BYTES = 256, 128
_SPEC, _STATUS = Path("spec"), Path("status")
_NO_ADMIN = f"admin access to devices requires the `{ADMIN_ACCESS}: true` label on the containing namespace"


class Device(Struct, frozen=True):
    """What identifies a device."""

    driver: str
    pool: str
    name: str

    def __str__(self) -> str:
        return f'"{self.driver}/{self.pool}/{self.name}"'


def default(obj: ResourceClaim) -> ResourceClaim:
    """Fill in how many devices are asked for."""
    return changed(obj, spec=default_spec(obj.spec))


def admin_errors(spec: ResourceClaimSpec, path: Path) -> Errors:
    """Name the requests for access that only administrators' namespaces have."""
    for index, request in enumerate(spec.devices.requests or ()):
        if request.exactly is not None and request.exactly.admin_access:
            yield forbidden(path.child("devices", "requests").index(index).child("adminAccess"), _NO_ADMIN)


async def namespace_errors(ctx: Context, spec: ResourceClaimSpec, namespace: str, path: Path) -> Sequence[FieldError]:
    """Refuse access for administrators outside their namespaces."""
    found = tuple(admin_errors(spec, path))
    if not found:
        return ()
    there = await ctx.objects.get(Namespace, namespace)
    return () if there is not None and there.metadata.labels.get(ADMIN_ACCESS) == "true" else found


async def begin_create(ctx: Context, obj: ResourceClaim) -> Begun[ResourceClaim]:
    """Look at the namespace where that matters."""
    return Begun(obj, await namespace_errors(ctx, obj.spec, obj.metadata.namespace, _SPEC))


def prepare_status(ctx: Context, new: ResourceClaim, old: ResourceClaim) -> ResourceClaim:
    """Take the status, without devices that are no longer allocated."""
    new = take_only_status(ctx, new, old)
    gone = _allocated(old.status) - _allocated(new.status)
    devices = tuple(one for one in new.status.devices if Device(one.driver, one.pool, one.device) not in gone)
    return new if len(devices) == len(new.status.devices) else replace(new, status=replace(new.status, devices=devices))


def _allocated(status: ResourceClaimStatus) -> set[Device]:
    if status.allocation is None:
        return set()
    return {Device(one.driver, one.pool, one.device) for one in status.allocation.devices.results}


def validate(obj: ResourceClaim) -> Sequence[FieldError]:
    """Check the spec."""
    return tuple(spec_errors(obj.spec, _SPEC))


def validate_update(new: ResourceClaim, old: ResourceClaim) -> Sequence[FieldError]:
    """Hold the spec."""
    if new.spec == old.spec:
        return ()
    return (*unchanged(new.spec, old.spec, _SPEC), *spec_errors(new.spec, _SPEC))


def validate_status(new: ResourceClaim, old: ResourceClaim) -> Sequence[FieldError]:
    """Check who uses the claim, what was allocated, and what drivers say of it."""
    return tuple(_status_errors(new, old))


def _status_errors(new: ResourceClaim, old: ResourceClaim) -> Errors:
    status, before = new.status, old.status
    reserved = _STATUS.child("reservedFor")
    yield from set_errors(status.reserved_for, RESERVED_LIMIT, _consumer_errors, lambda one: one.uid, reserved)
    allocated = _allocated(status)
    yield from set_errors(
        status.devices,
        len(status.devices),
        lambda one, at: _device_errors(one, at, allocated),
        lambda one: str(Device(one.driver, one.pool, one.device)),
        _STATUS.child("devices"),
    )
    if status.reserved_for:
        if status.allocation is None:
            yield forbidden(reserved, "may not be specified when `allocated` is not set")
        elif new.metadata.deletion_timestamp is not None and not set(status.reserved_for) <= set(before.reserved_for):
            text = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
            yield forbidden(reserved, text)
    at = _STATUS.child("allocation")
    if status.allocation is not None and before.allocation is not None:
        yield from unchanged(status.allocation, before.allocation, at)
    elif status.allocation is not None:
        yield from _allocation_errors(status.allocation, at, request_names(new.spec.devices))


def _consumer_errors(consumer: ResourceClaimConsumerReference, path: Path) -> Errors:
    for value, wire in ((consumer.resource, "resource"), (consumer.name, "name"), (consumer.uid, "uid")):
        if not value:
            yield required(path.child(wire))


def _device_errors(device: AllocatedDeviceStatus, path: Path, allocated: set[Device]) -> Errors:
    yield from driver_errors(device.driver, path.child("driver"))
    yield from pool_errors(device.pool, path.child("pool"))
    yield from label_errors(device.device, path.child("device"))
    known = Device(device.driver, device.pool, device.device)
    if known not in allocated:
        yield invalid(path, f"{known.driver}/{known.pool}/{known.name}", "must be an allocated device in the claim")
    if len(device.conditions or ()) > CONDITIONS_LIMIT:
        yield too_many(path.child("conditions"), len(device.conditions or ()), CONDITIONS_LIMIT)
    if device.data:
        yield from raw_errors(device.data, path.child("data"))
    if device.network_data is not None:
        yield from _network_errors(device.network_data, path.child("networkData"))


def _network_errors(data: NetworkDeviceData, path: Path) -> Errors:
    if len(data.interface_name.encode()) > INTERFACE_LIMIT_BYTES:
        yield too_long(path.child("interfaceName"), "", INTERFACE_LIMIT_BYTES)
    if len(data.hardware_address.encode()) > HARDWARE_LIMIT_BYTES:
        yield too_long(path.child("hardwareAddress"), "", HARDWARE_LIMIT_BYTES)
    yield from set_errors(data.ips, ADDRESSES_LIMIT, _address_errors, lambda one: one, path.child("ips"))


def _address_errors(address: str, path: Path) -> Errors:
    if parse_range(address) is None:
        text = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        yield invalid(path, address, text)


def _allocation_errors(allocation: AllocationResult, path: Path, requests: Requests) -> Errors:
    at = path.child("devices")

    def result_errors(result: DeviceRequestAllocationResult, to: Path) -> Errors:
        yield from reference_errors(result.request, to.child("request"), requests)
        yield from driver_errors(result.driver, to.child("driver"))
        yield from pool_errors(result.pool, to.child("pool"))
        yield from label_errors(result.device, to.child("device"))

    def config_errors(config: DeviceAllocationConfiguration, to: Path) -> Errors:
        sources = ("FromClaim", "FromClass")
        if not config.source:
            yield required(to.child("source"))
        elif config.source not in sources:
            yield not_supported(to.child("source"), config.source, sources)
        yield from reference_set_errors(config.requests, to.child("requests"), requests)
        yield from opaque_errors(config.opaque, to.child("opaque"))

    yield from list_errors(allocation.devices.results, LIST_LIMIT, result_errors, at.child("results"))
    yield from list_errors(allocation.devices.config, 2 * LIST_LIMIT, config_errors, at.child("config"))
    if allocation.node_selector is not None:
        yield from node_selector_errors(allocation.node_selector, path.child("nodeSelector"))


def state(obj: ResourceClaim) -> str:
    """Return what has become of a claim."""
    is_deleted = obj.metadata.deletion_timestamp is not None
    states = ["deleted"] if is_deleted else []
    if obj.status.allocation is not None:
        states += ["allocated", "reserved"] if obj.status.reserved_for else ["allocated"]
    elif not is_deleted:
        states.append("pending")
    return ",".join(states)


def cells(obj: ResourceClaim, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, state(obj), age(obj, now))


STRATEGY: Strategy[ResourceClaim] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    weight=EXPRESSIONS_WEIGHT,
    begin_create=begin_create,
    delete_returns_object=True,
    columns=(NAME, text("State", "What has become of it."), AGE),
    cells=cells,
    parts={"status": Part(prepare_update=prepare_status, validate_update=validate_status)},
)
