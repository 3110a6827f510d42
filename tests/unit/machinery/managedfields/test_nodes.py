"""How values of every shape are compared, merged, pruned and claimed.

A small schema has one field of each shape; Services, which have nearly all of them, are drawn at random for the laws.
"""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.api import codec, field_schema
from pinnace.api.core_v1 import Service, ServicePort, ServiceSpec
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.machinery.managedfields import ABSENT, NOTHING, sets
from pinnace.machinery.managedfields.lists import Key, KeyedList, ValueSet
from pinnace.machinery.managedfields.maps import Map, Member, Struct
from pinnace.machinery.managedfields.node import Atomic, Free, Items, Scalar


class Port(msgspec.Struct, frozen=True):
    port: int = 0
    protocol: str = ""
    name: str = ""


class Thing(msgspec.Struct, frozen=True):
    name: str = ""
    labels: dict[str, str] = {}
    ports: tuple[Port, ...] = ()
    finalizers: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


TEXT, NUMBER = Scalar("string"), Scalar("numeric")


def structure(cls, nodes):
    node = Struct(cls())
    members = [
        Member(f"f:{name}", name, msgspec.structs.fields(cls)[at].default, nodes[name]) for at, name in enumerate(nodes)
    ]
    node.fill([member._replace(zero=getattr(cls(), member.attribute)) for member in members], nodes)
    return node


PORT = structure(Port, {"port": NUMBER, "protocol": TEXT, "name": TEXT})
THING = structure(
    Thing,
    {
        "name": TEXT,
        "labels": Map(TEXT),
        "ports": KeyedList(PORT, [Key("port", "port", ABSENT), Key("protocol", "protocol", "TCP")]),
        "finalizers": ValueSet(TEXT),
        "args": Atomic(Items(TEXT)),
    },
)
TCP_80, UDP_80, TCP_443 = (
    f'k:{{"port":{port},"protocol":"{protocol}"}}' for port, protocol in ((80, "TCP"), (80, "UDP"), (443, "TCP"))
)
IT = {}


@pytest.mark.parametrize(
    ("old", "new", "changed", "removed"),
    [
        pytest.param({}, {"name": "a"}, {"f:name": IT}, None, id="scalar-appears"),
        pytest.param({"name": "a"}, {"name": "b"}, {"f:name": IT}, None, id="scalar-changes"),
        pytest.param({"name": "a"}, {}, None, {"f:name": IT}, id="scalar-goes"),
        pytest.param({}, {"labels": {"a": "1"}}, {"f:labels": {".": IT, "f:a": IT}}, None, id="map-appears"),
        pytest.param(
            {"labels": {"a": "1"}},
            {"labels": {"b": "1"}},
            {"f:labels": {"f:b": IT}},
            {"f:labels": {"f:a": IT}},
            id="key",
        ),
        pytest.param({"labels": {"a": "1"}}, {}, None, {"f:labels": {".": IT, "f:a": IT}}, id="map-goes"),
        pytest.param({"args": ["a"]}, {"args": ["a", "b"]}, {"f:args": IT}, None, id="atomic-list"),
        pytest.param(
            {"finalizers": ["a"]}, {"finalizers": ["b", "a"]}, {"f:finalizers": {'v:"b"': IT}}, None, id="set"
        ),
        pytest.param({"finalizers": ["a", "b"]}, {"finalizers": ["b", "a"]}, None, None, id="set-in-another-order"),
        pytest.param(
            {"ports": [{"port": 80}]},
            {"ports": [{"port": 80, "protocol": "UDP"}, {"port": 80, "name": "n"}]},
            {"f:ports": {UDP_80: {".": IT, "f:port": IT, "f:protocol": IT}, TCP_80: {"f:name": IT}}},
            None,
            id="item-with-a-default-in-its-name",
        ),
        pytest.param(
            {"ports": [{"port": 443}, {"port": 443}]},
            {"ports": [{"port": 443, "name": "n"}]},
            {"f:ports": {TCP_443: {".": IT, "f:port": IT, "f:name": IT}}},
            {"f:ports": {TCP_443: IT}},
            id="twin-goes",
        ),
        pytest.param(
            {"ports": [{"port": 443}]},
            {"ports": [{"port": 443}, {"port": 443}]},
            {"f:ports": {TCP_443: IT}},
            {"f:ports": {TCP_443: {".": IT, "f:port": IT}}},
            id="twin-comes",
        ),
    ],
)
def test_differences_of_trees_and_of_values_are_the_same(old, new, changed, removed):
    """What an update compares typed, an apply compares as trees."""
    assert THING.differences(old, new) == (changed, removed)
    assert THING.compare(msgspec.convert(old, Thing), msgspec.convert(new, Thing)) == (changed, removed)


