"""The scalar types that wire structs are made of, each an ordinary Python value with a meaning.

The alias tells the codec what lenient reading applies: a Quantity may come as a JSON number, the others may not.
"""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Raw

Int32: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# Canonical or as sent; `machinery.quantity` reads it.
Quantity: TypeAlias = Annotated[str, Meta(extra={"scalar": "Quantity"})]
# RFC 3339, UTC, whole seconds.
Time: TypeAlias = Annotated[str, Meta(extra={"scalar": "Time"})]
# RFC 3339, UTC, exactly six digits of a second.
MicroTime: TypeAlias = Annotated[str, Meta(extra={"scalar": "MicroTime"})]
# Base64 of the standard alphabet, with padding.
Bytes: TypeAlias = Annotated[str, Meta(extra={"scalar": "Bytes"})]
IntOrString: TypeAlias = int | str
# Free-form: whatever JSON the user wrote.
AnyJSON: TypeAlias = Any
# A set of fields as its own JSON: most readers never look inside (`machinery.managedfields.sets` does).
FieldsV1: TypeAlias = Annotated[Raw, Meta(extra={"scalar": "FieldsV1"})]
NO_FIELDS = Raw()
# What somebody else understands, as it was sent (`machinery.codec.raw` looks inside).
RawExtension: TypeAlias = Annotated[Raw, Meta(extra={"scalar": "RawExtension"})]
NO_EXTENSION = Raw()


def zero_quantity() -> str:
    """Return what an unset quantity is written as."""
    return "0"


def zero_duration() -> str:
    """Return what an unset duration is written as."""
    return "0s"
