"""Who owns what after updates and applies: single steps as tables, and laws over random histories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pinnace.api import field_schema
from pinnace.api.core_v1 import ConfigMap, Service
from pinnace.machinery.managedfields import (
    APPLY,
    NOTHING,
    UPDATE,
    Change,
    Conflicts,
    Manager,
    Owned,
    Versions,
    Write,
    after_update,
    apply,
    sets,
)

ROOT = field_schema.root(ConfigMap)
SERVICE = field_schema.root(Service)
IT = {}


class OneVersion(Versions):
    """A kind in version v1 alone."""

    def __init__(self, root):
        self._root = root

    def root(self, api_version):
        return self._root if api_version == "v1" else None

    def convert(self, tree, old, new):
        return tree


def keep_all(fields):
    return fields


def write(operation, name, time="t1", ownable=keep_all, subresource=""):
    version = "" if operation == APPLY else "v1"
    return Write(Manager(operation, name, version, subresource), "v1", time, ownable)


def applied(managers, live, config, name="m", time="t1", root=ROOT, *, force=False):
    """Return the tree and the managers after an apply."""
    result = apply(managers, OneVersion(root), live, config, write(APPLY, name, time), force=force)
    return live if result.tree is None else result.tree, dict(result.managers)


def owners(managers):
    return {f"{manager.operation} {manager.name}": (owned.fields, owned.time) for manager, owned in managers.items()}


def updated(managers, old, new, name="m", time="t1", root=ROOT):
    """Return the managers after an update from one tree to another."""
    if old == new:
        return managers
    return dict(after_update(managers, root.differences(old, new), write(UPDATE, name, time)))


X1, X2, XY = {"data": {"x": "1"}}, {"data": {"x": "2"}}, {"data": {"x": "1", "y": "1"}}
X_AND_MAP, JUST_X, JUST_Y = {"f:data": {".": IT, "f:x": IT}}, {"f:data": {"f:x": IT}}, {"f:data": {"f:y": IT}}


def test_update_gives_its_manager_what_it_changed():
    """The first owns what it made, the map itself included; the second what it added."""
    managers = updated({}, {}, X1, "a")
    managers = updated(managers, X1, XY, "b", "t2")
    assert owners(managers) == {"Update a": (X_AND_MAP, "t1"), "Update b": (JUST_Y, "t2")}


def test_update_takes_what_it_changes_from_all_others():
    """A manager that owns nothing any longer is gone."""
    managers = updated({}, {"data": {}}, X1, "a")
    managers = updated(managers, X1, X2, "b", "t2")
    assert owners(managers) == {"Update b": (JUST_X, "t2")}


def test_update_takes_what_it_removes_from_everybody():
    """What is not there is owned by nobody, not even by who removed it."""
    managers = updated({}, {}, XY, "a")
    managers = updated(managers, XY, X1, "a", "t2")
    assert owners(managers) == {"Update a": (X_AND_MAP, "t1")}


def test_update_that_changes_nothing_hands_back_the_managers():
    """So that nothing is written."""
    managers = updated({}, {}, X1, "a")
    assert after_update(managers, Change(None, None), write(UPDATE, "b")) is managers


def test_update_of_what_the_server_keeps_makes_no_owner():
    """Names and versions belong to nobody."""
    old, new = {"metadata": {"name": "a"}}, {"metadata": {"name": "a", "resourceVersion": "5"}}
    managers = after_update({}, ROOT.differences(old, new), write(UPDATE, "a"))
    assert managers == {}


def test_update_owns_only_what_its_path_can_own():
    """Fields that a path resets are not its writers'."""
    change = Change({"f:spec": {"f:a": IT}, "f:status": {"f:b": IT}}, None)

    def without_status(fields):
        return sets.without_branches(fields, {"f:status": IT})

    managers = after_update({}, change, write(UPDATE, "a", ownable=without_status))
    assert owners(managers) == {"Update a": ({"f:spec": {"f:a": IT}}, "t1")}


def test_managers_of_updates_are_capped_at_ten():
    """The oldest two become one, which has the time of the younger."""
    managers, old = {}, {"data": {}}
    for number in range(11):
        new = {"data": {**old["data"], f"k{number:02}": ""}}
        managers = updated(managers, old, new, f"m{number:02}", f"t{number:02}")
        old = new
    assert len(managers) == 10
    assert owners(managers)["Update ancient-changes"] == ({"f:data": {"f:k00": IT, "f:k01": IT}}, "t01")
    managers = updated(managers, old, {"data": {**old["data"], "z": ""}}, "m11", "t11")
    assert owners(managers)["Update ancient-changes"] == ({"f:data": {"f:k00": IT, "f:k01": IT, "f:k02": IT}}, "t02")


