"""What a create, an update and an apply of real objects do to managedFields."""

from msgspec import Raw
from msgspec.structs import replace

from pinnace.api import codec, resources
from pinnace.api.core_v1 import ConfigMap, Container, Pod, PodCondition, PodSpec, PodStatus
from pinnace.api.meta_v1 import ManagedFieldsEntry, ObjectMeta
from pinnace.apiserver.endpoints.field_manager import FieldManager, place_of
from pinnace.apiserver.endpoints.managed_entries import encode

THEN, NOW = 1_767_225_600.0, 1_767_225_660.0
PODS = resources.by_type(Pod)
MAPS = resources.by_type(ConfigMap)


def manager(name="m", resource=MAPS, subresource="", now=THEN):
    return FieldManager(place_of(resource, subresource), name, now)


def config_map(data, **metadata):
    return ConfigMap(kind="ConfigMap", api_version="v1", metadata=ObjectMeta(name="a", uid="u", **metadata), data=data)


def owners(obj):
    return {entry.manager: bytes(entry.fields_v1).decode() for entry in obj.metadata.managed_fields or ()}


def test_create_owns_all_that_was_sent():
    """The maps themselves, too; names and versions are nobody's."""
    created = manager("a")(config_map({"x": "1"}, labels={"l": "1"}), None)
    assert owners(created) == {"a": '{"f:data":{".":{},"f:x":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}}'}
    assert created.metadata.managed_fields[0].time == "2026-01-01T00:00:00Z"


def test_create_of_nothing_has_no_owner():
    """An object without a field beside its name has no entry."""
    assert manager()(config_map({}), None).metadata.managed_fields is None


def test_create_keeps_owners_that_are_sent_along():
    """A restored object keeps its history, and what else it has is its creator's."""
    sent = ManagedFieldsEntry(
        manager="old",
        operation="Update",
        api_version="v1",
        fields_type="FieldsV1",
        fields_v1=Raw(b'{"f:data":{"f:x":{}}}'),
    )
    created = manager("new")(config_map({"x": "1"}, managed_fields=(sent,)), None)
    assert owners(created) == {"new": '{"f:data":{".":{},"f:x":{}}}'}


def test_update_that_changes_nothing_hands_back_the_entries():
    """The very same ones, so that the object is the stored one."""
    stored = manager("a")(config_map({"x": "1"}), None)
    again = manager("b", now=NOW)(config_map({"x": "1"}), stored)
    assert again.metadata.managed_fields is stored.metadata.managed_fields


def test_update_through_a_subresource_ignores_owners_that_are_sent():
    """Only a write of the object itself may rewrite them; times that are written as null are owned like others."""
    pod = Pod(metadata=ObjectMeta(name="p", uid="u"), spec=PodSpec(containers=(Container(name="c"),)))
    stored = manager("a", PODS)(pod, None)
    condition = PodCondition(type="Ready", status="True")
    sent = replace(
        stored,
        metadata=replace(stored.metadata, managed_fields=()),
        status=PodStatus(conditions=(condition,)),
    )
    written = manager("b", PODS, "status", NOW)(sent, stored)
    assert owners(written)["a"] == owners(stored)["a"]
    assert owners(written)["b"] == (
        '{"f:status":{"f:conditions":{".":{},"k:{\\"type\\":\\"Ready\\"}":{".":{},"f:lastProbeTime":{},'
        '"f:lastTransitionTime":{},"f:status":{},"f:type":{}}}}}'
    )
    assert written.metadata.managed_fields[1].subresource == "status"


def test_update_of_an_untracked_object_begins_nothing():
    """Tracking begins with a create or an apply."""
    assert manager()(config_map({"x": "2"}), config_map({"x": "1"})).metadata.managed_fields is None


def test_apply_of_an_untracked_object_names_who_was_there_before():
    """All that it has, but for what is nobody's, is owned by a stand-in."""
    live = codec.to_tree(config_map({"x": "1"}))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"y": "1"}}
    applied = manager("m").apply(None, live, config, force=False)
    entries = encode(applied.managers, None)
    assert [(entry.manager, entry.operation, bytes(entry.fields_v1)) for entry in entries or ()] == [
        ("m", "Apply", b'{"f:data":{"f:y":{}}}'),
        ("before-first-apply", "Update", b'{"f:data":{".":{},"f:x":{}}}'),
    ]
    assert applied.tree["data"] == {"x": "1", "y": "1"}
