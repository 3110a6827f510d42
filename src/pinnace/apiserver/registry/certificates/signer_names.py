"""Names of signers, `example.com/what-it-signs` (upstream pkg/apis/core/validation `ValidateSignerName`)."""

from collections.abc import Iterator

from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required, too_long

_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
# Bytes: a subdomain, a dot and a label.
PATH_LIMIT_BYTES = names.SUBDOMAIN_LIMIT + names.LABEL_LIMIT + 1


def signer_name_errors(name: str, path: Path) -> Iterator[FieldError]:
    """Check a signer's name."""
    if not name:
        yield required(path)
        return
    domain, slash, rest = name.partition("/")
    if not slash or "/" in rest:
        yield invalid(path, name, _FORM)
        return
    if len(domain.encode()) > names.SUBDOMAIN_LIMIT:
        yield too_long(path, domain, names.SUBDOMAIN_LIMIT)
    labels = domain.split(".")
    if len(labels) < 2:
        yield invalid(path, domain, "should be a domain with at least two segments separated by dots")
    for label in labels:
        yield from (invalid(path, domain, f'validating label "{label}": {words}') for words in names.dns_label(label))
    if len(rest.encode()) > PATH_LIMIT_BYTES:
        yield too_long(path, rest, PATH_LIMIT_BYTES)
    for label in rest.split("."):
        yield from (invalid(path, rest, f'validating label "{label}": {words}') for words in names.dns_label(label))
