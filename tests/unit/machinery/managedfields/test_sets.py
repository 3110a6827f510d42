"""Sets of fields: their laws, checked against plain sets of paths, and how they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.machinery.codec import bounds
from pinnace.machinery.managedfields import NOTHING, sets

ELEMENTS = ("f:a", "f:b", 'k:{"name":"x"}', 'k:{"name":"y"}', 'v:"z"', "i:0")
PATHS = st.frozensets(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4).map(tuple), max_size=8)


def tree_of(paths):
    """Build the tree of a set of paths as FieldsV1 has it."""
    tree = {}
    for path in paths:
        at = tree
        for element in path:
            at = at.setdefault(element, {})
        at["."] = {}
    return sets.decode(sets.encode(tree))


def paths_of(tree):
    return frozenset(sets.paths(tree))


def starts_with(path, prefix):
    return path[: len(prefix)] == prefix


@given(PATHS)
def test_sets_keep_their_paths(paths):
    """What is put into a set is what is in it, whatever form the tree takes."""
    assert paths_of(tree_of(paths)) == paths


@given(PATHS)
def test_sets_read_what_they_write(paths):
    """A set is the same after a round trip."""
    tree = tree_of(paths)
    assert sets.decode(sets.encode(tree)) == tree


@given(PATHS, PATHS)
def test_sets_do_what_sets_do(first, second):
    """Union, difference and intersection are those of the sets of paths, in the one form that a set has."""
    one, two = tree_of(first), tree_of(second)
    assert sets.union(one, two) == tree_of(first | second)
    assert sets.difference(one, two) == tree_of(first - second)
    assert sets.intersection(one, two) == tree_of(first & second)


@given(PATHS, PATHS)
def test_sets_that_do_not_change_are_handed_back(first, second):
    """An operation that changes nothing returns its very argument, so that nothing is written anew."""
    one, two = tree_of(first), tree_of(second)
    if second <= first:
        assert sets.union(one, two) is one or not first
    if not first & second:
        assert sets.difference(one, two) is one


@given(PATHS, PATHS)
def test_sets_leave_their_arguments_alone(first, second):
    """Trees are shared, so no operation may change one."""
    one, two = tree_of(first), tree_of(second)
    before = sets.encode(one), sets.encode(two)
    for operation in (sets.union, sets.difference, sets.intersection, sets.without_branches, sets.only_matching):
        operation(one, two)
    assert (sets.encode(one), sets.encode(two)) == before


@given(PATHS, PATHS)
def test_branches_are_taken_out_with_all_below(first, branches):
    """Of a set less branches there is left what none of them is a prefix of."""
    kept = {path for path in first if not any(starts_with(path, branch) for branch in branches)}
    shortest = {path for path in branches if not any(starts_with(path, other) and path != other for other in branches)}
    assert paths_of(sets.without_branches(tree_of(first), tree_of(shortest))) == kept


@given(PATHS, PATHS.filter(bool))
def test_a_pattern_lets_through_the_way_to_it_and_all_below(first, patterns):
    """Of a set there is left what leads to the end of a pattern and what is below one."""
    shortest = {path for path in patterns if not any(starts_with(path, other) and path != other for other in patterns)}
    kept = {path for path in first if any(starts_with(path, end) or starts_with(end, path) for end in shortest)}
    assert paths_of(sets.only_matching(tree_of(first), tree_of(shortest))) == kept


def test_a_pattern_may_leave_an_element_open():
    """A star stands for any element: of each container only the resources."""
    fields = {
        "f:spec": {
            "f:containers": {
                'k:{"name":"a"}': {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}},
                'k:{"name":"b"}': {"f:image": {}},
            }
        }
    }
    pattern = {"f:spec": {"f:containers": {"*": {"f:resources": {}}}}}
    assert sets.only_matching(fields, pattern) == {
        "f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:resources": {"f:limits": {}}}}}
    }


@given(PATHS, st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4).map(tuple))
def test_sets_tell_what_is_in_them(paths, path):
    """A path is in a set, or it is not."""
    assert sets.has_path(tree_of(paths), path) == (path in paths)


def test_paths_come_in_upstreams_order():
    """Fields before keys before values, those that end before those that go on, numbers by value."""
    fields = sets.decode(
        b'{"f:b":{},"f:a":{"f:z":{}},"v:10":{},"v:9":{},"k:{\\"port\\":443}":{".":{}},"k:{\\"port\\":80}":{".":{}}}'
    )
    assert list(sets.paths(fields)) == [
        ("f:b",),
        ('k:{"port":80}',),
        ('k:{"port":443}',),
        ("v:9",),
        ("v:10",),
        ("f:a", "f:z"),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(("f:spec", "f:replicas"), ".spec.replicas", id="fields"),
        pytest.param(("f:ports", 'k:{"port":80,"protocol":"TCP"}'), '.ports[port=80,protocol="TCP"]', id="key"),
        pytest.param(("f:finalizers", 'v:"a/b"'), '.finalizers[="a/b"]', id="value"),
        pytest.param(("f:a", "i:3"), ".a[3]", id="index"),
    ],
)
def test_paths_read_as_upstreams(path, text):
    """Messages name a path as upstream's do."""
    assert sets.path_text(path) == text


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"x:a":{}}', id="unknown-element"),
        pytest.param(b'{"f:a":1}', id="number"),
        pytest.param(b"{", id="no-json"),
        pytest.param(b'{"f:a":' * 300 + b"{}" + b"}" * 300, id="deeper-than-any-kind"),
        pytest.param(b'{"f:a":' * 100_000 + b"{}" + b"}" * 100_000, id="nothing-but-brackets"),
    ],
)
def test_sets_that_are_none_are_refused(data):
    """Entries come from clients, so what cannot be read is told apart."""
    with pytest.raises(ValueError):
        sets.decode(data)


def test_deep_sets_are_read_in_one_pass():
    """Each level is looked at once: twice would double the time with every level."""
    depth = bounds.DEPTH_LIMIT
    assert len(next(sets.paths(sets.decode(b'{"f:a":' * depth + b"{}" + b"}" * depth)))) == depth


@pytest.mark.parametrize("data", [b"", b"{}", b"null"])
def test_no_fields_are_the_empty_set(data):
    """An entry may own nothing."""
    assert sets.decode(data) == NOTHING
