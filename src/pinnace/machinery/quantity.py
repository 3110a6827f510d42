"""Amounts of resources: `100m`, `1.5Gi`, `1e3`, exact to a nano-unit.

Canonical form: an integer mantissa with the largest suffix of the text's own family (decimal SI, binary SI, or exponent) that
leaves no fraction. Upstream: apimachinery `pkg/api/resource/quantity.go`; texts and limits are its.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from msgspec import Struct

Family = Literal["decimal", "binary", "exponent"]

# Each digit has one place in the pattern, so that a long text that is no quantity is given up in linear time.
_SYNTAX = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,4})?")
# Digits that are read; amounts have nineteen before the point at most, and nine behind it.
_MOST_DIGITS = 1000
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = {0: "", **{power: suffix for suffix, power in _BINARY.items()}}
_MAX = 2**63 - 1
NANO = 10**9

BAD_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class Quantity(Struct, frozen=True):
    """An amount: whole nano-units, and the family of suffixes it was written in."""

    nanos: int
    family: Family = "decimal"

    def value(self) -> int:
        """Return whole units, rounded away from zero."""
        return _ceil(self.nanos, NANO)

    def milli(self) -> int:
        """Return thousandths, rounded away from zero."""
        return _ceil(self.nanos, NANO // 1000)

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos + other.nanos, self.family if self.nanos or not other.nanos else other.family)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos - other.nanos, self.family if self.nanos or not other.nanos else other.family)

    def __lt__(self, other: "Quantity") -> bool:
        return self.nanos < other.nanos

    def __le__(self, other: "Quantity") -> bool:
        return self.nanos <= other.nanos

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __str__(self) -> str:
        if self.nanos == 0:
            return "0"
        if self.family == "binary":
            text = self._binary()
            if text is not None:
                return text
        return self._exponent() if self.family == "exponent" else self._decimal()

    def _binary(self) -> str | None:
        """Return the text with a binary suffix; None where only a decimal one is exact, or the amount is below 1024."""
        whole, rest = divmod(self.nanos, NANO)
        if rest or abs(whole) < 1024:
            return None if rest else str(whole)
        power = 0
        while power < 6 and whole % 1024 == 0:
            whole //= 1024
            power += 1
        return f"{whole}{_BINARY_SUFFIX[power]}"

    def _decimal(self) -> str:
        mantissa, power = self._reduced()
        return f"{mantissa}{_DECIMAL_SUFFIX[power]}"

    def _exponent(self) -> str:
        mantissa, power = self._reduced()
        return f"{mantissa}e{power}" if power else str(mantissa)

    def _reduced(self) -> tuple[int, int]:
        mantissa, power = self.nanos, -9
        while power < 18 and mantissa % 1000 == 0:
            mantissa //= 1000
            power += 3
        return mantissa, power


ZERO = Quantity(0)


def of_value(value: int, family: Family = "decimal") -> Quantity:
    """Return a quantity of whole units."""
    return Quantity(value * NANO, family)


def of_milli(millis: int) -> Quantity:
    """Return a quantity of thousandths."""
    return Quantity(millis * (NANO // 1000))


def parse(text: str | float) -> Quantity:
    """Return the amount a text or JSON number stands for; more than nano precision is rounded up.

    Raises:
        ValueError: it is no quantity.
    """
    return _parse(text if isinstance(text, str) else repr(text))


@lru_cache(maxsize=4096)
def _parse(text: str) -> Quantity:
    stripped = text.strip()
    match = _SYNTAX.fullmatch(stripped)
    if match is None or len(stripped) > _MOST_DIGITS:
        raise ValueError(BAD_FORMAT)
    sign, digits, suffix = match.groups()
    suffix = suffix or ""
    number = Fraction(digits if digits[-1] != "." else digits[:-1])
    family: Family = "decimal"
    if suffix in _BINARY:
        family = "binary"
        number *= 1024 ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        number *= Fraction(10) ** _DECIMAL[suffix]
    else:
        family = "exponent"
        exponent = int(suffix[1:])
        if abs(exponent) > 1000:
            raise ValueError(BAD_FORMAT)
        number *= Fraction(10) ** exponent
    nanos = _ceil(number.numerator * NANO, number.denominator)
    if family == "binary" and nanos > _MAX * NANO:
        nanos, family = _MAX * NANO, "decimal"
    return Quantity(-nanos if sign == "-" else nanos, family)


def canonical(text: str | float) -> str:
    """Return the canonical text of a quantity; a text that is canonical in value keeps its own spelling.

    Raises:
        ValueError: it is no quantity.
    """
    return str(parse(text))


def canonical_milli(text: str | float) -> str:
    """Return the canonical text, rounded up to thousandths: the form of every ResourceList.

    Raises:
        ValueError: it is no quantity.
    """
    amount = parse(text)
    if amount.nanos % (NANO // 1000):
        amount = Quantity(amount.milli() * (NANO // 1000), amount.family)
    return str(amount)


def _ceil(numerator: int, denominator: int) -> int:
    """Divide, rounding away from zero."""
    rounded_up = -(-abs(numerator) // denominator)
    return rounded_up if numerator >= 0 else -rounded_up
