"""The three patches over plain trees."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.api import core_v1
from pinnace.api.patch_schema import list_keys
from pinnace.machinery.patch import json_patch, merge, strategic

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
MAPS = st.dictionaries(st.text("xyz", min_size=1, max_size=2), TREES, max_size=4)


def without_nulls(tree):
    if isinstance(tree, dict):
        return {key: without_nulls(value) for key, value in tree.items() if value is not None}
    return tree


@given(MAPS, MAPS)
def test_merge_patch_made_of_two_documents_leads_from_one_to_the_other(old, new):
    """A patch that `create` made turns the first document into the second, as far as nulls can say."""
    old, new = without_nulls(old), without_nulls(new)
    assert merge.apply(old, merge.create(old, new)) == new


@given(MAPS, MAPS)
def test_merge_patch_is_idempotent(tree, patch):
    """Applying it again changes nothing."""
    once = merge.apply(tree, patch)
    assert merge.apply(once, patch) == once


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        pytest.param([{"op": "add", "path": "/b", "value": 1}], {"a": [1, 2], "b": 1}, id="add"),
        pytest.param([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}, id="insert"),
        pytest.param([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9]}, id="append"),
        pytest.param([{"op": "remove", "path": "/a/0"}], {"a": [2]}, id="remove"),
        pytest.param([{"op": "remove", "path": "/a/-1"}], {"a": [1]}, id="remove-from-the-end"),
        pytest.param([{"op": "add", "path": "/a/-1", "value": 9}], {"a": [1, 2, 9]}, id="add-at-the-end"),
        pytest.param([{"op": "replace", "path": "/a/-2", "value": 9}], {"a": [9, 2]}, id="replace-from-the-end"),
        pytest.param([{"op": "replace", "path": "/a/0", "value": 7}], {"a": [7, 2]}, id="replace"),
        pytest.param([{"op": "replace", "path": "/new", "value": 7}], {"a": [1, 2], "new": 7}, id="replace-adds"),
        pytest.param([{"op": "move", "from": "/a", "path": "/c"}], {"c": [1, 2]}, id="move"),
        pytest.param([{"op": "copy", "from": "/a", "path": "/c"}], {"a": [1, 2], "c": [1, 2]}, id="copy"),
        pytest.param([{"op": "test", "path": "/a/0", "value": 1}], {"a": [1, 2]}, id="test"),
    ],
)
def test_json_patch_operations(operations, expected):
    """Each operation does what RFC 6902 says, and leaves its input alone."""
    tree = {"a": [1, 2]}
    assert json_patch.apply(tree, operations) == expected
    assert tree == {"a": [1, 2]}


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([{"op": "test", "path": "/a/0", "value": True}], id="true-is-no-1"),
        pytest.param([{"op": "remove", "path": "/x"}], id="missing"),
        pytest.param([{"op": "add", "path": "/x/y", "value": 1}], id="missing-parent"),
        pytest.param([{"op": "add", "path": "/a/9", "value": 1}], id="out-of-bounds"),
        pytest.param([{"op": "remove", "path": "/a/-3"}], id="out-of-bounds-from-the-end"),
        pytest.param([{"op": "leap", "path": "/a"}], id="unknown"),
        pytest.param([{"op": "add", "path": "/a"}], id="no-value"),
    ],
)
def test_json_patch_refuses_what_does_not_fit(operations):
    """One bad operation, and nothing happens."""
    with pytest.raises(json_patch.JsonPatchError):
        json_patch.apply({"a": [1, 2]}, operations)


def test_json_patch_copies_are_bounded():
    """A short patch cannot make a large document."""
    operations = [{"op": "copy", "from": "/a", "path": f"/b{number}"} for number in range(40)]
    with pytest.raises(json_patch.JsonPatchError, match="too much"):
        json_patch.apply({"a": "x" * 100_000}, operations)


def pod(*containers):
    return {"metadata": {"finalizers": ["a"]}, "spec": {"containers": list(containers)}}


@pytest.mark.parametrize(
    ("patch", "containers"),
    [
        pytest.param(
            [{"name": "a", "image": "2"}],
            [{"name": "a", "image": "2"}, {"name": "b", "image": "1"}],
            id="merge-by-name",
        ),
        pytest.param([{"name": "a", "$patch": "delete"}], [{"name": "b", "image": "1"}], id="delete-by-name"),
        pytest.param([{"$patch": "replace"}, {"name": "z"}], [{"name": "z"}], id="replace-the-list"),
    ],
)
def test_strategic_merge_knows_lists_by_their_key(patch, containers):
    """Lists of maps merge by the key that the type gives them."""
    before = pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"})
    after = strategic.apply(before, {"spec": {"containers": patch}}, list_keys(core_v1.Pod))
    assert after["spec"]["containers"] == containers
    assert before == pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"})


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param({"$patch": "frob"}, "unknown patch type: frob in map: map[$patch:frob]", id="map"),
        pytest.param(
            {"spec": {"containers": [{"name": "c", "$patch": "frob"}]}},
            "unknown patch type: frob in map: map[$patch:frob name:c]",
            id="item",
        ),
        pytest.param({"$retainKeys": ["a"], "b": 1}, "invalid patch format of retainKeys", id="not-retained"),
        pytest.param(
            {"metadata": {"$deleteFromPrimitiveList/finalizers": 1}},
            "invalid patch format of primitive list",
            id="primitives",
        ),
    ],
)
def test_strategic_merge_refuses_directives_in_upstreams_words(patch, message):
    """A directive that says nothing known is named."""
    with pytest.raises(ValueError, match=re.escape(message)):
        strategic.apply(pod({"name": "c"}), patch, list_keys(core_v1.Pod))


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"spec": {"containers": [{"name": ["c"]}]}}, id="list as the key"),
        pytest.param({"spec": {"containers": [{"name": {}}, {"name": "c"}]}}, id="map as the key"),
        pytest.param({"spec": {"containers": [{"name": "c", "$patch": ["delete"]}]}}, id="list as a directive"),
        pytest.param({"metadata": {"finalizers": [["a"]]}}, id="list in a list of texts"),
    ],
)
def test_strategic_merge_refuses_items_that_nothing_can_be_known_by(patch):
    """What should tell items apart is a scalar; anything else is the patch's mistake."""
    with pytest.raises((strategic.BadPatch, strategic.BadDirective)):
        strategic.apply(pod({"name": "c"}) | {"metadata": {"finalizers": ["a"]}}, patch, list_keys(core_v1.Pod))


def test_strategic_merge_of_primitives_and_maps():
    """Primitive lists become sets, items can be taken out, maps can be replaced whole."""
    schema = list_keys(core_v1.Pod)
    tree = {"metadata": {"finalizers": ["a"], "labels": {"x": "1"}}}
    assert strategic.apply(tree, {"metadata": {"finalizers": ["b", "a"]}}, schema)["metadata"]["finalizers"] in (
        ["a", "b"],
        ["b", "a"],
    )
    gone = strategic.apply(tree, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}, schema)
    assert "finalizers" not in gone["metadata"] or gone["metadata"]["finalizers"] == []
    replaced = strategic.apply(tree, {"metadata": {"labels": {"$patch": "replace", "y": "2"}}}, schema)
    assert replaced["metadata"]["labels"] == {"y": "2"}


def test_strategic_merge_refuses_unknown_directives():
    """A directive that is none is an error, not content."""
    with pytest.raises(strategic.BadDirective):
        strategic.apply(pod(), {"spec": {"$patch": "explode"}}, list_keys(core_v1.Pod))
