"""What storage classes and volume attributes classes share: a driver's name and the parameters it is given.

Upstream: pkg/apis/storage/validation `validateProvisioner`, `validateParameters`.
"""

from collections.abc import Iterator, Mapping

from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid, required, too_long

# Bytes of all keys and values together.
PARAMETERS_LIMIT_BYTES = 256 * 1024
PARAMETERS_LIMIT = 512


def driver_errors(name: str, path: Path) -> Iterator[FieldError]:
    """Check the name of a provisioner or driver, whose case does not matter."""
    if not name:
        yield required(path)
    else:
        yield from (invalid(path, name.lower(), text) for text in names.qualified_name(name.lower()))


def parameter_errors(parameters: Mapping[str, str], path: Path, *, may_be_empty: bool) -> Iterator[FieldError]:
    """Check number and size of parameters."""
    if len(parameters) > PARAMETERS_LIMIT:
        yield too_long(path, "", PARAMETERS_LIMIT)
        return
    if "" in parameters:
        yield invalid(path, "", "field can not be empty.")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items())
    if size > PARAMETERS_LIMIT_BYTES:
        yield too_long(path, "", PARAMETERS_LIMIT_BYTES)
    if not may_be_empty and not parameters:
        yield required(path, "must contain at least one key/value pair")