@pytest.mark.parametrize(
    ("old", "new", "changed", "removed"),
    [
        pytest.param({"labels": None}, {"labels": {}}, {"f:labels": IT}, None, id="null-is-not-empty"),
        pytest.param({"labels": None}, {"labels": {"a": "1"}}, {"f:labels": {"f:a": IT}}, None, id="null-fills"),
        pytest.param({"labels": {"a": "1"}}, {"labels": None}, None, {"f:labels": {"f:a": IT}}, id="null-empties"),
        pytest.param({}, {"name": ""}, {"f:name": IT}, None, id="zero-that-is-written"),
        pytest.param(
            {"finalizers": None}, {"finalizers": ["a"]}, {"f:finalizers": {'v:"a"': IT}}, None, id="null-list"
        ),
        pytest.param({}, {"ports": []}, {"f:ports": IT}, None, id="empty-list"),
    ],
)
def test_differences_of_trees_know_null_and_zero(old, new, changed, removed):
    """A configuration may say what a stored object never does."""
    assert THING.differences(old, new) == (changed, removed)


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        pytest.param({"name": "a"}, {"labels": {"x": "1"}}, {"name": "a", "labels": {"x": "1"}}, id="fields-add-up"),
        pytest.param(
            {"labels": {"x": "1"}}, {"labels": {"y": "2"}}, {"labels": {"x": "1", "y": "2"}}, id="keys-add-up"
        ),
        pytest.param({"labels": {"x": "1"}}, {"labels": None}, {"labels": {"x": "1"}}, id="null-leaves-a-map"),
        pytest.param({"labels": {}}, {"labels": None}, {"labels": None}, id="null-over-nothing"),
        pytest.param({"name": "a"}, {"name": None}, {"name": None}, id="null-takes-a-scalar"),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}, id="atomic-is-replaced"),
        pytest.param({"finalizers": ["a", "b"]}, {"finalizers": ["c", "a"]}, {"finalizers": ["c", "a", "b"]}, id="set"),
        pytest.param(
            {"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]},
            {"ports": [{"port": 80, "name": "y"}]},
            {"ports": [{"port": 80, "protocol": "TCP", "name": "y"}]},
            id="item-by-its-key",
        ),
        pytest.param(
            {"ports": [{"port": 80}, {"port": 80}]},
            {"ports": [{"port": 80, "name": "y"}]},
            {"ports": [{"port": 80, "name": "y"}]},
            id="twins-are-replaced",
        ),
    ],
)
def test_merge_lays_a_configuration_over_what_is_there(live, config, merged):
    """What the configuration says comes to pass, and everything else stays."""
    assert THING.merge(live, config) == merged


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        pytest.param("abc", "abc", "abc", id="same"),
        pytest.param("abc", "cba", "cba", id="configuration-wins"),
        pytest.param("abcde", "db", "acdeb", id="others-keep-their-place"),
        pytest.param("abc", "xb", "axbc", id="new-before-its-neighbour"),
        pytest.param("abc", "bx", "abcx", id="new-behind-all"),
        pytest.param("", "ab", "ab", id="nothing-there"),
        pytest.param("ab", "xy", "abxy", id="strangers-come-last"),
    ],
)
def test_merge_orders_a_list(live, config, merged):
    """The configuration's order holds; items it does not know stay where they can."""
    node = ValueSet(TEXT)
    assert "".join(node.merge(list(live), list(config))) == merged


LETTERS = st.lists(st.sampled_from("abcdef"), unique=True)


@given(LETTERS, LETTERS)
def test_merged_lists_hold_all_in_the_configurations_order(live, config):
    """Nothing is lost, nothing comes twice, and the configuration's items are in its order."""
    merged = ValueSet(TEXT).merge(live, config)
    assert sorted(merged) == sorted({*live, *config})
    assert [item for item in merged if item in config] == config or not config


