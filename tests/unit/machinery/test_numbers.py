"""Numbers as Go reads them."""

import pytest

from pinnace.machinery.numbers import parse_int, parse_uint


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        pytest.param(parse_int, "+7", 7, id="sign"),
        pytest.param(parse_int, str(-(2**63)), -(2**63), id="least"),
        pytest.param(parse_int, "0" * 5000 + "1", 1, id="zeros"),
        pytest.param(parse_uint, str(2**64 - 1), 2**64 - 1, id="greatest"),
    ],
)
def test_numbers_in_range_are_read(parse, text, value):
    """Signs and leading zeros are as Go takes them."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        pytest.param(parse_int, "", "invalid syntax", id="empty"),
        pytest.param(parse_int, "1.5", "invalid syntax", id="fraction"),
        pytest.param(parse_int, "1_000", "invalid syntax", id="pythons-own"),
        pytest.param(parse_int, "²", "invalid syntax", id="other-digit"),
        pytest.param(parse_int, str(2**63), "value out of range", id="one-too-many"),
        pytest.param(parse_int, "9" * 5000, "value out of range", id="endless"),
        pytest.param(parse_uint, "-1", "invalid syntax", id="negative"),
        pytest.param(parse_uint, "+1", "invalid syntax", id="signed"),
        pytest.param(parse_uint, str(2**64), "value out of range", id="unsigned-one-too-many"),
    ],
)
def test_others_are_refused_in_gos_words(parse, text, reason):
    """The function, the text and the reason are named."""
    function = "ParseInt" if parse is parse_int else "ParseUint"
    with pytest.raises(ValueError, match="strconv") as refused:
        parse(text)
    assert str(refused.value) == f'strconv.{function}: parsing "{text}": {reason}'
