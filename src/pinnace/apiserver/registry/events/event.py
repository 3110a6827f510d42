"""Event, the newer group's: the core group's events under other names, and stricter (upstream pkg/apis/core/validation/events.go).

What the older shape says with counts and two times, the newer says with a series; the old fields live on as deprecated ones,
which nobody may set through this version.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.events_v1 import Event, EventSeries
from pinnace.apiserver.registry.core import event as core_event
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.strategy import Selectable, Strategy, unknown_field_own_table
from pinnace.apiserver.registry.versions import Version
from pinnace.machinery.field import FieldError, Path, invalid, required

Errors = Iterator[FieldError]

_REPORTER = "reportingController"
_NORMAL, _WARNING = "Normal", "Warning"
# A series begins with the second event.
_SERIES_LEAST = 2
_NO_SOURCE = core_v1.EventSource()
# What never changes, in upstream's order, under its names; the reason comes twice.
_HELD = (
    ("involved_object", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("first_timestamp", "firstTimestamp"),
    ("last_timestamp", "lastTimestamp"),
    ("count", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("event_time", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reporting_component", _REPORTER),
    ("reporting_instance", "reportingInstance"),
)
_LEAVES = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def to_stored(obj: Event) -> core_v1.Event:
    """Return the event in the core group's shape."""
    return core_v1.Event(
        kind="Event",
        api_version="v1",
        metadata=obj.metadata,
        involved_object=obj.regarding,
        reason=obj.reason,
        message=obj.note,
        source=obj.deprecated_source,
        first_timestamp=obj.deprecated_first_timestamp,
        last_timestamp=obj.deprecated_last_timestamp,
        count=obj.deprecated_count,
        type=obj.type,
        event_time=obj.event_time,
        series=_stored_series(obj.series),
        action=obj.action,
        related=obj.related,
        reporting_component=obj.reporting_controller,
        reporting_instance=obj.reporting_instance,
    )


def _stored_series(series: EventSeries | None) -> core_v1.EventSeries | None:
    if series is None:
        return None
    return core_v1.EventSeries(count=series.count, last_observed_time=series.last_observed_time)


def to_served(obj: core_v1.Event) -> Event:
    """Return the event in the newer group's shape."""
    series = obj.series
    return Event(
        kind="Event",
        api_version="events.k8s.io/v1",
        metadata=obj.metadata,
        event_time=obj.event_time,
        series=None
        if series is None
        else EventSeries(count=series.count, last_observed_time=series.last_observed_time),
        reporting_controller=obj.reporting_component,
        reporting_instance=obj.reporting_instance,
        action=obj.action,
        reason=obj.reason,
        regarding=obj.involved_object,
        related=obj.related,
        note=obj.message,
        type=obj.type,
        deprecated_source=obj.source,
        deprecated_first_timestamp=obj.first_timestamp,
        deprecated_last_timestamp=obj.last_timestamp,
        deprecated_count=obj.count,
    )


def validate(obj: core_v1.Event) -> Sequence[FieldError]:
    """Check a new event: it has a time and a type, and none of the old fields."""
    return tuple(_errors(obj))


def _errors(obj: core_v1.Event) -> Errors:
    yield from core_event.event_errors(obj, _REPORTER)
    yield from _series_errors(obj)
    if obj.event_time is None:
        yield required(Path("eventTime"))
    if obj.type not in {_NORMAL, _WARNING}:
        yield invalid(Path("type"), "", f"has invalid value: {obj.type}")
    for is_set, wire in (
        (obj.first_timestamp is not None, "firstTimestamp"),
        (obj.last_timestamp is not None, "lastTimestamp"),
        (obj.count != 0, "count"),
        (obj.source != _NO_SOURCE, "source"),
    ):
        if is_set:
            yield invalid(Path(wire), "", "needs to be unset")


def _series_errors(obj: core_v1.Event) -> Errors:
    if obj.series is None:
        return
    if obj.series.count < _SERIES_LEAST:
        yield invalid(Path("series.count"), "", f"should be at least {_SERIES_LEAST}")
    if obj.series.last_observed_time is None:
        yield required(Path("series.lastObservedTime"))


def validate_update(new: core_v1.Event, old: core_v1.Event) -> Sequence[FieldError]:
    """Let nothing but the series and metadata change."""
    return tuple(_update_errors(new, old))


def _update_errors(new: core_v1.Event, old: core_v1.Event) -> Errors:
    yield from core_event.event_errors(new, _REPORTER)
    if new.series != old.series:
        yield from _series_errors(new)
    for attribute, wire in _HELD:
        yield from unchanged(getattr(new, attribute), getattr(old, attribute), Path(wire))


STRATEGY: Strategy[core_v1.Event] = replace(
    core_event.STRATEGY,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    selectable=Selectable(
        fields={label: core_event.STRATEGY.selectable.fields[label] for label in ("reason", "type")},
        aliases={
            **{f"regarding.{leaf}": f"involvedObject.{leaf}" for leaf in _LEAVES},
            "reportingController": "reportingComponent",
        },
        unknown=unknown_field_own_table,
    ),
)

VERSION: Version[Event, core_v1.Event] = Version(
    strategy=STRATEGY,
    default=lambda obj: obj,
    to_stored=to_stored,
    to_served=to_served,
)
