"""Numbers that may be percentages: `maxSurge: 25%` (upstream apimachinery `pkg/util/intstr`)."""

import re

_PERCENT = re.compile(r"[0-9]+%")


def is_percent(value: int | str) -> bool:
    """Tell whether a value is a percentage, "0%" and upwards."""
    return isinstance(value, str) and _PERCENT.fullmatch(value) is not None


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """Return a number as it is, and a percentage of `total` as a whole number.

    Raises:
        ValueError: a text that is no percentage.
    """
    if isinstance(value, int):
        return value
    if not is_percent(value):
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    product = int(value[:-1]) * total
    return -(-product // 100) if round_up else product // 100
