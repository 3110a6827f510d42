"""Event: one object in two shapes, with the rules that each holds it to."""

import pytest
from msgspec.structs import replace
from tests.support.kind_rules import Rules, changed
from tests.support.manifests import manifest

from pinnace.api import codec, resources
from pinnace.apiserver.registry.events import event as events_event
from pinnace.apiserver.registry.table import STRATEGIES

NEWER = resources.by_path("events.k8s.io", "v1", "events")
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
TIME = "2026-01-02T03:04:05.000000Z"


def sent(changes):
    """Return an event that was sent in the newer shape, as it is stored."""
    return events_event.to_stored(codec.convert(NEWER.type, changed(manifest(NEWER), changes)))


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="about a pod beside it"),
        pytest.param(
            {"involvedObject.namespace": "other"},
            ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
            id="about another namespace",
        ),
        pytest.param({"involvedObject": {"kind": "Node", "name": "n"}}, [], id="about a node, in default"),
        pytest.param(
            {"involvedObject": {"kind": "Node", "name": "n"}, "metadata.namespace": "kube-system"},
            ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
            id="old event about a node, elsewhere",
        ),
        pytest.param(
            {
                "involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"},
                "eventTime": TIME,
                "reportingComponent": "a b",
                "reportingInstance": "i" * 129,
                "action": "a" * 129,
                "reason": "",
                "message": "m" * 1025,
            },
            [
                f'reportingComponent: Invalid value: "a b": {QUALIFIED}',
                'reportingInstance: Invalid value: "": can have at most 128 characters',
                'action: Invalid value: "": can have at most 128 characters',
                "reason: Required value",
                'message: Invalid value: "": can have at most 1024 characters',
            ],
            id="with a time, it says more but lives anywhere",
        ),
    ],
)
def test_event_of_the_core_group_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("events").refused(changes) == complaints


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="complete"),
        pytest.param(
            {
                "reportingController": "",
                "type": "Odd",
                "series": {"count": 1},
                "deprecatedCount": 2,
                "deprecatedSource": {"host": "n"},
                "deprecatedFirstTimestamp": "2026-01-02T03:04:05Z",
                "deprecatedLastTimestamp": "2026-01-02T03:04:05Z",
            },
            [
                "reportingController: Required value",
                'reportingController: Invalid value: "": name part must be non-empty',
                f'reportingController: Invalid value: "": {QUALIFIED}',
                'series.count: Invalid value: "": should be at least 2',
                "series.lastObservedTime: Required value",
                'type: Invalid value: "": has invalid value: Odd',
                'firstTimestamp: Invalid value: "": needs to be unset',
                'lastTimestamp: Invalid value: "": needs to be unset',
                'count: Invalid value: "": needs to be unset',
                'source: Invalid value: "": needs to be unset',
            ],
            id="with the old fields",
        ),
        pytest.param({"eventTime": None}, ["eventTime: Required value"], id="without a time"),
    ],
)
def test_event_of_the_newer_group_is_refused(changes, complaints):
    """The newer version wants a time and a type, and leaves the old fields alone."""
    assert [str(error) for error in events_event.validate(sent(changes))] == complaints


@pytest.mark.parametrize(
    ("after", "complaints"),
    [
        pytest.param({"series": {"count": 2, "lastObservedTime": TIME}}, [], id="a series begins"),
        pytest.param(
            {"series": {"count": 1, "lastObservedTime": TIME}},
            ['series.count: Invalid value: "": should be at least 2'],
            id="a series of one",
        ),
        pytest.param(
            {"reason": "Other", "note": "n", "action": "Act"},
            [
                'reason: Invalid value: "Other": field is immutable',
                'message: Invalid value: "n": field is immutable',
                'reason: Invalid value: "Other": field is immutable',
                'action: Invalid value: "Act": field is immutable',
            ],
            id="what happened changes",
        ),
    ],
)
def test_event_of_the_newer_group_holds(after, complaints):
    """Only the series goes on; upstream names the reason twice."""
    assert [str(error) for error in events_event.validate_update(sent(after), sent({}))] == complaints


def test_event_survives_the_way_to_the_newer_shape_and_back():
    """Every field of either shape has its place in the other."""
    stored = Rules("events").make({
        "reason": "R",
        "message": "m",
        "source": {"component": "c", "host": "h"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:06Z",
        "count": 2,
        "type": "Warning",
        "eventTime": TIME,
        "series": {"count": 3, "lastObservedTime": TIME},
        "action": "Act",
        "related": {"kind": "Node", "name": "n"},
        "reportingComponent": "x/y",
        "reportingInstance": "i",
    })
    shown = events_event.to_served(stored)
    empty = NEWER.type()
    same = [name for name in shown.__struct_fields__ if getattr(shown, name) == getattr(empty, name)]
    assert same == []
    assert events_event.to_stored(shown) == stored
    assert events_event.to_served(events_event.to_stored(shown)) == shown
    assert events_event.to_stored(replace(shown, series=None)).series is None


def test_event_of_the_newer_group_is_selected_under_its_own_names():
    """Labels of the newer version lead to the fields that the storage knows; those of the core group it does not know."""
    selectable = events_event.STRATEGY.selectable
    known = STRATEGIES[("", "events")].selectable.fields
    assert selectable.aliases["regarding.name"] == "involvedObject.name"
    assert selectable.aliases["reportingController"] == "reportingComponent"
    assert set(selectable.aliases.values()) | set(selectable.fields) <= set(known)
    assert not {label for label in selectable.fields if label.startswith("involvedObject")}
