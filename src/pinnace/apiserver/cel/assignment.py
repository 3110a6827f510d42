"""Which types may stand where which are asked for, and what that settles about type parameters.

Parameters are settled step by step within one expression: `bindings` maps each to a type. A failed try leaves the bindings as
they were. Upstream: cel-go checker/types.go.
"""

from collections.abc import Sequence

from pinnace.apiserver.cel.types import DYN, NULLABLE, Sort, Type, is_loose


class Bindings:
    """What is known about the type parameters of one expression."""

    def __init__(self) -> None:
        self._known: dict[Type, Type] = {}
        self._made = 0
        # What the try at work has changed, with what was known before.
        self._changes: list[tuple[Type, Type | None]] = []

    def new_parameter(self) -> Type:
        """Return a parameter that nothing is known about."""
        self._made += 1
        return Type(Sort.PARAMETER, f"_var{self._made - 1}")

    def settled(self, one: Type, *, finally_dyn: bool = False) -> Type:
        """Return a type with what is known put in; what stays unknown is `dyn` in the end."""
        if one.sort is Sort.PARAMETER:
            known = self._known.get(one)
            if known is not None:
                return self.settled(known, finally_dyn=finally_dyn)
            return DYN if finally_dyn else one
        if not one.parameters:
            return one
        inside = tuple(self.settled(part, finally_dyn=finally_dyn) for part in one.parameters)
        return Type(one.sort, one.name, inside)

    def assign(self, wanted: Sequence[Type], given: Sequence[Type]) -> bool:
        """Try to put values of the types given where those wanted are; keep what that settles if all fit."""
        self._changes.clear()
        if len(wanted) == len(given) and all(
            self._is_assignable(one, other) for one, other in zip(given, wanted, strict=True)
        ):
            return True
        for one, before in reversed(self._changes):
            if before is None:
                del self._known[one]
            else:
                self._known[one] = before
        return False

    def joined(self, one: Type, other: Type) -> Type:
        """Return the more general of two types that fit each other."""
        return one if _is_as_general(one, other) else other

    def _is_assignable(self, one: Type, other: Type) -> bool:
        if other.sort is Sort.PARAMETER:
            fits, is_settled = self._substitute(other, one)
            if fits or is_settled:
                return fits
        if one.sort is Sort.PARAMETER:
            return self._substitute(one, other)[0]
        if is_loose(one) or is_loose(other):
            return True
        if one.sort is Sort.NULL or other.sort is Sort.NULL:
            return _takes_null(other if one.sort is Sort.NULL else one)
        if one.sort is Sort.TYPE:
            return other.sort is Sort.TYPE
        if one.sort is not other.sort or one.name != other.name or len(one.parameters) != len(other.parameters):
            return False
        return all(self._is_assignable(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))

    def _substitute(self, parameter: Type, value: Type) -> tuple[bool, bool]:
        """Try to settle a parameter; return whether the value fits, and whether the parameter was settled already."""
        if parameter == value:
            return True, True
        known = self._known.get(parameter)
        if known is not None:
            if known == value:
                return True, True
            if not self._is_assignable(value, known):
                return False, True
            general = self.joined(value, known)
            if not self._is_within(parameter, general):
                self._settle(parameter, general)
            return True, True
        if self._is_within(parameter, value):
            return False, False
        self._settle(parameter, value)
        return True, False

    def _settle(self, parameter: Type, value: Type) -> None:
        self._changes.append((parameter, self._known.get(parameter)))
        self._known[parameter] = value

    def _is_within(self, parameter: Type, one: Type) -> bool:
        if one == parameter:
            return True
        if one.sort is Sort.PARAMETER:
            known = self._known.get(one)
            return known is not None and self._is_within(parameter, known)
        return any(self._is_within(parameter, part) for part in one.parameters)


def _takes_null(one: Type) -> bool:
    return one.sort in (Sort.NULL, Sort.OBJECT, Sort.OPAQUE) or one in NULLABLE


def _is_as_general(one: Type, other: Type) -> bool:
    """Say whether a type is equal to another or less specific."""
    if is_loose(one) or one.sort is Sort.PARAMETER:
        return True
    if is_loose(other) or other.sort is Sort.PARAMETER:
        return False
    if one.sort is Sort.NULL or other.sort is Sort.NULL:
        # Of null and a type that takes it, the type is the more general.
        return one.sort is not Sort.NULL
    if one.sort is not other.sort or one.name != other.name or len(one.parameters) != len(other.parameters):
        return False
    return all(_is_as_general(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))
