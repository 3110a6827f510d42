"""What becomes of an event that is like others: counted up, combined, or dropped.

The same event again is counted on the one there is. More than ten that differ in their text alone, within ten minutes, become one
whose text says so. An object that is talked about more than 25 times in a burst, and then more than once in five minutes, is not
talked about. Pure but for its memory, which is bounded. Upstream: client-go `tools/record/events_cache.go`.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client.workqueue import TokenBucket

V = TypeVar("V")

# Upstream's: keys remembered; similar events in so many seconds before they are combined; what one object may say.
REMEMBERED = 4096
SIMILAR_LIMIT, SIMILAR_SECONDS = 10, 600.0
SPAM_BURST, SPAM_RATE = 25, 1.0 / 300.0
COMBINED = "(combined from similar events): "

Key = tuple[str, ...]


class _Recent(Generic[V]):
    """Remembers so many values, the least recently used giving way."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, V] = OrderedDict()

    def get(self, key: Key) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)


class _Similar(Struct):
    """The texts of one kind of event about one object."""

    last_seconds: float
    messages: dict[str, None] = field(default_factory=dict)


class Correlated(Struct, frozen=True):
    """An event as it is to be written: over `known`, when there is one."""

    event: core_v1.Event
    key: Key
    known: core_v1.Event | None


class EventCorrelator:
    """The memory of one recorder."""

    def __init__(self) -> None:
        self._similar: _Recent[_Similar] = _Recent()
        self._known: _Recent[core_v1.Event] = _Recent()
        self._buckets: _Recent[TokenBucket] = _Recent()

    def correlate(self, event: core_v1.Event, now: float) -> Correlated | None:
        """Return what to write at this monotonic time; None when the object has said too much."""
        event, key = self._combined(event, now)
        if not self._bucket(event).accepts(now):
            return None
        known = self._known.get(key)
        if known is not None:
            metadata = replace(known.metadata, resource_version="")
            event = replace(
                event, metadata=metadata, first_timestamp=known.first_timestamp, count=(known.count or 0) + 1
            )
        return Correlated(event, key, known)

    def written(self, correlated: Correlated, stored: core_v1.Event) -> None:
        """Remember how an event was stored."""
        self._known.put(correlated.key, stored)

    def _combined(self, event: core_v1.Event, now: float) -> tuple[core_v1.Event, Key]:
        similar_key = (*_about(event), event.type, event.reason)
        similar = self._similar.get(similar_key)
        if similar is None or now - similar.last_seconds > SIMILAR_SECONDS:
            similar = _Similar(now)
        similar.last_seconds = now
        similar.messages[event.message] = None
        self._similar.put(similar_key, similar)
        if len(similar.messages) < SIMILAR_LIMIT:
            return event, (*similar_key, event.involved_object.field_path, event.message)
        # Bounded: of the texts only the limit's number is kept.
        del similar.messages[next(iter(similar.messages))]
        return replace(event, message=COMBINED + event.message), similar_key

    def _bucket(self, event: core_v1.Event) -> TokenBucket:
        key = _about(event)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = TokenBucket(SPAM_RATE, SPAM_BURST)
            self._buckets.put(key, bucket)
        return bucket


def _about(event: core_v1.Event) -> Key:
    about = event.involved_object
    source = event.source
    return (
        source.component, source.host, about.kind, about.namespace, about.name, about.uid, about.api_version,
    )  # fmt: skip
