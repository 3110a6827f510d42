"""What a controller has done and not yet seen: it does nothing more about an object until its caches show it.

Creations are counted, deletions remembered by key, so that a pod that is being deleted gracefully counts once. What does not show
within five minutes is given up. Upstream: pkg/controller/controller_utils.go.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from pinnace.component.clock import Clock

LIMIT_SECONDS = 300.0


class _Expected(Struct):
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    """Expectations by the owner's key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[str, _Expected] = {}

    def are_met(self, key: str) -> bool:
        """Tell whether everything done has shown, or waited for too long."""
        expected = self._expected.get(key)
        if expected is None:
            return True
        if (
            expected.creations <= 0 and not expected.deletions
        ) or self._clock.monotonic() - expected.since > LIMIT_SECONDS:
            del self._expected[key]
            return True
        return False

    def expect(self, key: str, *, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        """Wait for these to show."""
        self._expected[key] = _Expected(self._clock.monotonic(), creations, set(deletions))

    def created(self, key: str, count: int = 1) -> None:
        """Say that creations have shown, or will not."""
        if key in self._expected:
            self._expected[key].creations -= count

    def deleted(self, key: str, pod: str) -> None:
        """Say that a deletion has shown, or failed."""
        if key in self._expected:
            self._expected[key].deletions.discard(pod)

    def forget(self, key: str) -> None:
        """The owner is gone."""
        self._expected.pop(key, None)
