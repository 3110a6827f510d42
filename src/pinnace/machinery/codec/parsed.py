"""What reading a text gives: the tree, and the keys that stood in it twice."""

from typing import Any

from msgspec import Struct


class Parsed(Struct, frozen=True):
    """A plain tree of dicts, lists and scalars; `duplicates` are complaints in upstream's words."""

    tree: Any
    duplicates: tuple[str, ...] = ()
