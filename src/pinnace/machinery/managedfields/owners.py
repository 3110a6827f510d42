"""Managers, and what each of them owns: what a managedFields entry says.

Upstream: structured-merge-diff `fieldpath/managers.go`, apimachinery `util/managedfields/internal/managedfields.go`.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from pinnace.machinery.managedfields.sets import Tree


class Manager(NamedTuple):
    """Who: an apply's version is not a part of it, so that a manager may move on to another version."""

    operation: str
    name: str
    api_version: str
    subresource: str


class Owned(Struct, frozen=True):
    """What a manager owns, in terms of which version, and when it last took something (None: never said)."""

    fields: Tree
    api_version: str
    time: str | None = None


Managers: TypeAlias = Mapping[Manager, Owned]
