"""A write that would only move a time in managedFields is none."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from pinnace.api.core_v1 import ConfigMap
from pinnace.api.meta_v1 import ManagedFieldsEntry, ObjectMeta
from pinnace.apiserver.registry.managed_times import without_new_times


def entry(manager="a", time="t1", fields=b"{}"):
    return ManagedFieldsEntry(
        manager=manager,
        operation="Update",
        api_version="v1",
        time=time,
        fields_type="FieldsV1",
        fields_v1=Raw(fields),
    )


def config_map(*entries, **data):
    return ConfigMap(metadata=ObjectMeta(name="a", managed_fields=entries or None), data=data)


def test_times_alone_are_taken_back():
    """The object is the stored one again."""
    old = config_map(entry("a"), entry("b"), x="1")
    new = config_map(entry("a", "t2"), entry("b"), x="1")
    assert without_new_times(new, old) == old


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(config_map(entry("a", "t2"), x="2"), id="another-value"),
        pytest.param(config_map(entry("a", "t2", b'{"f:x":{}}'), x="1"), id="another-field-owned"),
        pytest.param(config_map(entry("a", "t2"), entry("b"), x="1"), id="another-manager-more"),
        pytest.param(config_map(entry("b", "t2"), x="1"), id="another-manager"),
        pytest.param(config_map(x="1"), id="nobody"),
    ],
)
def test_times_stay_where_something_else_has_changed(new):
    """Then the write is one, and the time is right."""
    old = config_map(entry("a"), x="1")
    assert without_new_times(new, old) is new


def test_times_of_a_new_list_are_left():
    """Tracking that begins is a change."""
    new = replace(config_map(entry("a", "t2"), x="1"))
    assert without_new_times(new, config_map(x="1")) is new
