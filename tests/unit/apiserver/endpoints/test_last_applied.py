"""What the annotation of client-side apply means to a server-side apply."""

import json

import pytest

from pinnace.api import field_schema
from pinnace.api.core_v1 import ConfigMap
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints.last_applied import ANNOTATION, not_allowed, refreshed
from pinnace.machinery.managedfields import UPDATE, Conflict, Manager, Owned

ROOT = field_schema.root(ConfigMap)
X = Conflict(Manager(UPDATE, "a", "v1", ""), Owned({}, "v1"), ("f:data", "f:x"))


def config(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def live(annotation, **data):
    tree = config(**data)
    if annotation is not None:
        tree["metadata"] = {**tree["metadata"], "annotations": {ANNOTATION: annotation}}
    return tree


@pytest.mark.parametrize(
    ("tree", "is_allowed"),
    [
        pytest.param(live(json.dumps(config(x="1")), x="1"), True, id="as-it-was-applied"),
        pytest.param(live(json.dumps(config(x="1")), x="2"), False, id="changed-since"),
        pytest.param(live(json.dumps(config(y="1")), x="1"), False, id="not-applied"),
        pytest.param(live(None, x="1"), False, id="no-annotation"),
        pytest.param(live("", x="1"), False, id="empty"),
        pytest.param(live("{", x="1"), False, id="no-json"),
        pytest.param(live("[]", x="1"), False, id="no-object"),
        pytest.param(live(json.dumps({**config(x="1"), "nope": 1}), x="1"), False, id="of-another-schema"),
        pytest.param(live(json.dumps({**config(x="1"), "apiVersion": "v2"}), x="1"), False, id="of-another-version"),
    ],
)
def test_what_was_applied_and_not_changed_may_be_taken(tree, is_allowed):
    """The conflict goes away only where the annotation and the object agree."""
    assert not_allowed([X], tree, ROOT, "v1") == ([] if is_allowed else [X])


def test_annotation_says_what_was_applied_last():
    """Without itself, keys sorted, and written as Go writes JSON."""
    obj = ConfigMap(metadata=ObjectMeta(name="a", annotations={ANNOTATION: "{}", "b": "1"}))
    applied = config(x="<&>")
    applied["metadata"]["annotations"] = {ANNOTATION: "{}", "b": "1"}
    annotations = refreshed(obj, applied).metadata.annotations
    assert annotations[ANNOTATION] == (
        '{"apiVersion":"v1","data":{"x":"\\u003c\\u0026\\u003e"},"kind":"ConfigMap",'
        '"metadata":{"annotations":{"b":"1"},"name":"a"}}\n'
    )
    assert annotations["b"] == "1"


@pytest.mark.parametrize("annotations", [{}, {ANNOTATION: ""}, {"b": "1"}])
def test_annotation_is_not_made(annotations):
    """Who never applied from the client has none to keep true."""
    obj = ConfigMap(metadata=ObjectMeta(name="a", annotations=annotations))
    assert refreshed(obj, config(x="1")) is obj


def test_annotation_that_would_be_too_long_is_dropped():
    """All annotations together have a limit, and the object must stay valid."""
    obj = ConfigMap(metadata=ObjectMeta(name="a", annotations={ANNOTATION: "{}", "b": "1"}))
    assert refreshed(obj, config(x="y" * 300_000)).metadata.annotations == {"b": "1"}
