"""Durations as Go prints them."""

import pytest

from pinnace.machinery import durations


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "0s", id="none"),
        pytest.param(0.25, "250ms", id="below-a-second"),
        pytest.param(0.0004, "0s", id="cut-to-milliseconds"),
        pytest.param(1.5, "1.5s", id="fraction"),
        pytest.param(10, "10s", id="seconds"),
        pytest.param(60, "1m0s", id="minute"),
        pytest.param(90.5, "1m30.5s", id="minutes-and-fraction"),
        pytest.param(3600, "1h0m0s", id="hour"),
        pytest.param(90061, "25h1m1s", id="more-than-a-day"),
        pytest.param(-90, "-1m30s", id="negative"),
    ],
)
def test_durations_are_shown_as_go_prints_them(seconds, text):
    """Hours, minutes and seconds from the largest that is not zero on; what is shown reads back."""
    assert durations.show(seconds) == text
    assert durations.parse(text) == pytest.approx(seconds, abs=0.001)
