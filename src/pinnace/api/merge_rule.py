"""How lists and maps of the API merge: the shape of one row of `merge_rules.RULES`."""

from typing import NamedTuple


class Rule(NamedTuple):
    """What the schema says of one field.

    Attributes:
        patch_strategy: strategic merge: "merge", "replace", "retainKeys", or several joined by commas.
        patch_merge_key: strategic merge: the key that identifies an item of a merged list; empty for lists of primitives.
        kind: server-side apply: "atomic", "set", "map" (of a list), "granular" (of a map), or empty.
        keys: server-side apply: the keys that identify an item of a list of kind "map".
    """

    patch_strategy: str
    patch_merge_key: str
    kind: str
    keys: tuple[str, ...]
