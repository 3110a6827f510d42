"""References by kind and name, as ingresses and their classes hold them (upstream pkg/apis/networking/validation)."""

from collections.abc import Iterator

from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required


def reference_errors(api_group: str | None, kind: str, name: str, path: Path) -> Iterator[FieldError]:
    """Check a reference to an object of any kind; the core group may be left out."""
    if api_group is not None:
        yield from (invalid(path.child("apiGroup"), api_group, words) for words in names.dns_subdomain(api_group))
    yield from segment_errors(kind, path.child("kind"))
    yield from segment_errors(name, path.child("name"))


def segment_errors(value: str, path: Path) -> Iterator[FieldError]:
    """Check a part of a URL path, which must be there."""
    if not value:
        yield required(path)
    yield from (invalid(path, value, words) for words in names.path_segment(value))
