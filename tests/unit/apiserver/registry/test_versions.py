"""Versions of a kind beside the stored one: that the tables agree, and that what is empty stays so."""

import pytest

from pinnace.api import resources
from pinnace.apiserver.registry.table import VERSIONS

SERVED = [one for one in resources.RESOURCES if one.stored_in is not None]


def test_every_version_that_is_not_stored_has_a_conversion():
    """The table of resources says where objects are stored, the table of versions how to get there."""
    assert {(one.api_version, one.plural) for one in SERVED} == set(VERSIONS)


@pytest.mark.parametrize("resource", [pytest.param(one, id=f"{one.plural}.{one.version}") for one in SERVED])
def test_version_names_itself_on_either_side(resource):
    """Conversions set kind and apiVersion; discovery tells by its hash that both versions are stored alike."""
    stored = resources.stored(resource)
    assert stored.stored_in is None
    assert stored.storage_version_hash == resource.storage_version_hash
    version = VERSIONS[resource.api_version, resource.plural]
    inside = version.to_stored(version.default(resource.type()))
    assert (type(inside), inside.kind, inside.api_version) == (stored.type, stored.kind, stored.api_version)
    outside = version.to_served(inside)
    assert (type(outside), outside.kind, outside.api_version) == (resource.type, resource.kind, resource.api_version)
    assert version.to_stored(outside) == inside
