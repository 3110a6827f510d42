"""Amounts: canonical texts, rounding, arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.machinery import quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("100m", "100m"), ("1.5Gi", "1536Mi"), ("1000k", "1M"), ("1024Ki", "1Mi"), ("0.5Gi", "512Mi"), ("1000m", "1"),
        ("1.25k", "1250"), ("1e3", "1e3"), ("1.1Ki", "1126400m"), ("0", "0"), ("8Ei", "9223372036854775807"), ("1e19", "10e18"),
        ("-1500m", "-1500m"), (2, "2"), (0.5, "500m"),
    ],
)  # fmt: skip
def test_canonical_has_upstreams_form(text, canonical):
    """An integer mantissa with the largest suffix of the text's own family."""
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "1.2.3", "Gi", "1 Gi", "1gi", "abc", "1e", "--1"])
def test_parse_refuses_what_is_no_quantity(text):
    """Anything else is an error that names the rule."""
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


def test_rounding_goes_away_from_zero():
    """Thousandths and units round up, so that nothing is promised that is not there."""
    assert quantity.parse("1n").milli() == 1
    assert quantity.parse("1500m").value() == 2
    assert quantity.parse("-1500m").value() == -2
    assert quantity.canonical_milli("1n") == "1m"


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_canonical_keeps_the_amount(millis):
    """Writing and reading again gives the same amount, and is stable."""
    text = str(quantity.of_milli(millis))
    assert quantity.parse(text).milli() == millis
    assert quantity.canonical(text) == text


@given(st.integers(min_value=0, max_value=2**62))
def test_binary_amounts_survive(value):
    """The same for binary suffixes."""
    text = str(quantity.of_value(value, "binary"))
    assert quantity.parse(text).value() == value