def test_appliers_are_not_capped():
    """Only updates come in any number of names."""
    managers, live = {}, {}
    for number in range(12):
        live, managers = applied(managers, live, {"data": {f"k{number}": ""}}, f"m{number}")
    assert len(managers) == 12


def test_apply_owns_exactly_what_it_names():
    """Not the map, and none of what else is there."""
    tree, managers = applied({}, {"data": {"y": "1"}}, X1)
    assert tree == {"data": {"y": "1", "x": "1"}}
    assert owners(managers) == {"Apply m": (JUST_X, "t1")}


def test_apply_again_changes_nothing():
    """The tree is the live one, the time the old one."""
    live, managers = applied({}, {}, X1)
    result = apply(managers, OneVersion(ROOT), live, X1, write(APPLY, "m", "t2"))
    assert result.tree is None
    assert result.managers == managers


def test_apply_shares_a_field_of_the_same_value():
    """Two may claim a field as long as they agree; whoever comes later without a change has no time."""
    live, managers = applied({}, {}, X1, "one")
    tree, managers = applied(managers, live, X1, "two", "t2")
    assert tree == live
    assert owners(managers) == {"Apply one": (JUST_X, "t1"), "Apply two": (JUST_X, None)}


@pytest.mark.parametrize("operation", [APPLY, UPDATE])
def test_apply_conflicts_over_another_value(operation):
    """Neither an applier's nor an updater's field is changed unasked."""
    managers = {write(operation, "one").manager: Owned(JUST_X, "v1", "t1")}
    with pytest.raises(Conflicts) as caught:
        applied(managers, X1, X2, "two")
    assert [(conflict.manager.name, conflict.path) for conflict in caught.value.conflicts] == [
        ("one", ("f:data", "f:x"))
    ]


def test_apply_by_force_takes_the_field():
    """The former owner keeps the rest."""
    live, managers = applied({}, {}, XY, "one")
    tree, managers = applied(managers, live, X2, "two", "t2", force=True)
    assert tree == {"data": {"x": "2", "y": "1"}}
    assert owners(managers) == {"Apply one": (JUST_Y, "t1"), "Apply two": (JUST_X, "t2")}


def test_apply_without_a_field_removes_it():
    """What nobody claims any longer goes, and a map that is left empty with it."""
    live, managers = applied({}, {}, XY)
    tree, managers = applied(managers, live, X1, time="t2")
    assert tree == X1
    assert owners(managers) == {"Apply m": (JUST_X, "t2")}
    tree, managers = applied(managers, tree, {"data": {}}, time="t3")
    assert owners(managers) == {"Apply m": ({"f:data": IT}, "t3")}


@pytest.mark.parametrize("operation", [APPLY, UPDATE])
def test_apply_without_a_field_leaves_what_others_own(operation):
    """Letting go of a field that somebody else owns only ends the ownership."""
    live, managers = applied({}, {}, XY)
    managers[write(operation, "other").manager] = Owned(JUST_Y, "v1", "t0")
    tree, managers = applied(managers, live, X1, time="t2")
    assert tree == live
    assert owners(managers) == {f"{operation} other": (JUST_Y, "t0"), "Apply m": (JUST_X, "t1")}


def test_apply_takes_its_item_with_what_others_put_into_it():
    """Only who owns an item itself keeps it; owning one of its fields is not enough."""
    port = {"port": 80, "protocol": "TCP"}
    live, managers = applied({}, {}, {"spec": {"ports": [port]}}, "one", root=SERVICE)
    both = {"spec": {"ports": [{**port, "nodePort": 30000}]}}
    managers = updated(managers, live, both, "other", "t2", SERVICE)
    tree, managers = applied(managers, both, {"spec": {"type": "ClusterIP"}}, "one", "t3", SERVICE)
    assert tree == {"spec": {"ports": None, "type": "ClusterIP"}}
    assert owners(managers) == {"Apply one": ({"f:spec": {"f:type": IT}}, "t3")}


