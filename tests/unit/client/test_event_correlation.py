"""Events that are alike: counted, combined, and in the end not written any more."""

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client.event_correlation import COMBINED, EventCorrelator


def event(message: str, name: str = "web", reason: str = "Created") -> core_v1.Event:
    about = core_v1.ObjectReference(kind="ReplicaSet", namespace="default", name=name, uid=name)
    return core_v1.Event(
        metadata=ObjectMeta(name=f"{name}.{message}", namespace="default"),
        involved_object=about,
        source=core_v1.EventSource(component="test"),
        type="Normal",
        reason=reason,
        message=message,
        count=1,
    )


def write(correlator: EventCorrelator, made: core_v1.Event, now: float) -> core_v1.Event | None:
    correlated = correlator.correlate(made, now)
    if correlated is None:
        return None
    stored = replace(correlated.event, metadata=replace(correlated.event.metadata, resource_version="9"))
    correlator.written(correlated, stored)
    return stored


def test_same_event_is_counted_on_the_first() -> None:
    """The second time the first one's name comes back, with the count and the first time kept."""
    correlator = EventCorrelator()
    first = write(correlator, event("a"), 0.0)
    second = write(correlator, replace(event("a"), metadata=ObjectMeta(name="other", namespace="default")), 1.0)
    assert first is not None
    assert second is not None
    assert (second.metadata.name, second.count) == (first.metadata.name, 2)


def test_similar_events_are_combined_from_the_tenth_on() -> None:
    """Ten texts in ten minutes become one event that is counted, until there is a pause."""
    correlator = EventCorrelator()
    written = [write(correlator, event(str(number)), float(number)) for number in range(12)]
    texts = [item.message for item in written if item is not None]
    assert texts[:9] == [str(number) for number in range(9)]
    assert texts[9:] == [COMBINED + "9", COMBINED + "10", COMBINED + "11"]
    assert written[11] is not None
    assert written[11].count == 3
    later = write(correlator, event("new"), 2000.0)
    assert later is not None
    assert later.message == "new"


def test_object_that_talks_too_much_is_not_heard() -> None:
    """After 25 events an object gets one more in five minutes; others are heard."""
    correlator = EventCorrelator()
    heard = [write(correlator, event("x", reason=f"R{number}"), 0.0) for number in range(40)]
    assert sum(item is not None for item in heard) == 25
    assert write(correlator, event("x", name="other"), 0.0) is not None
    assert write(correlator, event("x", reason="late"), 301.0) is not None
    assert write(correlator, event("x", reason="later"), 301.0) is None