@given(LETTERS, LETTERS)
def test_merging_a_list_again_changes_nothing(live, config):
    """A merge is idempotent."""
    node = ValueSet(TEXT)
    merged = node.merge(live, config)
    assert node.merge(merged, config) == merged


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        pytest.param({"name": "a"}, {"f:name": IT}, id="scalar"),
        pytest.param({"labels": {"a": "1"}}, {"f:labels": {"f:a": IT}}, id="map-is-claimed-by-its-keys"),
        pytest.param({"labels": {}}, {"f:labels": IT}, id="empty-map-is-claimed-itself"),
        pytest.param({"labels": None}, {"f:labels": IT}, id="null-is-claimed"),
        pytest.param({"ports": []}, None, id="empty-list-claims-nothing"),
        pytest.param({"finalizers": ["a"]}, {"f:finalizers": {'v:"a"': IT}}, id="set"),
        pytest.param(
            {"ports": [{"port": 80}]},
            {"f:ports": {TCP_80: {".": IT, "f:port": IT}}},
            id="item-is-claimed-with-its-fields",
        ),
        pytest.param({"args": []}, {"f:args": IT}, id="atomic-list"),
    ],
)
def test_a_configuration_claims_what_it_names(config, fields):
    """Only leaves, items and what is empty are claimed, never the structs on the way."""
    assert THING.fields_of(config) == fields


@pytest.mark.parametrize(
    ("unwanted", "left"),
    [
        pytest.param(
            {"f:name": IT},
            {"labels": {"a": "1", "b": "2"}, "ports": [{"port": 80, "name": "n"}], "args": ["x"]},
            id="scalar",
        ),
        pytest.param(
            {"f:labels": {"f:a": IT}},
            {"name": "t", "labels": {"b": "2"}, "ports": [{"port": 80, "name": "n"}], "args": ["x"]},
            id="key",
        ),
        pytest.param(
            {"f:ports": {TCP_80: {"f:name": IT}}},
            {"name": "t", "labels": {"a": "1", "b": "2"}, "ports": [{"port": 80}], "args": ["x"]},
            id="within-an-item",
        ),
        pytest.param(
            {"f:ports": {TCP_80: {".": IT, "f:port": IT}}, "f:args": IT},
            {"name": "t", "labels": {"a": "1", "b": "2"}, "ports": None},
            id="last-item",
        ),
    ],
)
def test_fields_are_taken_out(unwanted, left):
    """Named fields and items go; a list that loses its last item is left as null."""
    tree = {"name": "t", "labels": {"a": "1", "b": "2"}, "ports": [{"port": 80, "name": "n"}], "args": ["x"]}
    assert THING.without(tree, unwanted) == left


def test_fields_on_the_way_are_named():
    """The structs' own fields count as named, a map's keys and a list's items do not."""
    fields = {"f:labels": {"f:a": IT}, "f:ports": {TCP_80: {"f:port": IT}}}
    assert THING.named(fields) == {
        "f:labels": {".": IT, "f:a": IT},
        "f:ports": {".": IT, TCP_80: {"f:port": IT}},
    }


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        pytest.param({"name": "a", "labels": None, "ports": [{"port": 1}]}, [], id="none"),
        pytest.param({"nope": 1}, [(".nope", "field not declared in schema")], id="unknown"),
        pytest.param({"name": 5}, [(".name", "expected string, got &value.valueUnstructured{Value:5}")], id="number"),
        pytest.param({"labels": ["a"]}, [(".labels", "expected map, got &{[a]}")], id="list"),
        pytest.param({"ports": {"a": 1}}, [(".ports", "expected list, got &{map[a:1]}")], id="map"),
        pytest.param(
            {"ports": [{"port": "a"}]},
            [('.ports[port="a",protocol="TCP"].port', "expected numeric (int or float), got string")],
            id="within-an-item",
        ),
        pytest.param({"ports": [{"name": "a"}]}, [], id="item-named-by-a-default"),
        pytest.param(
            {"ports": [None]},
            [(".ports", "element 0: associative list with keys may not have a null element")],
            id="null-item",
        ),
        pytest.param(
            {"ports": ["a"]},
            [(".ports", "element 0: associative list with keys may not have non-map elements")],
            id="scalar-item",
        ),
        pytest.param({"finalizers": ["a", "a"]}, [(".finalizers", 'duplicate entries for key [="a"]')], id="twice"),
        pytest.param(
            {"args": ["a", 1]},
            [(".args[1]", "expected string, got &value.valueUnstructured{Value:1}")],
            id="within-an-atomic-list",
        ),
    ],
)
def test_problems_are_named_as_upstream_names_them(config, problems):
    """A configuration that does not fit is told where and why."""
    assert list(THING.problems(config)) == problems
    assert THING.fits(config) is not bool(problems)


