"""Packs the API's schemas into the wheel, editable installs included."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SchemasHook(BuildHookInterface[Any]):
    """Writes `src/pinnace/api/schemas.bin` before the files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Pack, and have the file taken along although git ignores it."""
        folder = Path(self.root) / "src/pinnace/api"
        sys.path.insert(0, str(folder))
        try:
            import schemas  # type: ignore[import-not-found]  # noqa: PLC0415 - found only now
        finally:
            sys.path.pop(0)
        target = folder / "schemas.bin"
        target.write_bytes(schemas.pack(schemas.read_source()))
        build_data["artifacts"].append("src/pinnace/api/schemas.bin")
