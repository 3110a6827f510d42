"""What may not change on a pod, by the path of the change, in upstream's words."""

import pytest
from tests.support.kind_rules import DROP, Rules

PODS = Rules("pods")
C0 = "spec.containers.0"
MIRROR = {"metadata.annotations": {"kubernetes.io/config.mirror": "x"}}
REFUSED = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
ADDED = "Forbidden: pod updates may not add or remove containers"
TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
SELECTOR = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
MUTABLE = "spec: Forbidden: only cpu and memory resources are mutable"


def second(name):
    return {**PODS.body["spec"]["containers"][0], "name": name}


def init(**fields):
    return {"spec.initContainers": [{**second("i"), **fields}]}


def gates(*names):
    return {"spec.schedulingGates": [{"name": name} for name in names]}


def firsts(complaints):
    """Return complaints without the differences that some end with."""
    return [text.partition("\n")[0] for text in complaints]


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param({}, {f"{C0}.image": "other:1"}, [], id="image"),
        pytest.param({}, {f"{C0}.image": " "}, ["spec.containers[0].image: Required value"], id="no image"),
        pytest.param(init(), init(image=""), ["spec.initContainers[0].image: Required value"], id="no init image"),
        pytest.param({}, {"spec.containers": [second("a"), second("b")]}, [f"spec.containers: {ADDED}"], id="container added"),
        pytest.param(init(), {}, [f"spec.initContainers: {ADDED}"], id="init container removed"),
        pytest.param({}, {f"{C0}.command": ["x"]}, [REFUSED], id="command"),
        pytest.param({}, {"spec.hostNetwork": True}, [REFUSED], id="host network"),
        pytest.param({}, {"spec.activeDeadlineSeconds": 5}, [], id="deadline set"),
        pytest.param({"spec.activeDeadlineSeconds": 5}, {"spec.activeDeadlineSeconds": 4}, [], id="deadline earlier"),
        pytest.param({"spec.activeDeadlineSeconds": 5}, {"spec.activeDeadlineSeconds": 6}, ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"], id="deadline later"),
        pytest.param({"spec.activeDeadlineSeconds": 5}, {}, ["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"], id="deadline gone"),
        pytest.param({}, {"spec.tolerations": [TOLERATION]}, [], id="toleration added"),
        pytest.param({"spec.tolerations": [TOLERATION]}, {"spec.tolerations": [{**TOLERATION, "tolerationSeconds": 9}]}, [], id="toleration's seconds"),
        pytest.param({"spec.tolerations": [TOLERATION]}, {"spec.tolerations": [{**TOLERATION, "key": "b"}]}, ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"], id="toleration changed"),
        pytest.param({"spec.terminationGracePeriodSeconds": -1}, {"spec.terminationGracePeriodSeconds": 1}, [], id="grace mended"),
        pytest.param({"spec.terminationGracePeriodSeconds": 5}, {"spec.terminationGracePeriodSeconds": 1}, [REFUSED], id="grace"),
        pytest.param(gates("a", "b"), gates("b"), [], id="gate removed"),
        pytest.param(gates("a"), gates("a", "b"), ["spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"], id="gate added"),
        pytest.param({**gates("a"), "spec.nodeSelector": {"x": "1"}}, {**gates("a"), "spec.nodeSelector": {"x": "1", "y": "2"}}, [], id="gated selector"),
        pytest.param({**gates("a"), "spec.nodeSelector": {"x": "1"}}, {**gates("a"), "spec.nodeSelector": {"x": "2"}}, [f'spec.nodeSelector: Invalid value: {{"x":"2"}}: {SELECTOR}'], id="gated selector changed"),
        pytest.param({"spec.nodeSelector": {"x": "1"}}, {"spec.nodeSelector": {"x": "1", "y": "2"}}, [REFUSED], id="selector"),
    ],
)  # fmt: skip
def test_update_is_refused(before, after, complaints):
    """All but a few fields stay as they are."""
    old, new = PODS.make(before), PODS.make(after)
    found = [str(error) for error in PODS.strategy.validate_update(new, old)]
    assert firsts(found)[: len(complaints) or None] == complaints


def debug(*names, image="d"):
    return {"spec.ephemeralContainers": [{"name": name, "image": image, "imagePullPolicy": "Always", "terminationMessagePolicy": "File"} for name in names]}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param(debug("a"), debug("a", "b"), [], id="added"),
        pytest.param(debug("a"), debug("b", "a"), [], id="moved"),
        pytest.param(debug("a", "b"), {}, [f'spec.ephemeralContainers: Forbidden: existing ephemeral containers "{name}" may not be removed' for name in "ab"], id="removed"),
        pytest.param(debug("a"), debug("a", image="e"), ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "a" may not be changed'], id="changed"),
        pytest.param(MIRROR, {**MIRROR, **debug("a")}, [": Forbidden: static pods do not support ephemeral containers"], id="static"),
    ],
)  # fmt: skip
def test_containers_for_debugging_are_only_added(before, after, complaints):
    """Each that is there stays as it is."""
    assert firsts(PODS.refused_update(before, after, "ephemeralcontainers")) == complaints


