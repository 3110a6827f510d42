"""componentstatuses: the parts of the control plane as the process that runs them knows them."""

import pytest
from tests.support.callers import running_server, tree

from pinnace.component.healthz import Check

STATUSES = "/api/v1/componentstatuses"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
WARNING = '299 - "v1 ComponentStatus is deprecated in v1.19+"'


class Parts:
    """Parts whose health a test decides."""

    def __init__(self):
        self.reason = ""

    async def failure(self):
        return self.reason


@pytest.fixture
def parts():
    return Parts()


@pytest.fixture
async def call(parts):
    async with running_server([Check(name, parts.failure) for name in ("scheduler", "controller-manager")]) as call:
        yield call


async def test_component_statuses_are_those_of_the_parts(call, parts):
    """Each part that was composed is listed with its health, and so is the store; clients are warned that the kind is deprecated."""
    answer = await call("GET", STATUSES)
    assert answer.headers.get("Warning") == WARNING
    listed = tree(answer)
    assert (listed["kind"], listed["metadata"]) == ("ComponentStatusList", {})
    healthy = [{"type": "Healthy", "status": "True", "message": "ok"}]
    assert listed["items"] == [
        {"metadata": {"name": name}, "conditions": healthy} for name in ("controller-manager", "etcd-0", "scheduler")
    ]
    parts.reason = "failed"
    one = tree(await call("GET", f"{STATUSES}/scheduler"))
    assert (one["kind"], one["apiVersion"]) == ("ComponentStatus", "v1")
    assert one["conditions"] == [{"type": "Healthy", "status": "False", "error": "failed"}]


async def test_component_statuses_are_printed_as_upstream_prints_them(call, parts):
    """kubectl's table has name, status, message and error."""
    parts.reason = "failed"
    printed = tree(await call("GET", STATUSES, Accept=TABLE))
    assert [column["name"] for column in printed["columnDefinitions"]] == ["Name", "Status", "Message", "Error"]
    assert [row["cells"] for row in printed["rows"]] == [
        ["controller-manager", "Unhealthy", "", "failed"],
        ["etcd-0", "Healthy", "ok", ""],
        ["scheduler", "Unhealthy", "", "failed"],
    ]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("fieldSelector=metadata.name%3Detcd-0", ["etcd-0"], id="by-name"),
        pytest.param("labelSelector=a%3Db", [], id="by-label"),
        pytest.param("labelSelector=%21a", ["controller-manager", "etcd-0", "scheduler"], id="by-no-label"),
    ],
)
async def test_component_statuses_are_selected(call, query, names):
    """Selectors apply to what is computed as to what is stored."""
    assert [item["metadata"]["name"] for item in tree(await call("GET", f"{STATUSES}?{query}"))["items"]] == names


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        pytest.param("GET", f"{STATUSES}/x", 500, "Component not found: x", id="unknown"),
        pytest.param(
            "DELETE",
            f"{STATUSES}/etcd-0",
            405,
            "the server does not allow this method on the requested resource",
            id="delete",
        ),
        pytest.param(
            "GET",
            f"{STATUSES}?watch=1",
            405,
            "the server does not allow this method on the requested resource",
            id="watch",
        ),
    ],
)
async def test_component_statuses_refuse_what_cannot_be(call, method, path, status, message):
    """There are no others, and they can be read only."""
    answer = await call(method, path)
    assert (answer.status, tree(answer)["message"]) == (status, message)


async def test_component_statuses_of_a_server_alone_say_so():
    """An API server that runs beside nothing does not claim that there is a scheduler."""
    async with running_server() as call:
        listed = tree(await call("GET", STATUSES))["items"]
    assert [(item["metadata"]["name"], item["conditions"][0]["status"]) for item in listed] == [
        ("controller-manager", "False"),
        ("etcd-0", "True"),
        ("scheduler", "False"),
    ]
    assert listed[0]["conditions"][0]["error"] == "does not run beside this API server"
