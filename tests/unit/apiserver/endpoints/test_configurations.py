"""What an apply's body says, and what is said of one that is none."""

import pytest

from pinnace.api import field_schema
from pinnace.api.core_v1 import ConfigMap
from pinnace.api.resources import by_type
from pinnace.apiserver.endpoints import configurations
from pinnace.apiserver.endpoints.field_manager import place_of
from pinnace.machinery.errors import ApiError

PLACE = place_of(by_type(ConfigMap), "")
ROOT = field_schema.root(ConfigMap)
GOOD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}


@pytest.mark.parametrize(
    ("data", "tree"),
    [
        pytest.param(b'{"data": {"a": "b"}}', {"data": {"a": "b"}}, id="json"),
        pytest.param(b"data:\n  a: b\n", {"data": {"a": "b"}}, id="yaml"),
        pytest.param(b"", {}, id="nothing"),
        pytest.param(b"null", {}, id="null"),
    ],
)
def test_body_is_read(data, tree):
    """JSON and YAML say the same, and nothing says nothing."""
    assert configurations.parse(data).tree == tree


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param(b"[1]", "array", id="list"),
        pytest.param(b"true", "bool", id="truth"),
        pytest.param(b"a", "string", id="text"),
        pytest.param(b"12", "number", id="number"),
    ],
)
def test_body_that_is_no_map_is_refused(data, word):
    """The complaint is that of Go's decoder."""
    with pytest.raises(ApiError) as refused:
        configurations.parse(data)
    expected = (
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
        f"{word} into Go value of type map[string]interface {{}}"
    )
    assert (refused.value.code, refused.value.message) == (400, expected)


def test_keys_that_stand_twice_are_warned_of_or_refused():
    """As the client wants it: silence, a warning each, or no apply."""
    parsed = configurations.parse(b"data: {a: b}\ndata: {a: c}\n")
    assert configurations.complain(parsed, "Ignore") == []
    assert configurations.complain(parsed, "Warn") == ['line 2: key "data" already set in map']
    with pytest.raises(
        ApiError,
        match=r'error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 2: key "data"',
    ):
        configurations.complain(parsed, "Strict")


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        pytest.param({"kind": "Secret"}, 400, "invalid object type: /v1, Kind=Secret", id="kind"),
        pytest.param({"apiVersion": "apps/v1"}, 400, "invalid object type: apps/v1, Kind=ConfigMap", id="version"),
        pytest.param({"kind": 7}, 400, "invalid object type: /v1, Kind=", id="kind-that-is-no-text"),
        pytest.param(
            {"metadata": {"name": "a", "managedFields": []}}, 400, "metadata.managedFields must be nil", id="owners"
        ),
        pytest.param(
            {"nope": 1},
            500,
            "failed to create typed patch object (b/a; /v1, Kind=ConfigMap): .nope: field not declared in schema",
            id="unknown-field",
        ),
        pytest.param(
            {"data": {"a": 1}, "nope": 1},
            500,
            "failed to create typed patch object (b/a; /v1, Kind=ConfigMap): errors:\n"
            "  .data.a: expected string, got &value.valueUnstructured{Value:1}\n  .nope: field not declared in schema",
            id="several",
        ),
    ],
)
def test_configuration_of_another_shape_is_refused(changes, code, message):
    """Kind, owners and fields are looked at in this order."""
    with pytest.raises(ApiError) as refused:
        configurations.check({**GOOD, **changes}, PLACE, ROOT)
    assert (refused.value.code, refused.value.message) == (code, message)


def test_configuration_of_its_kind_passes():
    """Nothing is said of a good one."""
    configurations.check({**GOOD, "data": {"a": "b"}}, PLACE, ROOT)
