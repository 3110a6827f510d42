"""Follows the configured flow schemas and priority levels, and leads each request to a seat.

Which schema takes a request is remembered by what schemas look at, until one of them or a level changes: not by the user's name unless a
schema may look at it, since thousands of nodes ask for the same under a name each. A schema whose level is missing is passed over, and where
nothing is configured yet every request is let through. Upstream:
apiserver `util/flowcontrol/apf_controller.go`, `server/filters/priority-and-fairness.go`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from pinnace.api.flowcontrol_v1 import FlowSchema, PriorityLevelConfiguration
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.flowcontrol import matching
from pinnace.apiserver.flowcontrol.priority_level import PriorityLevel, Rejected
from pinnace.apiserver.flowcontrol.seats import Seats, limits_of
from pinnace.component.clock import Clock
from pinnace.component.http import UserInfo
from pinnace.machinery.memo import is_short

# Classifications that are remembered: paths and users are the clients' to make up, so there has to be an end.
_REMEMBERED = 10_000
# Objects that one seat is good for in a list, and the seats that the longest list takes: upstream's values.
OBJECTS_PER_SEAT, SEATS_MOST = 100, 10


class Configured(Protocol):
    """The entries of one configured kind, as a resource's storage has them."""

    @property
    def changed(self) -> int:
        """Return the revision of the newest change."""

    def current(self) -> Iterator[Any]:
        """Return the entries there are."""


class Counts(Struct):
    """A flow schema and what has come of its requests."""

    name: str
    level: str
    dispatched: int = 0
    executing: int = 0
    waiting: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


class _Taken(Struct, frozen=True):
    """What is the same for all requests that a schema takes."""

    schema: FlowSchema
    counts: Counts
    level: PriorityLevel
    headers: tuple[tuple[str, str], ...]


class Flow(Struct, frozen=True):
    """What a request is classified as; `text` tells the flow from all others."""

    counts: Counts
    level: PriorityLevel
    headers: tuple[tuple[str, str], ...]
    text: str

    @property
    def hash(self) -> int:
        """The number that deals its queues; only a request that waits needs it."""
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:8], "little")


class FlowControl:
    """The seats of one server."""

    def __init__(self, schemas: Configured, levels: Configured, seats: int, clock: Clock) -> None:
        """Share `seats` by what is configured; none at all set no bound."""
        self._configured = (schemas, levels)
        self._seats = Seats(seats)
        self._clock = clock
        self._version = (-1, -1)
        self._levels: dict[str, PriorityLevel] = {}
        self._in_order: list[FlowSchema] = []
        self._counts: dict[tuple[str, str], Counts] = {}
        self._named: frozenset[str] = frozenset()
        self._taken: dict[tuple[Any, ...], _Taken | None] = {}

    @property
    def counts(self) -> Sequence[Counts]:
        """What has come of requests so far, by schema and level."""
        return tuple(self._counts.values())

    @property
    def levels(self) -> Sequence[PriorityLevel]:
        """The levels there are, and those that still serve out a configuration that is gone."""
        return tuple(self._levels.values())

    def classify(self, info: RequestInfo, user: UserInfo) -> Flow | None:
        """Return the flow of a request; None when nothing that is configured takes it."""
        version = (self._configured[0].changed, self._configured[1].changed)
        if version != self._version:
            self._configure()
            self._version = version
        taken = self._taken_by(info, user)
        if taken is None:
            return None
        text = f"{taken.counts.name},{matching.distinguisher(taken.schema, info, user)}"
        return Flow(taken.counts, taken.level, taken.headers, text)

    async def seat(self, flow: Flow, width: int) -> None:
        """Take seats for a request, waiting for them if need be; they are to be given back.

        Raises:
            Rejected: it is not to be served now.
        """
        if not flow.level.take(width):
            await self._wait(flow, width)
        flow.counts.dispatched += 1
        flow.counts.executing += 1

    async def _wait(self, flow: Flow, width: int) -> None:
        counts = flow.counts
        counts.waiting += 1
        try:
            await flow.level.wait(flow.hash, width)
        except Rejected as rejected:
            counts.rejected[rejected.reason] += 1
            raise
        finally:
            counts.waiting -= 1

    def give_back(self, flow: Flow, width: int) -> None:
        """Give the seats of a request back, and seat those who wait: of its own level first, then of those that can borrow."""
        flow.counts.executing -= 1
        flow.level.give_back(width)
        if flow.level.waiting:
            flow.level.dispatch()
        for other in self._levels.values():
            if other.waiting:
                other.dispatch()

    def _taken_by(self, info: RequestInfo, user: UserInfo) -> _Taken | None:
        where = info.namespace if info.is_resource else info.path
        name = user.name if user.name in self._named or matching.is_service_account(user) else ""
        key = (name, user.groups, info.verb, info.group, info.resource, info.subresource, where)
        try:
            return self._taken[key]
        except KeyError:
            if len(self._taken) >= _REMEMBERED:
                self._taken.clear()
            taken = self._look_up(info, user)
            if is_short(key):
                self._taken[key] = taken
            return taken

    def _look_up(self, info: RequestInfo, user: UserInfo) -> _Taken | None:
        for schema in self._in_order:
            if matching.matches(schema, info, user):
                name = schema.metadata.name
                level = self._levels[schema.spec.priority_level_configuration.name]
                headers = (
                    ("X-Kubernetes-PF-FlowSchema-UID", schema.metadata.uid),
                    ("X-Kubernetes-PF-PriorityLevel-UID", level.uid),
                )
                counts = self._counts.setdefault((name, level.name), Counts(name, level.name))
                return _Taken(schema, counts, level, headers)
        return None

    def _configure(self) -> None:
        schemas, levels = self._configured
        found: list[PriorityLevelConfiguration] = [entry.object for entry in levels.current()]
        limits = limits_of(found, self._seats.total)
        for level in found:
            name = level.metadata.name
            known = self._levels.get(name) or self._levels.setdefault(
                name, PriorityLevel(name, self._seats, self._clock)
            )
            known.configure(level, limits.get(name))
        names = {level.metadata.name for level in found}
        # One that is gone serves out who is in it: its requests keep it alive until the last has its answer.
        self._levels = {
            name: level for name, level in self._levels.items() if name in names or level.waiting or level.holder.in_use
        }
        self._seats.share(level.holder for level in self._levels.values() if not level.is_exempt)
        ordered = matching.in_order(entry.object for entry in schemas.current())
        self._in_order = [one for one in ordered if one.spec.priority_level_configuration.name in names]
        self._named = matching.named_users(self._in_order)
        self._taken.clear()


def width_of_list(objects: int) -> int:
    """Return how many seats a list takes that has to look at this many objects."""
    return max(1, min(-(-objects // OBJECTS_PER_SEAT), SEATS_MOST))
