"""The schemas of API v1.36 with their descriptions, for OpenAPI and `kubectl explain`.

They are upstream's (Apache-2.0, see NOTICE) and lie packed beside this module: one zstandard frame of JSON, put there when the
package is built. In a checkout without that file they are read from the development dependency they are packed from. Read when
first asked for; a server that nobody asks to explain anything never does.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import zstandard

PACKED = Path(__file__).with_name("schemas.bin")
_SOURCE = Path("kubernetes-json-schema/v1.36.0-local/_definitions.json")


class SchemasMissing(FileNotFoundError):
    """Neither the packed schemas nor their source are there."""


def load() -> dict[str, Any]:
    """Return schema name → schema, as upstream publishes them.

    Raises:
        SchemasMissing: the package was built without them.
    """
    if PACKED.exists():
        packed: dict[str, Any] = json.loads(zstandard.decompress(PACKED.read_bytes()))
        return packed
    return read_source()


def read_source() -> dict[str, Any]:
    """Return the schemas from the package that they are packed from.

    Raises:
        SchemasMissing: it is not installed.
    """
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise SchemasMissing(f"{PACKED.name} is missing, and so is kubernetes-validate, which it is packed from")
    found: dict[str, Any] = json.loads((Path(spec.origin).parent / _SOURCE).read_bytes())["$defs"]
    return found


def pack(schemas: dict[str, Any]) -> bytes:
    """Return the schemas as they lie beside this module."""
    text = json.dumps(schemas, separators=(",", ":"), ensure_ascii=False).encode()
    return zstandard.ZstdCompressor(level=19).compress(text)