@pytest.mark.parametrize(
    ("item", "element"),
    [
        pytest.param({"port": 80, "protocol": "TCP"}, TCP_80, id="both"),
        pytest.param({"port": 80}, 'k:{"port":80}', id="one"),
        pytest.param({"protocol": "TCP", "port": 0}, 'k:{"port":0,"protocol":"TCP"}', id="zero"),
    ],
)
def test_items_are_named_by_the_keys_that_they_have(item, element):
    """Keys without a default may be left out, but not all of them."""
    node = KeyedList(PORT, [Key("port", "port", ABSENT), Key("protocol", "protocol", ABSENT)])
    assert list(node.fields_of([item]) or ()) == [element]
    (problem,) = node.problems([{"name": "a"}])
    assert problem.text == (
        'element 0: associative list with keys has an element that omits all key fields ["port" "protocol"] '
        "(and doesn't have default values for any key fields)"
    )


def test_free_json_has_no_problems():
    """Where the schema allows anything, anything goes, as one."""
    node = Free()
    assert list(node.problems({"a": [1]})) == []
    assert node.fits({"a": [1]})
    assert node.fields_of({"a": 1}) == IT
    assert node.merge({"a": 1}, {"b": 2}) == {"b": 2}


PORTS = st.lists(
    st.builds(
        ServicePort,
        port=st.integers(1, 3),
        protocol=st.sampled_from(("TCP", "UDP")),
        name=st.sampled_from(("", "n", "m")),
    ),
    max_size=3,
    unique_by=lambda port: (port.port, port.protocol),
).map(tuple)
TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=2)
OWNERS = st.lists(st.builds(OwnerReference, uid=st.sampled_from("uv"), name=st.sampled_from("no")), max_size=1).map(
    tuple
)
SERVICES = st.builds(
    Service,
    metadata=st.builds(
        ObjectMeta,
        labels=TEXTS,
        annotations=TEXTS,
        finalizers=st.lists(st.sampled_from("xyz"), unique=True, max_size=2).map(tuple),
        owner_references=OWNERS,
    ),
    spec=st.builds(
        ServiceSpec,
        ports=PORTS,
        selector=TEXTS,
        type=st.sampled_from(("", "ClusterIP")),
        external_ips=st.lists(st.sampled_from("12"), max_size=2).map(tuple),
    ),
)
SERVICE = field_schema.root(Service)


def tree_of(service):
    tree = codec.to_tree(service)
    tree.pop("kind", None)
    tree.pop("apiVersion", None)
    return tree


@given(SERVICES, SERVICES)
def test_services_compare_typed_as_they_do_as_trees(old, new):
    """For any two Services both ways of comparing find the same."""
    if tree_of(old) != tree_of(new):
        assert SERVICE.compare(old, new) == SERVICE.differences(tree_of(old), tree_of(new))


@given(SERVICES, SERVICES)
def test_what_changes_one_way_is_removed_the_other(old, new):
    """A path that comes with an edit goes with its reverse."""
    there, back = SERVICE.compare(old, new), SERVICE.compare(new, old)
    gone = back.removed or NOTHING
    assert sets.difference(there.removed or NOTHING, back.changed or NOTHING) == NOTHING
    assert sets.difference(gone, there.changed or NOTHING) == NOTHING


@given(SERVICES, SERVICES)
def test_merging_twice_is_merging_once(live, config):
    """An apply of the same configuration finds nothing to do."""
    merged = SERVICE.merge(tree_of(live), tree_of(config))
    assert SERVICE.merge(merged, tree_of(config)) == merged


@given(SERVICES)
def test_an_object_merged_into_itself_stays(service):
    """What is there already is no change."""
    assert SERVICE.merge(tree_of(service), tree_of(service)) == tree_of(service)


@given(SERVICES, SERVICES)
def test_a_merge_has_all_that_the_configuration_claims(live, config):
    """Whatever a manager claims is in the object afterwards."""
    merged = SERVICE.merge(tree_of(live), tree_of(config))
    claimed = SERVICE.named(SERVICE.fields_of(tree_of(config)) or NOTHING)
    assert sets.difference(claimed, SERVICE.all_in(merged)) == NOTHING
