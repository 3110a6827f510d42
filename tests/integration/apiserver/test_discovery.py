"""Discovery documents: in which forms they come, and how a path can be wrong."""

import pytest
from tests.support.callers import running_server, tree

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
ONLY = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
NOT_HERE = "the server could not find the requested resource"


@pytest.mark.parametrize(
    ("path", "accept", "status", "kind"),
    [
        pytest.param("/api", AGGREGATED, 200, "APIGroupDiscoveryList", id="core group, aggregated"),
        pytest.param("/apis", AGGREGATED, 200, "APIGroupDiscoveryList", id="groups, aggregated"),
        pytest.param("/apis", f"{AGGREGATED},application/json", 200, "APIGroupDiscoveryList", id="aggregated first"),
        pytest.param("/apis", f"application/json,{AGGREGATED}", 200, "APIGroupList", id="aggregated second"),
        pytest.param("/apis", AGGREGATED.replace("v=v2", "v=v2beta1"), 406, "Status", id="version that is gone"),
        pytest.param("/apis/apps", AGGREGATED, 406, "Status", id="no aggregate of one group"),
        pytest.param("/apis/apps", f"{AGGREGATED},application/json", 200, "APIGroup", id="one group, as it is"),
        pytest.param("/apis/apps/v1", AGGREGATED, 406, "Status", id="no aggregate of one version"),
        pytest.param("/api/v1", "", 200, "APIResourceList", id="version of the core group"),
    ],
)
async def test_discovery_comes_in_the_form_that_is_asked_for(path, accept, status, kind):
    """The two roots have an aggregated form; whoever takes nothing else elsewhere is refused."""
    async with running_server() as call:
        answer = await call("GET", path, Accept=accept)
        assert (answer.status, tree(answer)["kind"]) == (status, kind)
        if status == 406:
            assert tree(answer)["message"] == ONLY


async def test_discovery_comes_as_yaml():
    """Documents are objects like others, and are written like them."""
    async with running_server() as call:
        answer = await call("GET", "/apis/apps", Accept="application/yaml")
        assert answer.body.startswith(b"apiVersion: v1\nkind: APIGroup\nname: apps\n")


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        pytest.param("GET", "/apis/nothing.example.com", 404, "404 page not found\n", id="unknown group"),
        pytest.param("GET", "/apis/apps/v9", 404, NOT_HERE, id="unknown version"),
        pytest.param("GET", "/api/v2", 404, NOT_HERE, id="unknown version of the core group"),
        pytest.param("POST", "/apis", 200, "APIGroupList", id="groups by any method"),
        pytest.param("POST", "/apis/apps", 200, "APIGroup", id="group by any method"),
        pytest.param(
            "POST", "/apis/apps/v1", 405, "the server does not allow this method", id="version by its own only"
        ),
        pytest.param("POST", "/api", 405, "the server does not allow this method", id="core group by its own only"),
    ],
)
async def test_discovery_tells_how_a_path_is_wrong(method, path, status, text):
    """An unknown group is no path at all; an unknown version of a known one is a path without a resource."""
    async with running_server() as call:
        answer = await call(method, path)
        assert answer.status == status
        assert text in answer.body.decode()
