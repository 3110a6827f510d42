"""Numbers of pods that may be given as a share of all (upstream pkg/apis/apps/validation `ValidatePositiveIntOrPercent`)."""

from collections.abc import Iterator

from pinnace.apiserver.registry.numbers import not_negative
from pinnace.machinery.field import FieldError, Path, invalid
from pinnace.machinery.intstr import is_percent
from pinnace.machinery.names import regex_rule

_PERCENT_RULE = regex_rule(
    "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%"
)


def share_errors(value: int | str, path: Path) -> Iterator[FieldError]:
    """Check that a value is a number, zero or more, or a percentage."""
    if isinstance(value, int):
        yield from not_negative(value, path)
    elif not is_percent(value):
        yield invalid(path, value, _PERCENT_RULE)


def whole_errors(value: int | str, path: Path) -> Iterator[FieldError]:
    """Check that a percentage is no more than all."""
    if isinstance(value, str) and is_percent(value) and int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")
