"""Durations in the form of Go, and what is said of others."""

import pytest

from pinnace.apiserver.endpoints.durations import parse_duration
from pinnace.machinery.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("0", 0.0, id="zero-without-unit"),
        pytest.param("-0", 0.0, id="signed-zero"),
        pytest.param("34s", 34.0, id="seconds"),
        pytest.param("1h2m3s", 3723.0, id="several"),
        pytest.param("1.5s", 1.5, id="fraction"),
        pytest.param(".5m", 30.0, id="no-whole"),
        pytest.param("5.s", 5.0, id="no-fraction"),
        pytest.param("250ms", 0.25, id="thousandths"),
        pytest.param("1000us", 0.001, id="millionths"),
        pytest.param("1000µs", 0.001, id="micro-sign"),
        pytest.param("1000μs", 0.001, id="greek-mu"),
        pytest.param("1000000ns", 0.001, id="billionths"),
        pytest.param("-2m", -120.0, id="negative"),
        pytest.param("+2m", 120.0, id="positive"),
    ],
)
def test_duration_is_read(text, seconds):
    """Numbers and units add up."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", 'invalid duration ""', id="empty"),
        pytest.param("-", 'invalid duration "-"', id="sign-alone"),
        pytest.param("+-1s", 'invalid duration "+-1s"', id="two-signs"),
        pytest.param("abc", 'invalid duration "abc"', id="letters"),
        pytest.param(".s", 'invalid duration ".s"', id="point-alone"),
        pytest.param("3", 'missing unit in duration "3"', id="number-alone"),
        pytest.param("1h2", 'missing unit in duration "1h2"', id="last-without-unit"),
        pytest.param("1.2.3s", 'missing unit in duration "1.2.3s"', id="two-points"),
        pytest.param("1d", 'unknown unit "d" in duration "1d"', id="days"),
        pytest.param("1s ", 'unknown unit "s " in duration "1s "', id="blank"),
        pytest.param("9" * 30 + "h", f'invalid duration "{"9" * 30}h"', id="too-long-for-go"),
    ],
)
def test_duration_is_refused_in_gos_words(text, complaint):
    """Clients see what Go's parser says, behind what it is about."""
    with pytest.raises(BadRequest) as refused:
        parse_duration(text)
    assert refused.value.message == f"invalid timeout specified in the request URL - time: {complaint}"
