"""File paths in objects: relative ones that stay inside, absolute ones (upstream pkg/apis/core/validation)."""

from collections.abc import Iterator

from pinnace.machinery.field import FieldError, Path, invalid


def local(text: str, path: Path) -> Iterator[FieldError]:
    """Check a path that must be relative and not climb."""
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    yield from no_backsteps(text, path)


def no_backsteps(text: str, path: Path) -> Iterator[FieldError]:
    """Check that no part of a path is `..`."""
    if ".." in text.split("/"):
        yield invalid(path, text, "must not contain '..'")


def absolute(text: str, path: Path) -> Iterator[FieldError]:
    """Check that a path starts at the root."""
    if not text.startswith("/"):
        yield invalid(path, text, "must be an absolute path")


def not_reserved(text: str, path: Path) -> Iterator[FieldError]:
    """Check a path like `local`, and that it does not begin like the names that the kubelet keeps for itself."""
    yield from local(text, path)
    if text.startswith("..") and not text.startswith("../"):
        yield invalid(path, text, "must not start with '..'")
