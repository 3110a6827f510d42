"""Domain names, and paths beneath one, as fields of objects (upstream apimachinery `pkg/util/validation`)."""

import re
from collections.abc import Iterator

from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required

Errors = Iterator[FieldError]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_LABEL}(\.{_LABEL})*"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_WILDCARD_RULE = names.regex_rule(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)


def host_errors(host: str, path: Path) -> Errors:
    """Check the name of a host, which may begin with a wildcard."""
    if "*" not in host:
        yield from (invalid(path, host, words) for words in names.dns_subdomain(host))
    elif re.fullmatch(_WILDCARD, host) is None:
        yield invalid(path, host, _WILDCARD_RULE)


def full_name_errors(name: str, path: Path) -> Errors:
    """Check a fully qualified domain name: two labels or more, with or without the dot at its end."""
    if not name:
        yield required(path)
        return
    name = name.removesuffix(".")
    if found := names.dns_subdomain(name):
        yield invalid(path, name, ",".join(found))
        return
    labels = name.split(".")
    if len(labels) < 2:
        yield invalid(path, name, "should be a domain with at least two segments separated by dots")
        return
    for label in labels:
        if found := names.dns_label(label):
            yield invalid(path, label, ",".join(found))


def prefixed_path_errors(text: str, path: Path) -> Errors:
    """Check a path beneath a domain: `acme.io/foo`."""
    if not text:
        yield required(path)
        return
    host, _, rest = text.partition("/")
    if not host or not rest:
        yield invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    yield from (invalid(path, host, words) for words in names.dns_subdomain(host))
    if re.fullmatch(_HTTP_PATH, rest) is None:
        yield invalid(path, rest, names.regex_rule("Invalid path", _HTTP_PATH))
