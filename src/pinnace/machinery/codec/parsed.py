"""What reading a text gives: the tree, and the keys that stood in it twice."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parsed:
    """A plain tree of dicts, lists and scalars; `duplicates` are complaints in upstream's words."""

    tree: Any
    duplicates: tuple[str, ...] = ()
