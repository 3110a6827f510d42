"""Names in the resource group: drivers, pools, devices, requests, attributes (upstream pkg/apis/resource/validation)."""

import re
from collections.abc import Iterator

from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required, too_long, type_invalid

Errors = Iterator[FieldError]

# Bytes.
DRIVER_LIMIT, POOL_LIMIT, IDENTIFIER_LIMIT = 63, 253, 32
KEY_LIMIT = DRIVER_LIMIT + 1 + IDENTIFIER_LIMIT
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_matches_identifier = re.compile(_IDENTIFIER).fullmatch
_IDENTIFIER_RULE = names.regex_rule(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
    "or '_'",
    _IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)


def driver_errors(name: str, path: Path) -> Errors:
    """Check a driver's name."""
    if not name:
        yield required(path)
        return
    if len(name.encode()) > DRIVER_LIMIT:
        yield too_long(path, "", DRIVER_LIMIT)
    yield from (invalid(path, name, words) for words in names.dns_subdomain(name))


def pool_errors(name: str, path: Path) -> Errors:
    """Check a pool's name: subdomains with slashes between."""
    if not name:
        yield required(path)
        return
    if len(name.encode()) > POOL_LIMIT:
        yield too_long(path, "", POOL_LIMIT)
    for part in name.split("/"):
        yield from (invalid(path, part, words) for words in names.dns_subdomain(part))


def label_errors(name: str, path: Path) -> Errors:
    """Check the name of a device or a request."""
    yield from (invalid(path, name, words) for words in names.dns_label(name))


def class_errors(name: str, path: Path) -> Errors:
    """Check the name of a device class, which must be there."""
    if not name:
        yield required(path)
    else:
        yield from (invalid(path, name, words) for words in names.dns_subdomain(name))


def qualified_errors(name: str, path: Path) -> Errors:
    """Check the name of an attribute or capacity: an identifier, perhaps with a driver's domain in front."""
    if not name:
        yield required(path, "name required")
        return
    parts = name.split("/")
    if len(parts) == 1:
        yield from _identifier_errors(name, path)
    elif len(parts) == 2:
        domain, own = parts
        yield from driver_errors(domain, path) if domain else [required(path, "the domain must not be empty")]
        yield from _identifier_errors(own, path) if own else [required(path, "the name must not be empty")]


def fully_qualified_errors(name: str, path: Path) -> Errors:
    """Check the name of an attribute that must have a domain."""
    if name and "/" not in name:
        yield invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash")
        return
    yield from qualified_errors(name, path)


def _identifier_errors(name: str, path: Path) -> Errors:
    if len(name.encode()) > IDENTIFIER_LIMIT:
        yield too_long(path, "", IDENTIFIER_LIMIT)
    if not _matches_identifier(name):
        yield type_invalid(path, name, _IDENTIFIER_RULE)
