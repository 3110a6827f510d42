import random

import pytest

from pinnace.component.backoff import Backoff, KeyedBackoff

CRASH = Backoff(10, 300)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 10), (2, 20), (5, 160), (6, 300), (7, 300), (10_000, 300)]
)
def test_delay_doubles_up_to_its_limit(failures, seconds):
    """Delays grow by the factor and stop growing at the limit, however many failures there are."""
    assert CRASH.delay(failures) == seconds


def test_jitter_lengthens_by_at_most_its_share():
    """A jittered delay lies between the plain one and its longest."""
    source = random.Random(1)
    delays = {Backoff(10, 300, jitter=0.5).delay(1, source) for _ in range(50)}
    assert all(10 <= one <= 15 for one in delays)
    assert len(delays) > 1


def test_keys_back_off_apart_and_count_down():
    """Each key has its own failures; what remains shrinks with time."""
    backoff = KeyedBackoff(CRASH)
    assert backoff.failed("a", 0.0) == 10
    assert backoff.failed("a", 10.0) == 20
    assert backoff.failed("b", 10.0) == 10
    assert backoff.remaining("a", 15.0) == 15
    assert backoff.remaining("a", 40.0) == 0
    backoff.forget("a")
    assert backoff.failed("a", 41.0) == 10


def test_key_is_forgotten_when_it_was_quiet_for_twice_the_limit():
    """A failure long after the last starts over, and collecting drops it."""
    backoff = KeyedBackoff(CRASH)
    backoff.failed("a", 0.0)
    backoff.failed("a", 1.0)
    assert backoff.failed("a", 602.0) == 10
    backoff.collect(2000.0)
    assert backoff.remaining("a", 602.0) == 0
