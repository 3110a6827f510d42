"""How long a container that ends again and again waits."""

from __future__ import annotations

from pinnace.kubelet.crash_backoff import CrashBackoff
from pinnace.kubelet.runtime import Instance, State


def ended(at: float, lasted: float = 1.0) -> Instance:
    return Instance(
        id="x",
        sandbox_id="s",
        uid="u",
        name="c",
        state=State.EXITED,
        restart_count=0,
        created_at=1,
        started_at=int((at - lasted) * 1e9),
        finished_at=int(at * 1e9),
    )


def test_delays_double_up_to_five_minutes() -> None:
    """At once, then 10, 20, 40 … 300 seconds."""
    backoff, delays = CrashBackoff(), []
    for _ in range(8):
        delays.append(backoff.remaining(ended(1000), "i", 1000))
        backoff.restarted(ended(1000), "i")
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]


def test_time_since_the_end_counts() -> None:
    """The wait is counted from the end of the last run."""
    backoff = CrashBackoff()
    backoff.restarted(ended(1000), "i")
    assert backoff.remaining(ended(1000), "i", 1004) == 6
    assert backoff.remaining(ended(1000), "i", 1011) == 0


def test_long_run_and_new_image_forgive() -> None:
    """Ten good minutes, or another image, begin anew."""
    backoff = CrashBackoff()
    for _ in range(3):
        backoff.restarted(ended(1000), "i")
    assert backoff.remaining(ended(5000, lasted=601), "i", 5000) == 0
    assert backoff.remaining(ended(5000), "other", 5000) == 0
    assert backoff.remaining(ended(5000), "i", 5000) == 40
