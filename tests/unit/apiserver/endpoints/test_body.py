"""Bodies into objects: pods of one template share their spec, and nothing is overlooked because of it."""

import json

import pytest

from pinnace.api.core_v1 import Pod
from pinnace.apiserver.endpoints import body
from pinnace.apiserver.endpoints.negotiation import JSON
from pinnace.machinery.errors import BadRequest

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p-1", "labels": {"app": "web"}, "creationTimestamp": None},
    "spec": {"containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "1000m"}}}]},
}


def sent(name="p-1", separators=(",", ":"), **changes):
    pod = {**POD, "metadata": {**POD["metadata"], "name": name}, **changes}
    return json.dumps(pod, separators=separators).encode()


def read(data, validation="Strict"):
    warnings = []
    pod = body.decode(data, Pod, "v1", media=JSON, validation=validation, warnings=warnings)
    return pod, warnings


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "blanks"])
def test_body_gives_equal_specs_one_struct(separators):
    """The second pod with the same bytes of a spec gets the first one's spec, and metadata of its own."""
    first, _ = read(sent("p-1", separators))
    second, _ = read(sent("p-2", separators))
    assert second.spec is first.spec
    assert (first.metadata.name, second.metadata.name) == ("p-1", "p-2")
    assert second.spec.containers[0].resources.requests == {"cpu": "1"}


def test_body_still_reports_what_is_unknown_or_doubled():
    """A known spec does not hide findings about the rest of the body."""
    read(sent())
    pod, warnings = read(sent(metadata={"name": "p-2", "lables": {}}), "Warn")
    assert (pod.metadata.name, warnings) == ("p-2", ['unknown field "metadata.lables"'])
    _, warnings = read(sent(extra=1), "Warn")
    assert warnings == ['unknown field "extra"']
    doubled = sent()[:-1] + b',"kind":"Pod"}'
    with pytest.raises(BadRequest, match='duplicate field "kind"'):
        read(doubled)
    inner = sent().replace(b'"name":"p-1"', b'"name":"p-0","name":"p-1"')
    with pytest.raises(BadRequest, match=r'duplicate field "metadata\.name"'):
        read(inner)


def test_body_keeps_two_specs_under_one_key_apart():
    """Of two specs in one body Go keeps the members of both; neither stands for the whole."""
    read(sent())
    spec = json.dumps(POD["spec"], separators=(",", ":")).encode()
    data = sent().replace(b'"spec":' + spec, b'"spec":{"nodeName":"n1"},"spec":' + spec)
    pod, warnings = read(data, "Warn")
    assert pod.spec.node_name == "n1"
    assert warnings == ['duplicate field "spec"']


def test_body_does_not_remember_what_was_not_clean():
    """A spec with an unknown field is complained about each time."""
    spec = {**POD["spec"], "nodeNmae": "n1"}
    for _ in range(3):
        _, warnings = read(sent(spec=spec), "Warn")
        assert warnings == ['unknown field "spec.nodeNmae"']
    read(sent(spec=spec), "Ignore")
    _, warnings = read(sent(spec=spec), "Warn")
    assert warnings == ['unknown field "spec.nodeNmae"']


def test_body_takes_a_status_from_the_body():
    """A body with a status is read in full."""
    read(sent())
    pod, _ = read(sent(status={"phase": "Running"}))
    assert pod.status.phase == "Running"
