"""The versions that a kind is served in, as ownership needs them: each manager owns fields in terms of the version it last wrote.

Upstream: structured-merge-diff `merge/update.go` (Converter), apimachinery `util/managedfields/internal/versionconverter.go`.
"""

from abc import abstractmethod
from typing import Any, Protocol

from pinnace.machinery.managedfields.node import Node


class Inconvertible(Exception):
    """A tree has no other version: it is not of its type."""


class Versions(Protocol):
    """One kind's versions; asked by an apply only where managers speak another version than the write."""

    @abstractmethod
    def root(self, api_version: str) -> Node | None:
        """Return what is known of the fields in a version; None for one that the kind does not have."""

    @abstractmethod
    def convert(self, tree: Any, old: str, new: str) -> Any:
        """Return a tree of one version as another that the kind has shows it; the same tree for the same version.

        Raises:
            Inconvertible: the tree is not of the kind.
        """
