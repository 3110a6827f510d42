"""Event, the core group's, in which all events are stored (upstream pkg/registry/core/event, pkg/apis/core/validation/events.go)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.core_v1 import Event
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Column, Selectable, Strategy, unknown_field_own_table
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required

TTL_SECONDS = 3600
# Bytes of an event with an eventTime.
SHORT_LIMIT_BYTES, MESSAGE_LIMIT_BYTES = 128, 1024


def validate(obj: Event) -> Sequence[FieldError]:
    """Hold an event to the namespace of what it is about; one with an eventTime must say more."""
    return tuple(event_errors(obj, "reportingComponent"))


def event_errors(obj: Event, component: str) -> Iterator[FieldError]:
    """Check an event as any version is checked; `component` is the version's name for who reports."""
    about, own = obj.involved_object.namespace, obj.metadata.namespace
    # Cluster-scoped objects have their events in one of these.
    homes = {"default", "kube-system"} if obj.event_time is not None else {"default", ""}
    if own not in homes if not about else (obj.event_time is None and about != own):
        yield invalid(Path("involvedObject", "namespace"), about, "does not match event.namespace")
    if obj.event_time is not None:
        yield from _new_style_errors(obj, component)
    yield from (invalid(Path("namespace"), own, words) for words in names.dns_subdomain(own))


def _new_style_errors(obj: Event, component: str) -> Iterator[FieldError]:
    at, reporter = Path(component), obj.reporting_component
    if not reporter:
        yield required(at)
    yield from (invalid(at, reporter, words) for words in names.qualified_name(reporter))
    for value, wire in (
        (obj.reporting_instance, "reportingInstance"),
        (obj.action, "action"),
        (obj.reason, "reason"),
    ):
        if not value:
            yield required(Path(wire))
        if len(value.encode()) > SHORT_LIMIT_BYTES:
            yield invalid(Path(wire), "", f"can have at most {SHORT_LIMIT_BYTES} characters")
    if len(obj.message.encode()) > MESSAGE_LIMIT_BYTES:
        yield invalid(Path("message"), "", f"can have at most {MESSAGE_LIMIT_BYTES} characters")


def cells(obj: Event, now: float) -> Sequence[Any]:
    """Return the row."""
    about = obj.involved_object
    first = obj.first_timestamp or obj.event_time
    last = (obj.series.last_observed_time if obj.series is not None else None) or obj.last_timestamp or first
    count = obj.series.count if obj.series is not None else obj.count
    return (
        columns.age(last, now),
        obj.type,
        obj.reason,
        f"{about.kind.lower()}/{about.name}",
        about.field_path,
        _source(obj),
        obj.message.strip(),
        columns.age(first, now),
        count or 1,
        obj.metadata.name,
    )


def _source(obj: Event) -> str:
    component = obj.source.component or obj.reporting_component
    host = obj.source.host or obj.reporting_instance
    return f"{component}, {host}" if host else component


STRATEGY: Strategy[Event] = Strategy(
    validate=validate,
    allow_create_on_update=True,
    honours_propagation=False,
    ttl_seconds=TTL_SECONDS,
    selectable=Selectable(
        fields={
            "involvedObject.kind": lambda obj: obj.involved_object.kind,
            "involvedObject.namespace": lambda obj: obj.involved_object.namespace,
            "involvedObject.name": lambda obj: obj.involved_object.name,
            "involvedObject.uid": lambda obj: obj.involved_object.uid,
            "involvedObject.apiVersion": lambda obj: obj.involved_object.api_version,
            "involvedObject.resourceVersion": lambda obj: obj.involved_object.resource_version,
            "involvedObject.fieldPath": lambda obj: obj.involved_object.field_path,
            "reason": lambda obj: obj.reason,
            "reportingComponent": lambda obj: obj.reporting_component,
            "source": lambda obj: obj.source.component or obj.reporting_component,
            "type": lambda obj: obj.type,
        },
        indexed=frozenset({"involvedObject.uid"}),
        unknown=unknown_field_own_table,
    ),
    columns=(
        Column("Last Seen", description="When it was last seen."),
        Column("Type", description="Normal or Warning."),
        Column("Reason", description="Why it happened, in a word."),
        Column("Object", description="What it is about."),
        Column("Subobject", priority=1, description="The part of the object."),
        Column("Source", priority=1, description="Who says so."),
        Column("Message", description="What happened."),
        Column("First Seen", priority=1, description="When it was first seen."),
        Column("Count", priority=1, description="How often it was seen."),
        Column("Name", format="name", priority=1, description="The event's own name."),
    ),
    cells=cells,
)
