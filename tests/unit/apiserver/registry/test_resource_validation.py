"""What is said of requests, limits and claims that cannot be, of containers and of whole pods, in upstream's words."""

import pytest
from tests.support.kind_rules import Rules

PODS = Rules("pods")
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
STANDARD = "must be a standard resource type or fully qualified"
CONTAINER = "must be a standard resource for containers"
NEGATIVE = "must be greater than or equal to 0"
GPU, PAGES = "example.com/gpu", "hugepages-2Mi"
NO_LIMIT = "limits: Required value: Limit must be set for non overcommitable resources"
KNOWN = "must be one of the names in pod.spec.resourceClaims"
CLAIMS = {"spec.resourceClaims": [{"name": "x", "resourceClaimName": "y"}, {"name": "a", "resourceClaimName": "b"}]}


def requests(**amounts):
    return {"requests": amounts}


def both(name, limit, request, **more):
    return {"limits": {name: limit, **more}, "requests": {name: request, **more}}


def row(resources, *complaints, id):
    return pytest.param(resources, list(complaints), id=id)


def twice(name, text):
    """A limit without a request is both."""
    return [f'{side}[{name}]: Invalid value: "{name}": {text}' for side in ("limits", "requests")]


@pytest.mark.parametrize(
    ("resources", "complaints"),
    [
        row(requests(cpu="1", memory="1Gi"), id="cpu and memory"),
        row({"requests": {"foo": "1"}}, *(f'requests[foo]: Invalid value: "foo": {text}' for text in (STANDARD, CONTAINER)), id="unknown name"),
        row({"requests": {"a b": "1"}}, *(f'requests[a b]: Invalid value: "a b": {text}' for text in (QUALIFIED, CONTAINER)), id="no name"),
        row(requests(storage="1"), f'requests[storage]: Invalid value: "storage": {CONTAINER}', id="storage"),
        row(requests(pods="1"), f'requests[pods]: Invalid value: "pods": {CONTAINER}', id="quota's name"),
        row({"limits": {"requests.example.com/x": "1"}}, *twice("requests.example.com/x", "doesn't follow extended resource name standard"), id="quota's prefix"),
        row({"limits": {"kubernetes.io/x": "1"}}, id="native domain"),
        row(requests(cpu="-1"), f'requests[cpu]: Invalid value: "-1": {NEGATIVE}', id="negative request"),
        row({"limits": {"cpu": "-1"}, "requests": {"cpu": "-2"}}, f'limits[cpu]: Invalid value: "-1": {NEGATIVE}', f'requests[cpu]: Invalid value: "-2": {NEGATIVE}', id="negative limit"),
        row(both(GPU, "500m", "500m"), *(f'{side}[{GPU}]: Invalid value: "500m": must be an integer' for side in ("limits", "requests")), id="half a device"),
        row(both("cpu", "1", "2"), 'requests: Invalid value: "2": must be less than or equal to cpu limit of 1', id="cpu above limit"),
        row(both("memory", "1Gi", "2Gi"), 'requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi', id="memory above limit"),
        row(both("cpu", "2", "1"), id="cpu below limit"),
        row(both(GPU, "2", "1"), f'requests: Invalid value: "1": must be equal to {GPU} limit of 2', id="device below limit"),
        row(both(GPU, "1", "2"), f'requests: Invalid value: "2": must be equal to {GPU} limit of 1', id="device above limit"),
        row({"requests": {GPU: "1"}}, NO_LIMIT, id="device without limit"),
        row({"requests": {PAGES: "2Mi", "cpu": "1"}}, NO_LIMIT, id="pages without limit"),
        row(both(PAGES, "2Mi", "2Mi"), "Forbidden: HugePages require cpu or memory", id="pages alone"),
        row(both(PAGES, "4Mi", "2Mi", cpu="1"), f'requests: Invalid value: "2Mi": must be equal to {PAGES} limit of 4Mi', id="fewer pages than limit"),
        row(both(PAGES, "3Mi", "3Mi", cpu="1"), *(f'{side}[{PAGES}]: Invalid value: "3Mi": 3Mi is not positive integer multiple of {PAGES}' for side in ("limits", "requests")), id="part of a page"),
        row(both("hugepages-x", "2Mi", "2Mi", cpu="1"), *(f'{side}[hugepages-x]: Invalid value: "2Mi": 2Mi is not positive integer multiple of hugepages-x' for side in ("limits", "requests")), id="pages of no size"),
        row({"claims": [{"name": ""}]}, "claims[0]: Required value", id="claim without name"),
        row({"claims": [{"name": "z"}]}, f'claims[0]: Not found: "z": {KNOWN}: a, x', id="unknown claim"),
        row({"claims": [{"name": "x"}, {"name": "x"}]}, 'claims[1]: Duplicate value: "x"', id="claim twice"),
        row({"claims": [{"name": "x", "request": "r"}, {"name": "x", "request": "r"}]}, 'claims[1]: Duplicate value: "x/r"', id="claim's request twice"),
        row({"claims": [{"name": "x", "request": "r"}, {"name": "x", "request": "s"}]}, id="two requests of a claim"),
    ],
)  # fmt: skip
def test_resources_of_a_container_are_refused(resources, complaints):
    """None of the complaints means that they are good."""
    at = "spec.containers[0].resources"
    expected = [f"{at}{': ' if text.startswith('Forbidden') else '.'}{text}" for text in complaints]
    assert PODS.refused({**CLAIMS, "spec.containers.0.resources": resources}) == expected


def test_claim_of_a_pod_without_claims_is_not_found():
    """There is nothing that it could name."""
    assert PODS.refused({"spec.containers.0.resources": {"claims": [{"name": "x"}]}}) == [
        f'spec.containers[0].resources.claims[0]: Not found: "x": {KNOWN} which is empty'
    ]


@pytest.mark.parametrize(
    ("pod", "container", "complaints"),
    [
        pytest.param({"claims": [{"name": "x"}]}, {}, ["resources.claims: Forbidden: claims cannot be set for Resources at pod-level"], id="claims"),
        pytest.param({"limits": {GPU: "1"}, "requests": {GPU: "1"}}, {}, [f'resources.{side}[{GPU}]: Unsupported value: "{GPU}": supported values: "cpu", "hugepages-", "memory"' for side in ("limits", "requests")], id="device"),
        pytest.param(both("cpu", "1", "2"), {}, ['resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'], id="above limit"),
        pytest.param(requests(cpu="-1"), {}, [f'resources.requests[cpu]: Invalid value: "-1": {NEGATIVE}'], id="negative"),
        pytest.param(requests(cpu="1"), requests(cpu="2"), ['resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2'], id="less than the containers"),
        pytest.param(both("cpu", "1", "1"), {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}, ['containers[0].resources.limits[cpu]: Invalid value: "2": must be less than or equal to pod limits of 1'], id="container above the pod"),
        pytest.param(both("cpu", "2", "1"), requests(cpu="1"), [], id="good"),
    ],
)  # fmt: skip
def test_resources_of_a_pod_are_refused(pod, container, complaints):
    """What a whole pod asks for is no less than what its containers do."""
    changes = {"spec.resources": pod, "spec.containers.0.resources": container}
    assert PODS.refused(changes) == [f"spec.{text}" for text in complaints]
