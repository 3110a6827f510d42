"""managedFields between the wire and the rules of ownership."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from pinnace.api.meta_v1 import ManagedFieldsEntry
from pinnace.apiserver.endpoints.managed_entries import decode, encode, is_reset
from pinnace.machinery.managedfields import APPLY, UPDATE, Manager, Owned


def entry(manager="m", operation=UPDATE, time="2026-01-01T00:00:00Z", fields=b'{"f:data":{"f:a":{}}}', **more):
    return ManagedFieldsEntry(
        manager=manager,
        operation=operation,
        api_version=more.pop("api_version", "v1"),
        time=time,
        fields_type="FieldsV1",
        fields_v1=Raw(fields),
        **more,
    )


def test_entries_are_the_same_after_a_round_trip():
    """Each keeps its very bytes, even where they are not as they would be written now."""
    entries = (entry("a", APPLY, fields=b'{ "f:x": {} }'), entry("b"))
    again = encode(decode(entries), entries)
    assert again == entries
    assert all(new is old for new, old in zip(again, entries, strict=True))


def test_entries_of_an_applier_are_one_in_any_version():
    """An updater is another one in another version."""
    assert list(decode((entry("a", APPLY), entry("b")))) == [
        Manager(APPLY, "a", "", ""),
        Manager(UPDATE, "b", "v1", ""),
    ]


def test_entries_stand_in_upstreams_order():
    """Applies first, older ones first, those without a time before all; then by name, version and subresource."""
    managers = decode((
        entry("z", time=None),
        entry("b", time="2026-01-02T00:00:00Z"),
        entry("c", subresource="status"),
        entry("c"),
        entry("a"),
        entry("y", APPLY, time="2026-01-03T00:00:00Z"),
    ))
    assert [(found.manager, found.subresource) for found in encode(managers, None) or ()] == [
        ("y", ""),
        ("z", ""),
        ("a", ""),
        ("c", ""),
        ("c", "status"),
        ("b", ""),
    ]


def test_entries_change_in_what_has_changed():
    """A new time leaves the bytes of the fields; new fields are written anew."""
    before = (entry("a"),)
    (manager, owned), *_ = decode(before).items()
    later = encode({manager: Owned(owned.fields, "v1", "2027-01-01T00:00:00Z")}, before)
    assert later == (replace(before[0], time="2027-01-01T00:00:00Z"),)
    other = encode({manager: Owned({"f:b": {}}, "v1", owned.time)}, before)
    assert other == (entry("a", fields=b'{"f:b":{}}'),)


def test_no_owners_are_no_entries():
    """The field is left out, not empty."""
    assert encode({}, (entry(),)) is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(replace(entry(), operation="Frob"), "operation must be `Apply` or `Update`", id="operation"),
        pytest.param(replace(entry(), api_version=""), "apiVersion must not be empty", id="version"),
        pytest.param(replace(entry(), fields_type=""), "missing fieldsType in managed fields entry 1", id="no-type"),
        pytest.param(
            replace(entry(), fields_type="V2"), 'invalid fieldsType "V2" in managed fields entry 1', id="unknown-type"
        ),
        pytest.param(replace(entry(), fields_v1=Raw(b'{"x":{}}')), "invalid path element x", id="fields"),
    ],
)
def test_malformed_entries_are_refused(bad, message):
    """One bad entry spoils all, in upstream's words."""
    with pytest.raises(ValueError, match=message):
        decode((entry("a"), bad))


@pytest.mark.parametrize(
    ("entries", "asked"),
    [
        pytest.param(None, False, id="absent"),
        pytest.param((), True, id="empty"),
        pytest.param((ManagedFieldsEntry(),), True, id="one-empty-entry"),
        pytest.param((ManagedFieldsEntry(), ManagedFieldsEntry()), False, id="two-empty-entries"),
        pytest.param((entry(),), False, id="an-entry"),
    ],
)
def test_a_client_may_ask_to_forget_all_owners(entries, asked):
    """It sends an empty list, or one empty entry."""
    assert is_reset(entries) is asked
