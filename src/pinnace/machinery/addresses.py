"""Rules for addresses and address ranges: what is wrong with one in upstream's words, and what is merely odd.

A field of the old API accepts any spelling that is not ambiguous; a newer one wants the canonical spelling (RFC 5952). Leading
zeros are refused everywhere, since some programs read them as octal. Upstream: apimachinery `pkg/util/validation/ip.go`.
"""

import ipaddress
import re
from collections.abc import Iterator

from pinnace.machinery.field import FieldError, Path, invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NOT_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_LEADING_ZERO = re.compile(r"(^|[.:])0+(?=[0-9]+(?:\.|$))")
_LINK_LOCAL_MULTICAST = ipaddress.ip_network("224.0.0.0/24")
_ZEROS = re.compile(r"^0+(?=[0-9])")


def parse(text: str) -> Address | None:
    """Return the address that a text spells, leading zeros and all; None when it spells none."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(_without_zeros(text))
    except ValueError:
        return None


def parse_range(text: str) -> Network | None:
    """Return the range that a text spells, with the bits beyond its prefix cleared; None when it spells none."""
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit()) or parse(address) is None:
        return None
    try:
        return ipaddress.ip_network(f"{_without_zeros(address)}/{_ZEROS.sub('', length)}", strict=False)
    except ValueError:
        return None


def _without_zeros(text: str) -> str:
    """Return the dotted part of an address without leading zeros."""
    return _LEADING_ZERO.sub(r"\1", text) if "." in text else text


def _is_mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def canonical(address: Address) -> str:
    """Return the one good spelling of an address."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def ip_address(text: str) -> list[str]:
    """Check an address of either family in any spelling."""
    address = parse(text)
    if address is None:
        return [_NOT_IP]
    if _without_zeros(text) != text:
        return ["must not have leading 0s"]
    return ["must not be an IPv4-mapped IPv6 address"] if _is_mapped(address) else []


def special_address_errors(text: str, path: Path) -> Iterator[FieldError]:
    """Refuse a good address by which nobody but the machine that calls it, or its neighbours on the link, can be meant."""
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        yield invalid(path, text, f"may not be unspecified ({text})")
    elif address.is_loopback:
        yield invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    elif address.is_link_local:
        yield invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    elif _is_link_local_multicast(address):
        yield invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def _is_link_local_multicast(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in _LINK_LOCAL_MULTICAST
    # ff02::, whatever the flags between the first octet and the scope.
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 2


def canonical_ip_address(text: str) -> list[str]:
    """Check an address of either family, which must be spelled canonically."""
    found = ip_address(text)
    if found:
        return found
    wanted = str(parse(text))
    return [] if text == wanted else [f'must be in canonical form ("{wanted}")']


def cidr(text: str) -> list[str]:
    """Check an address range in any spelling."""
    network = parse_range(text)
    if network is None:
        return [_NOT_CIDR]
    address, _, length = text.partition("/")
    if _without_zeros(address) != address or _ZEROS.sub("", length) != length:
        return ["must not have leading 0s in IP or prefix length"]
    if _is_mapped(ipaddress.ip_address(address)):
        return ["must not have an IPv4-mapped IPv6 address"]
    if ipaddress.ip_address(address) != network.network_address:
        return ["must not have bits set beyond the prefix length"]
    return []


def canonical_cidr(text: str) -> list[str]:
    """Check an address range, which must be spelled canonically."""
    found = cidr(text)
    if found:
        return found
    wanted = str(parse_range(text))
    return [] if text == wanted else [f'must be in canonical form ("{wanted}")']


def ip_warnings(text: str, path: object) -> list[str]:
    """Return what to say about an address that is good but oddly spelled; one that spells none is left to the rules."""
    address = parse(text)
    if address is None:
        return []
    if _without_zeros(text) != text or _is_mapped(address):
        return [_non_standard(path, f'IP address "{text}"', canonical(address))]
    if address.version == 6 and str(address) != text:
        return [f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format ("{address}")']
    return []


def _non_standard(path: object, what: str, wanted: str) -> str:
    return f'{path}: non-standard {what} will be considered invalid in a future Kubernetes release: use "{wanted}"'


def cidr_warnings(text: str, path: object) -> list[str]:
    """Return what to say about a range that is good but oddly spelled."""
    network = parse_range(text)
    if network is None:
        return []
    bare, _, length = text.partition("/")
    address = parse(bare)
    assert address is not None
    found = []
    if address != network.network_address:
        alone = f"{canonical(address)}/{network.max_prefixlen}"
        found.append(f'{path}: CIDR value "{text}" is ambiguous in this context (should be "{network}" or "{alone}"?)')
    if _without_zeros(bare) != bare or _ZEROS.sub("", length) != length or _is_mapped(address):
        found.append(_non_standard(path, f'CIDR value "{text}"', str(network)))
    if not found and network.version == 6 and str(network) != text:
        found.append(f'{path}: IPv6 CIDR value "{text}" should be in RFC 5952 canonical format ("{network}")')
    return found
