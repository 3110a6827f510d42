"""ResourceSlice (upstream pkg/registry/resource/resourceslice, pkg/apis/resource/validation `ValidateResourceSlice`)."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.resource_v1 import (
    CounterSet,
    Device,
    DeviceAttribute,
    DeviceCounterConsumption,
    DeviceTaint,
    ResourceSlice,
    ResourceSliceSpec,
)
from pinnace.apiserver.registry.core.validation.scheduling import node_selector_errors
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.resource.lists import list_errors, map_errors, set_errors
from pinnace.apiserver.registry.resource.names import (
    KEY_LIMIT,
    driver_errors,
    label_errors,
    pool_errors,
    qualified_errors,
)
from pinnace.apiserver.registry.strategy import Selectable, Strategy, spec_changed
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required, too_long

Errors = Iterator[FieldError]

DEVICES_LIMIT = 128
COUNTER_SETS_LIMIT = 8
ATTRIBUTES_LIMIT = 32
TAINTS_LIMIT = 16
VALUE_LIMIT_BYTES = 64
_SPEC = Path("spec")
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_CHOICE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_DEVICE_CHOICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set in the "
    "ResourceSlice spec"
)
_NO_CHOICE = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set in the ResourceSlice spec"


def validate(obj: ResourceSlice) -> Sequence[FieldError]:
    """Check a new slice."""
    return tuple(_errors(obj.spec, None))


def validate_update(new: ResourceSlice, old: ResourceSlice) -> Sequence[FieldError]:
    """Check a slice, and hold to which driver, pool and node it belongs."""
    return tuple(_errors(new.spec, old.spec))


def _errors(spec: ResourceSliceSpec, old: ResourceSliceSpec | None) -> Errors:
    pool = _SPEC.child("pool")
    yield from driver_errors(spec.driver, _SPEC.child("driver"))
    yield from pool_errors(spec.pool.name, pool.child("name"))
    if spec.pool.resource_slice_count <= 0:
        yield invalid(pool.child("resourceSliceCount"), spec.pool.resource_slice_count, "must be greater than zero")
    if spec.pool.generation < 0:
        yield invalid(pool.child("generation"), spec.pool.generation, "must be greater than or equal to zero")
    if old is not None:
        yield from unchanged(spec.pool.name, old.pool.name, pool.child("name"))
        yield from unchanged(spec.driver, old.driver, _SPEC.child("driver"))
        yield from unchanged(spec.node_name, old.node_name, _SPEC.child("nodeName"))
    chosen: list[str] = []
    yield from _choice_errors(spec, _SPEC, chosen)
    if spec.per_device_node_selection is not None:
        if spec.per_device_node_selection:
            chosen.append("`perDeviceNodeSelection`")
        else:
            at = _SPEC.child("perDeviceNodeSelection")
            yield invalid(at, False, "must be either unset or set to true")
    if not chosen:
        yield required(_SPEC, _CHOICE)
    elif len(chosen) > 1:
        yield invalid(_SPEC, f"{{{', '.join(chosen)}}}", f"{_CHOICE}, but multiple fields are set")
    per_device = bool(spec.per_device_node_selection)
    yield from set_errors(
        spec.devices,
        DEVICES_LIMIT,
        lambda one, at: _device_errors(one, at, per_device=per_device),
        lambda one: one.name,
        _SPEC.child("devices"),
    )
    at = _SPEC.child("sharedCounters")
    yield from set_errors(spec.shared_counters, COUNTER_SETS_LIMIT, _counter_set_errors, lambda one: one.name, at)


def _choice_errors(spec: ResourceSliceSpec | Device, path: Path, chosen: list[str]) -> Errors:
    """Check the nodes of a slice or a device, and note which of the ways to name them were taken."""
    if spec.node_name is not None:
        at = path.child("nodeName")
        if spec.node_name:
            chosen.append("`nodeName`")
            yield from (invalid(at, spec.node_name, words) for words in names.dns_subdomain(spec.node_name))
        else:
            yield invalid(at, "", "must be either unset or set to a non-empty string")
    if spec.node_selector is not None:
        chosen.append("`nodeSelector`")
        at = path.child("nodeSelector")
        yield from node_selector_errors(spec.node_selector, at)
        terms = spec.node_selector.node_selector_terms
        if len(terms) != 1:
            shown = [go_struct(term) for term in terms]
            yield invalid(at.child("nodeSelectorTerms"), shown, "must have exactly one node selector term")
    if spec.all_nodes is not None:
        if spec.all_nodes:
            chosen.append("`allNodes`")
        else:
            yield invalid(path.child("allNodes"), False, "must be either unset or set to true")


def _device_errors(device: Device, path: Path, *, per_device: bool) -> Errors:
    yield from label_errors(device.name, path.child("name"))
    at = path.child("attributes")
    yield from map_errors(device.attributes, KEY_LIMIT, qualified_errors, _attribute_errors, at)
    at = path.child("capacity")
    yield from map_errors(device.capacity, KEY_LIMIT, qualified_errors, lambda value, to: (), at)  # noqa: ARG005
    count = len(device.attributes) + len(device.capacity)
    if count > ATTRIBUTES_LIMIT:
        words = f"the total number of attributes and capacities must not exceed {ATTRIBUTES_LIMIT}"
        yield invalid(path, count, words)
    yield from list_errors(device.taints, TAINTS_LIMIT, _taint_errors, path.child("taints"))
    yield from set_errors(
        device.consumes_counters,
        len(device.consumes_counters),
        _consumption_errors,
        lambda one: one.counter_set,
        path.child("consumesCounters"),
    )
    chosen: list[str] = []
    if per_device:
        yield from _choice_errors(device, path, chosen)
        if not chosen:
            yield required(path, _DEVICE_CHOICE)
        elif len(chosen) > 1:
            yield invalid(path, f"{{{', '.join(chosen)}}}", _DEVICE_CHOICE)
    elif device.node_name is not None or device.node_selector is not None or device.all_nodes is not None:
        yield invalid(path, None, _NO_CHOICE)


def _attribute_errors(attribute: DeviceAttribute, path: Path) -> Errors:
    singles = (attribute.int_, attribute.bool_, attribute.string, attribute.version)
    lists = (attribute.ints, attribute.bools, attribute.strings, attribute.versions)
    count = sum(value is not None for value in singles) + sum(bool(values) for values in lists)
    if attribute.string is not None and len(attribute.string.encode()) > VALUE_LIMIT_BYTES:
        yield too_long(path.child("string"), "", VALUE_LIMIT_BYTES)
    if attribute.version is not None:
        if not _SEMVER.fullmatch(attribute.version):
            words = "must be a string compatible with semver.org spec 2.0.0"
            yield invalid(path.child("version"), attribute.version, words)
        if len(attribute.version.encode()) > VALUE_LIMIT_BYTES:
            yield too_long(path.child("version"), "", VALUE_LIMIT_BYTES)
    if not count:
        yield required(path, "exactly one value must be specified")
    elif count > 1:
        yield invalid(path, go_struct(attribute), "exactly one value must be specified")


def _taint_errors(taint: DeviceTaint, path: Path) -> Errors:
    yield from (invalid(path.child("key"), taint.key, words) for words in names.qualified_name(taint.key))
    if taint.value:
        yield from (invalid(path.child("value"), taint.value, words) for words in names.label_value(taint.value))
    if not taint.effect:
        yield required(path.child("effect"))
    elif taint.effect not in _EFFECTS:
        yield not_supported(path.child("effect"), taint.effect, _EFFECTS)


def _counter_set_errors(counters: CounterSet, path: Path) -> Errors:
    if not counters.name:
        yield required(path.child("name"))
    else:
        yield from label_errors(counters.name, path.child("name"))
    at = path.child("counters")
    if not counters.counters:
        yield required(at)
    yield from map_errors(counters.counters, KEY_LIMIT, label_errors, lambda value, to: (), at)  # noqa: ARG005


def _consumption_errors(consumption: DeviceCounterConsumption, path: Path) -> Errors:
    if not consumption.counter_set:
        yield required(path.child("counterSet"))
    else:
        yield from label_errors(consumption.counter_set, path.child("counterSet"))
    at = path.child("counters")
    if not consumption.counters:
        yield required(at)
    yield from map_errors(consumption.counters, KEY_LIMIT, label_errors, lambda value, to: (), at)  # noqa: ARG005


def cells(obj: ResourceSlice, now: float) -> Sequence[Any]:
    """Return the row."""
    spec = obj.spec
    return (obj.metadata.name, spec.node_name or "", spec.driver, spec.pool.name, age(obj, now))


STRATEGY: Strategy[ResourceSlice] = Strategy(
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    generation=spec_changed,
    delete_returns_object=True,
    selectable=Selectable(
        fields={
            "spec.nodeName": lambda obj: obj.spec.node_name or "",
            "spec.driver": lambda obj: obj.spec.driver,
        },
        unknown=lambda label: f"field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {label}",
    ),
    columns=(
        NAME,
        text("Node", "The node that has the devices."),
        text("Driver", "The driver that looks after them."),
        text("Pool", "The pool they belong to."),
        AGE,
    ),
    cells=cells,
)
