"""Bounds on numbers in objects, in upstream's words (apimachinery `pkg/api/validation`)."""

from collections.abc import Iterator

from pinnace.machinery.field import FieldError, Path, invalid

MAX_INT32 = 2**31 - 1


def not_negative(value: int | None, path: Path) -> Iterator[FieldError]:
    """Check that a number, if given, is zero or more."""
    if value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def positive(value: int | None, path: Path) -> Iterator[FieldError]:
    """Check that a number, if given, is one or more."""
    if value is not None and value <= 0:
        yield invalid(path, value, "must be greater than zero")


def within(value: int | None, low: int, high: int, path: Path) -> Iterator[FieldError]:
    """Check that a number, if given, lies between two others or is one of them."""
    if value is not None and not low <= value <= high:
        yield invalid(path, value, f"must be between {low} and {high}, inclusive")