def test_apply_removes_an_item_with_its_defaults():
    """What the server filled in belongs to nobody and goes with the item."""
    config = {"spec": {"ports": [{"port": 80}, {"port": 443}]}}
    live, managers = applied({}, {}, config, root=SERVICE)
    live = {"spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}]}}
    tree, _ = applied(managers, live, {"spec": {"ports": [{"port": 443}]}}, time="t2", root=SERVICE)
    assert tree == {"spec": {"ports": [{"port": 443, "protocol": "TCP"}]}}


def test_apply_that_claims_more_without_a_change_keeps_its_time():
    """Time tells of changes to the object, not to the claims."""
    live, managers = applied({}, {"data": {"y": "1"}}, X1)
    _, managers = applied(managers, live, XY, time="t2")
    assert owners(managers) == {"Apply m": (sets.union(JUST_X, JUST_Y), "t1")}


def test_apply_moves_its_manager_to_another_version():
    """An applier is the same in every version; what it owned in one that there is no more stays."""
    managers = {write(APPLY, "m").manager: Owned(JUST_Y, "v1beta1", "t1")}
    result = apply(managers, OneVersion(ROOT), XY, X2, replace(write(APPLY, "m", "t2"), api_version="v1"))
    assert result.tree == {"data": {"x": "2", "y": "1"}}
    assert [owned.api_version for owned in result.managers.values()] == ["v1"]


KEYS = "abc"
DATA = st.dictionaries(st.sampled_from(KEYS), st.sampled_from("12"), max_size=3)
CONFIGS = st.fixed_dictionaries({"data": DATA})
STEPS = st.lists(st.tuples(st.sampled_from(("apply", "force", "update")), st.sampled_from("mno"), CONFIGS), max_size=8)


def played(steps):
    """Return the tree and managers after a history, each step at its own time."""
    live, managers = {"data": {}}, {}
    for at, (kind, name, tree) in enumerate(steps):
        if kind == "update":
            managers = updated(managers, live, tree, name, f"t{at}")
            live = tree
            continue
        try:
            live, managers = applied(managers, live, tree, name, f"t{at}", force=kind == "force")
        except Conflicts:
            continue
    return live, managers


@given(STEPS)
def test_histories_leave_no_manager_without_fields(steps):
    """Who owns nothing is not remembered."""
    _, managers = played(steps)
    assert all(owned.fields for owned in managers.values())


@given(STEPS)
def test_histories_leave_no_owner_of_what_is_not_there(steps):
    """Every field that somebody owns is in the object."""
    live, managers = played(steps)
    there = ROOT.named(ROOT.all_in(live))
    for owned in managers.values():
        assert sets.difference(owned.fields, there) == NOTHING


@given(STEPS, CONFIGS)
def test_a_forced_apply_always_comes_true(steps, config):
    """Whatever went before, the configuration is in the object and its manager owns what it names."""
    live, managers = played(steps)
    tree, managers = applied(managers, live, config, "z", "tz", force=True)
    assert {**(tree.get("data") or {}), **config["data"]} == (tree.get("data") or {})
    claimed = ROOT.fields_of(config)
    assert managers[write(APPLY, "z").manager].fields == claimed


@given(STEPS, CONFIGS)
def test_an_apply_repeated_is_none(steps, config):
    """The second of two equal applies changes neither object nor owners."""
    live, managers = played(steps)
    live, managers = applied(managers, live, config, "z", "tz", force=True)
    again = apply(managers, OneVersion(ROOT), live, config, write(APPLY, "z", "t-later"))
    assert again.tree is None
    assert again.managers == managers


@given(STEPS, CONFIGS)
def test_a_change_by_update_is_owned_by_its_manager_alone(steps, new):
    """What an update sets is nobody else's from then on."""
    live, managers = played(steps)
    if live == new:
        return
    changed = ROOT.differences(live, new).changed or NOTHING
    after = updated(managers, live, new, "z", "tz")
    for manager, owned in after.items():
        shared = sets.intersection(owned.fields, changed)
        assert shared == (changed if manager.name == "z" else NOTHING)


@given(CONFIGS, CONFIGS, CONFIGS)
def test_an_applier_that_lets_go_undoes_what_it_did(others, first, second):
    """After a second apply there is what others put there and what the second says, and nothing of the first."""
    live = others
    managers = updated({}, {}, others, "other", "t0")
    live, managers = applied(managers, live, first, "z", "t1", force=True)
    tree, _ = applied(managers, live, second, "z", "t2", force=True)
    gone = {key for key in first["data"] if key not in second["data"] and key not in others["data"]}
    kept = {key: value for key, value in others["data"].items() if key not in first["data"]}
    data = tree.get("data") or {}
    assert not gone & set(data)
    assert {**data, **kept, **second["data"]} == data
