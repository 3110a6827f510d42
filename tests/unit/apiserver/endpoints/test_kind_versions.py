"""One applier, several versions: what it named in one it can let go of in another."""

import pytest

from pinnace.api import resources
from pinnace.apiserver.endpoints.field_manager import FieldManager, place_of
from pinnace.apiserver.endpoints.kind_versions import versions_of
from pinnace.apiserver.endpoints.managed_entries import encode
from pinnace.machinery.managedfields import Inconvertible

NOW = 1_767_225_600.0
TARGET = {"kind": "Deployment", "name": "a"}


def resource(api_version, kind):
    found = resources.by_kind(api_version, kind)
    assert found is not None
    return found


V1, V2 = (resource(f"autoscaling/{one}", "HorizontalPodAutoscaler") for one in ("v1", "v2"))
EVENT, NEWER = resource("v1", "Event"), resource("events.k8s.io/v1", "Event")


def autoscaler(of, **spec):
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec}
    return {"apiVersion": of.api_version, "kind": of.kind, "metadata": {"name": "h"}, "spec": spec}


def event(of, **fields):
    return {"apiVersion": of.api_version, "kind": of.kind, "metadata": {"name": "e"}, **fields}


def metric(percent):
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


class History:
    """One object under applies in any version; its tree is kept in the version that wrote last."""

    def __init__(self):
        self.tree = None
        self.at = None
        self.entries = None

    def apply(self, of, config, name="m"):
        """Apply a configuration and return the tree."""
        live = {} if self.tree is None else versions_of(of).convert(self.tree, self.at, of.api_version)
        applied = FieldManager(place_of(of, ""), name, NOW).apply(self.entries, live, config, force=False)
        self.tree = live if applied.tree is None else applied.tree
        self.at, self.entries = of.api_version, encode(applied.managers, self.entries)
        return self.tree

    def owners(self):
        return {entry.manager: (entry.api_version, bytes(entry.fields_v1).decode()) for entry in self.entries or ()}


def test_apply_in_an_older_version_removes_what_it_let_go_of():
    """What version 2 calls metrics, version 1 calls a target; both sets are laid over trees of their own version."""
    history = History()
    history.apply(V2, autoscaler(V2, minReplicas=2, metrics=[metric(50)]))
    assert history.apply(V1, autoscaler(V1))["spec"] == autoscaler(V1)["spec"]
    assert history.owners()["m"][0] == "autoscaling/v1"


def test_apply_in_a_newer_version_removes_what_it_let_go_of():
    """The target of version 1 leaves no metric behind."""
    history = History()
    history.apply(V1, autoscaler(V1, minReplicas=2, targetCPUUtilizationPercentage=50))
    assert history.apply(V2, autoscaler(V2))["spec"] == autoscaler(V2)["spec"]


def test_apply_in_another_version_removes_what_only_the_former_can_say():
    """A behavior is an annotation in version 1; letting go of it there takes the annotation, and no other, away."""
    history = History()
    rules = {"stabilizationWindowSeconds": 7, "selectPolicy": "Max", "policies": []}
    config = autoscaler(V2, behavior={"scaleUp": rules})
    config["metadata"]["annotations"] = {"mine": "1"}
    history.apply(V2, config)
    again = autoscaler(V1)
    again["metadata"]["annotations"] = {"mine": "1"}
    assert history.apply(V1, again)["metadata"]["annotations"] == {"mine": "1"}


@pytest.mark.parametrize("other", [pytest.param(V1, id="same version"), pytest.param(V2, id="another version")])
def test_apply_in_another_version_leaves_what_others_own(other):
    """Whichever version the other speaks, its field stays, and what nobody else claims goes."""
    history = History()
    history.apply(V2, autoscaler(V2, minReplicas=2, metrics=[metric(50)]))
    mine = {"metrics": [metric(50)]} if other is V2 else {"targetCPUUtilizationPercentage": 50}
    history.apply(other, autoscaler(other, **mine), "other")
    left = history.apply(V1, autoscaler(V1))["spec"]
    assert left == autoscaler(V1, targetCPUUtilizationPercentage=50)["spec"]


def test_apply_in_another_version_that_names_the_same_changes_nothing():
    """The manager only moves on."""
    history = History()
    history.apply(V2, autoscaler(V2, minReplicas=2, metrics=[metric(50)]))
    config = autoscaler(V1, minReplicas=2, targetCPUUtilizationPercentage=50)
    assert history.apply(V1, config)["spec"] == config["spec"]
    assert history.owners()["m"] == (
        "autoscaling/v1",
        '{"f:spec":{"f:maxReplicas":{},"f:minReplicas":{},"f:scaleTargetRef":{},"f:targetCPUUtilizationPercentage":{}}}',
    )


@pytest.mark.parametrize(
    ("first", "fields", "second", "kept"),
    [
        pytest.param(
            EVENT, {"reason": "R", "message": "m", "count": 3}, NEWER, {"reason": "R"}, id="core to events.k8s.io"
        ),
        pytest.param(
            NEWER,
            {"reason": "R", "note": "m", "deprecatedCount": 3},
            EVENT,
            {"reason": "R"},
            id="events.k8s.io to core",
        ),
    ],
)
def test_apply_of_an_event_in_the_other_group_removes_what_it_let_go_of(first, fields, second, kept):
    """Names differ between the groups, the object does not."""
    history = History()
    history.apply(first, event(first, **fields))
    tree = history.apply(second, event(second, **kept))
    assert {key for key in ("reason", "note", "message", "count", "deprecatedCount") if tree.get(key)} == {"reason"}


def test_conversion_of_what_is_not_of_the_kind_is_told():
    """An apply then prunes nothing, as the object is refused anyway."""
    with pytest.raises(Inconvertible):
        versions_of(V1).convert(autoscaler(V1, maxReplicas="many"), "autoscaling/v1", "autoscaling/v2")
    assert versions_of(V1).root("autoscaling/v2beta1") is None