def asks(limits=None, requests=None, at=C0):
    return {f"{at}.resources": {"limits": limits or {}, "requests": requests or {}}}


def burstable(*changes):
    return {"status.qosClass": "Burstable", **{key: value for one in changes for key, value in one.items()}}


ONE, TWO, BOTH = {"cpu": "1"}, {"cpu": "2"}, {"cpu": "1", "memory": "1Gi"}
GPU = {"example.com/gpu": "1"}


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param(asks(requests=ONE), asks(requests=TWO), [], id="cpu"),
        pytest.param(asks(requests=ONE), asks(requests=BOTH), [], id="memory added"),
        pytest.param(asks(requests=BOTH), asks(requests=ONE), ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"], id="request removed"),
        pytest.param(asks(limits=TWO, requests=ONE), asks(requests=ONE), ["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"], id="limit removed"),
        pytest.param(asks(requests=ONE), asks(limits=BOTH, requests=BOTH), ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'], id="class"),
        pytest.param(asks(limits={**TWO, **GPU}, requests={**ONE, **GPU}), asks(limits={**TWO, "example.com/gpu": "2"}, requests={**ONE, "example.com/gpu": "2"}), [MUTABLE], id="device"),
        pytest.param({**asks(requests=ONE), **init()}, {**asks(requests=ONE), **init(resources={"requests": ONE})}, ["spec: Forbidden: resources for non-sidecar init containers are immutable"], id="init container"),
        pytest.param({**asks(requests=ONE), **init(restartPolicy="Always", resources={"requests": ONE})}, {**asks(requests=ONE), **init(restartPolicy="Always", resources={"requests": TWO})}, [], id="sidecar"),
        pytest.param({**asks(requests=ONE), **init(restartPolicy="Always", resources={"requests": BOTH})}, {**asks(requests=ONE), **init(restartPolicy="Always", resources={"requests": ONE})}, ["spec.initContainers[0].resources.requests: Forbidden: resource requests cannot be removed"], id="sidecar's request removed"),
        pytest.param({**asks(requests=ONE), **MIRROR}, {**asks(requests=TWO), **MIRROR}, [": Forbidden: static pods cannot be resized"], id="static"),
        pytest.param({**asks(requests=ONE), "spec.os": {"name": "windows"}}, {**asks(requests=TWO), "spec.os": {"name": "windows"}}, [": Forbidden: windows pods cannot be resized"], id="windows"),
        pytest.param({**asks(requests=ONE), "status.containerStatuses": [{"name": "c", "state": {"running": {}}}]}, asks(requests=TWO), ["spec: Forbidden: Pod running on node without support for resize"], id="old node"),
        pytest.param({**asks(requests=ONE), "status.containerStatuses": [{"name": "c", "state": {"running": {}}, "resources": {}}]}, asks(requests=TWO), [], id="node that resizes"),
    ],
)  # fmt: skip
def test_resize_is_refused(before, after, complaints):
    """Cpu and memory of containers that run change, and only their amounts."""
    assert PODS.refused_update(burstable(before), burstable(after), "resize") == complaints


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param({}, {"status.conditions": [{"type": "a b", "status": "True"}]}, ["status.conditions[0].Type: Invalid value"], id="condition"),
        pytest.param({}, {"status.conditions": [{"type": "Ready", "status": "True", "observedGeneration": -1}]}, ["status.conditions[0].observedGeneration: Invalid value"], id="condition's generation"),
        pytest.param({}, {"status.nominatedNodeName": "A"}, ["status.nominatedNodeName: Invalid value"], id="nominated node"),
        pytest.param({}, {"status.observedGeneration": -1}, ["status.observedGeneration: Invalid value"], id="generation"),
        pytest.param({}, {"status.podIPs": [{"ip": "x"}]}, ["status.podIPs[0]: Invalid value"], id="pod's address"),
        pytest.param({}, {"status.hostIPs": [{"ip": "x"}]}, ["status.hostIPs[0]: Invalid value"], id="host's address"),
        pytest.param({"spec.restartPolicy": "Never", "status.containerStatuses": [{"name": "c", "state": {"terminated": {}}}]}, {"spec.restartPolicy": "Never", "status.containerStatuses": [{"name": "c", "state": {"running": {}}}]}, ["status.containerStatuses[0].state: Forbidden"], id="container that ended runs"),
        pytest.param({"status.conditions": DROP}, {"status.phase": "Running"}, [], id="phase"),
    ],
)  # fmt: skip
def test_status_is_refused(before, after, complaints):
    """What a kubelet says must make sense, and what has ended for good stays so."""
    found = PODS.refused_update(before, after, "status")
    assert [": ".join(text.split(": ")[:2]) for text in found] == complaints
