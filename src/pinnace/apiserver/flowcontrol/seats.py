"""The seats of a server, each good for one request at work, and how its priority levels share them.

Every level is sure of a number of seats: its nominal share less what it may lend. A level takes more for as long as all others
could still come to their own. Upstream moves borrowed seats every ten seconds by the demand of the last ones; here the rule is
looked at whenever a seat is asked for, so that an idle server lends at once and a seat that is given back goes to whoever lacks.
Invariant: the seats in use and the unused sure ones of all levels never exceed the total, but for a request wider than its level,
which runs when it has the level to itself. Upstream: apiserver `util/flowcontrol/apf_controller.go`, `max_seats.go`.
"""

from collections.abc import Iterable

from msgspec import Struct

from pinnace.api.flowcontrol_v1 import PriorityLevelConfiguration

DEFAULT_SHARES = 30


class Limits(Struct, frozen=True):
    """How many seats a level has by right, is sure of whatever others do, and may have at most."""

    nominal: int
    least: int
    most: int


UNLIMITED = Limits(0, 0, 0)


class Holder:
    """What a level has of the seats."""

    __slots__ = ("in_use", "limits")

    def __init__(self) -> None:
        self.limits = UNLIMITED
        self.in_use = 0


class Seats:
    """All seats of a server; a total of 0 sets no bound."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._holders: list[Holder] = []

    def share(self, holders: Iterable[Holder]) -> None:
        """Let these levels have the seats from now on; what others still use is theirs until they give it back."""
        self._holders = list(holders)

    def has_room(self, holder: Holder, width: int) -> bool:
        """Tell whether a level may take this many seats now."""
        wanted, limits = holder.in_use + width, holder.limits
        if wanted <= limits.least or not holder.in_use or not self.total:
            return True
        if wanted > limits.most:
            return False
        others = sum(max(other.in_use, other.limits.least) for other in self._holders if other is not holder)
        return wanted + others <= self.total


def limits_of(levels: Iterable[PriorityLevelConfiguration], total: int) -> dict[str, Limits]:
    """Return the limits of each limited level, by name."""
    limited = {level.metadata.name: level.spec.limited for level in levels if level.spec.limited is not None}
    shares = {
        name: DEFAULT_SHARES if spec.nominal_concurrency_shares is None else spec.nominal_concurrency_shares
        for name, spec in limited.items()
    }
    everything = sum(shares.values())
    found = {}
    for name, spec in limited.items():
        nominal = -(-total * shares[name] // everything) if everything else 0
        lendable = round(nominal * (spec.lendable_percent or 0) / 100)
        borrowing = spec.borrowing_limit_percent
        most = total if borrowing is None else nominal + round(nominal * borrowing / 100)
        found[name] = Limits(nominal, nominal - lendable, most)
    return found
