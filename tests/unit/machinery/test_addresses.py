"""Addresses and ranges: what is refused, what is odd, in upstream's words."""

import pytest

from pinnace.machinery import addresses

NOT_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
FUTURE = "will be considered invalid in a future Kubernetes release"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("10.9.8.7", "", id="IPv4"),
        pytest.param("2001:db8::ffff", "", id="IPv6"),
        pytest.param("10.9.8", NOT_IP, id="too few parts"),
        pytest.param("300.0.0.1", NOT_IP, id="part too large"),
        pytest.param("fe80::1%eth0", NOT_IP, id="zone"),
        pytest.param("", NOT_IP, id="nothing"),
        pytest.param("10.009.8.7", "must not have leading 0s", id="leading zeros"),
        pytest.param("::ffff:10.9.8.7", "must not be an IPv4-mapped IPv6 address", id="mapped"),
        pytest.param("2001:DB8::0:1", 'must be in canonical form ("2001:db8::1")', id="capital letters and zeros"),
    ],
)
def test_address_is_checked(text, complaint):
    """New fields want the one good spelling."""
    assert addresses.canonical_ip_address(text) == ([complaint] if complaint else [])


def test_address_in_an_old_field_may_be_spelled_as_one_likes():
    """Fields from before the rule take any spelling that means one thing only."""
    assert addresses.ip_address("2001:DB8::0:1") == []
    assert addresses.cidr("2001:DB8::/64") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("10.9.8.0/24", "", id="IPv4"),
        pytest.param("2001:db8::/64", "", id="IPv6"),
        pytest.param("10.9.8.0", NOT_CIDR, id="no length"),
        pytest.param("10.9.8.0/33", NOT_CIDR, id="length too large"),
        pytest.param("10.9.8.0/255.255.255.0", NOT_CIDR, id="mask"),
        pytest.param("010.9.8.0/24", "must not have leading 0s in IP or prefix length", id="zeros in the address"),
        pytest.param("10.9.8.0/024", "must not have leading 0s in IP or prefix length", id="zeros in the length"),
        pytest.param("::ffff:10.9.8.0/120", "must not have an IPv4-mapped IPv6 address", id="mapped"),
        pytest.param("10.9.8.1/24", "must not have bits set beyond the prefix length", id="a host's bits"),
        pytest.param("2001:DB8::/64", 'must be in canonical form ("2001:db8::/64")', id="capital letters"),
    ],
)
def test_range_is_checked(text, complaint):
    """A range is a network, spelled well."""
    assert addresses.canonical_cidr(text) == ([complaint] if complaint else [])


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        pytest.param("10.9.8.7", [], id="good"),
        pytest.param("nonsense", [], id="none at all"),
        pytest.param("10.009.8.7", [f'at: non-standard IP address "10.009.8.7" {FUTURE}: use "10.9.8.7"'], id="zeros"),
        pytest.param(
            "::ffff:10.9.8.7", [f'at: non-standard IP address "::ffff:10.9.8.7" {FUTURE}: use "10.9.8.7"'], id="mapped"
        ),
        pytest.param(
            "2001:DB8::1",
            ['at: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")'],
            id="capital letters",
        ),
    ],
)
def test_odd_address_is_warned_of(text, warnings):
    """What works today and may not tomorrow is said."""
    assert addresses.ip_warnings(text, "at") == warnings


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        pytest.param("10.9.8.0/24", [], id="good"),
        pytest.param("nonsense", [], id="none at all"),
        pytest.param(
            "10.9.8.7/24",
            ['at: CIDR value "10.9.8.7/24" is ambiguous in this context (should be "10.9.8.0/24" or "10.9.8.7/32"?)'],
            id="a host's bits",
        ),
        pytest.param(
            "10.9.8.0/024", [f'at: non-standard CIDR value "10.9.8.0/024" {FUTURE}: use "10.9.8.0/24"'], id="zeros"
        ),
        pytest.param(
            "2001:DB8::/64",
            ['at: IPv6 CIDR value "2001:DB8::/64" should be in RFC 5952 canonical format ("2001:db8::/64")'],
            id="capital letters",
        ),
    ],
)
def test_odd_range_is_warned_of(text, warnings):
    """Ranges are warned of like addresses, and of bits that a network does not have."""
    assert addresses.cidr_warnings(text, "at") == warnings
