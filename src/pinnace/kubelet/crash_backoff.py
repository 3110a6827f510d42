"""How long a container that ends again and again has to wait for its next start.

The first restart comes at once, the next after 10 s, then twice as long each time up to 5 minutes, counted from the end of the last run.
A run of more than 10 minutes forgives what was before. Kept in memory only, as upstream. Upstream: kuberuntime `kuberuntime_manager.go`
doBackOff.
"""

from msgspec import Struct

from pinnace.kubelet.runtime import Instance

FIRST_SECONDS, MOST_SECONDS = 10.0, 300.0


class _Delay(Struct, frozen=True):
    image: str
    seconds: float


class CrashBackoff:
    """The delays of one pod's containers."""

    def __init__(self) -> None:
        self._delays: dict[str, _Delay] = {}

    def remaining(self, run: Instance, image: str, now: float) -> float:
        """Return the seconds until the container whose last run this is may start with an image; zero when it may now."""
        return max(run.finished_at / 1e9 + self.delay(run, image) - now, 0.0)

    def delay(self, run: Instance, image: str) -> float:
        """Return the whole wait after this run, in seconds."""
        known = self._delays.get(run.name)
        if known is None or known.image != image or (run.finished_at - run.started_at) / 1e9 > 2 * MOST_SECONDS:
            return 0.0
        return known.seconds

    def restarted(self, run: Instance, image: str) -> None:
        """Take note that the container is started again after this run."""
        longer = min(self.delay(run, image) * 2, MOST_SECONDS) or FIRST_SECONDS
        self._delays[run.name] = _Delay(image, longer)
