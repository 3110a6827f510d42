"""The versions of a built-in kind, and its objects and trees in each of them.

Conversions go by way of the stored version and fill in nothing, so that a field which one version lacks stays away in the other.
Upstream: apimachinery `util/managedfields/internal/versionconverter.go`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pinnace.api import codec, field_schema, resources
from pinnace.api.resources import Resource, StructType
from pinnace.apiserver.registry.table import VERSIONS
from pinnace.machinery.managedfields import Inconvertible, Versions
from pinnace.machinery.managedfields.maps import Struct as StructNode


def _same(obj: Any) -> Any:
    return obj


class Form(Struct, frozen=True):
    """What a kind is in one version, and how to get there from the stored one and back."""

    type: StructType
    to_stored: Callable[[Any], Any] = _same
    to_served: Callable[[Any], Any] = _same


class KindVersions(Versions):
    """The forms of a kind, by apiVersion."""

    def __init__(self, forms: Mapping[str, Form]) -> None:
        self._forms = forms

    def root(self, api_version: str) -> StructNode | None:
        """Return what is known of the fields in a version; None for one that the kind does not have."""
        form = self._forms.get(api_version)
        return None if form is None else field_schema.root(form.type)

    def view(self, obj: Any, old: str, new: str) -> Any:
        """Return an object of one version as another shows it."""
        return obj if old == new else self._forms[new].to_served(self._forms[old].to_stored(obj))

    def convert(self, tree: Any, old: str, new: str) -> Any:
        """Return a tree of one version as another shows it; the same tree for the same version.

        Raises:
            Inconvertible: the tree is not of the kind.
        """
        if old == new:
            return tree
        try:
            obj = codec.convert(self._forms[old].type, tree)
        except msgspec.ValidationError as error:
            raise Inconvertible from error
        return codec.to_tree(self.view(obj, old, new))


def versions_of(resource: Resource) -> KindVersions:
    """Return the versions that the kind of a resource is served in."""
    stored = resources.stored(resource)
    forms = {stored.api_version: Form(stored.type)}
    for (api_version, plural), version in VERSIONS.items():
        group, _, name = api_version.rpartition("/")
        other = resources.by_path(group, name, plural)
        if other is not None and resources.stored(other) is stored:
            forms[api_version] = Form(other.type, version.to_stored, version.to_served)
    return KindVersions(forms)
