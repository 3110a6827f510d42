"""Discovery documents: the classic ones and the aggregated one tell the same, as upstream tells it."""

import json

import pytest

from pinnace.api.resources import GROUPS, by_path
from pinnace.apiserver.discovery import Discovery
from pinnace.apiserver.discovery.documents import AGGREGATED
from pinnace.component.http import Headers, Request
from pinnace.machinery.errors import NotAcceptable

DISCOVERY = Discovery()


async def get(path, **headers):
    return await DISCOVERY.handle(Request("GET", path, headers=Headers(list(headers.items()))))


async def test_aggregated_and_classic_discovery_agree():
    """Every resource and subresource of the aggregated lists stands in the classic list of its version, and the other way round."""
    for path in ("/api", "/apis"):
        for group in json.loads((await get(path, Accept=AGGREGATED)).body)["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                place = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
                classic = json.loads((await get(place)).body)["resources"]
                told = {one["resource"]: one["verbs"] for one in version["resources"]} | {
                    f"{one['resource']}/{sub['subresource']}": sub["verbs"]
                    for one in version["resources"]
                    for sub in one.get("subresources", ())
                }
                assert {one["name"]: one["verbs"] for one in classic} == told
                assert [one["name"] for one in classic] == sorted(told)


async def test_aggregated_discovery_is_upstreams_in_form():
    """The core group has no name, zero times are left out, and a version says that it is current."""
    document = json.loads((await get("/api", Accept=AGGREGATED)).body)
    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    (core,) = document["items"]
    assert core["metadata"] == {}
    assert core["versions"][0]["freshness"] == "Current"
    pods = next(one for one in core["versions"][0]["resources"] if one["resource"] == "pods")
    assert pods["shortNames"] == ["po"]
    eviction = next(one for one in pods["subresources"] if one["subresource"] == "eviction")
    assert eviction["responseKind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    apps = json.loads((await get("/apis", Accept=AGGREGATED)).body)["items"]
    assert {"name": "apps"} in [one["metadata"] for one in apps]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param("", "APIGroupList", id="none"),
        pytest.param("application/json", "APIGroupList", id="json"),
        pytest.param(f"{AGGREGATED},application/json", "APIGroupDiscoveryList", id="aggregated-first"),
        pytest.param(
            f"{AGGREGATED.replace('v2', 'v2beta1')},application/json;q=0.9", "APIGroupList", id="beta-is-gone"
        ),
        pytest.param(
            f"{AGGREGATED},{AGGREGATED.replace('v2', 'v2beta1')},application/json",
            "APIGroupDiscoveryList",
            id="kubectl",
        ),
    ],
)
async def test_discovery_is_negotiated(accept, kind):
    """The first form that is served decides."""
    assert json.loads((await get("/apis", Accept=accept)).body)["kind"] == kind


@pytest.mark.parametrize("accept", [AGGREGATED.replace("v2", "v2beta1"), "text/html"])
async def test_discovery_that_cannot_be_served_is_406(accept):
    """The removed beta alone, or no form of JSON, is not acceptable."""
    with pytest.raises(NotAcceptable):
        await get("/apis", Accept=accept)


async def test_aggregated_discovery_is_not_sent_twice():
    """Who has it gets 304."""
    first = await get("/apis", Accept=AGGREGATED)
    assert (first.headers.get("Vary"), first.headers.get("Cache-Control")) == ("Accept", "public")
    second = await get("/apis", **{"Accept": AGGREGATED, "If-None-Match": first.headers.get("ETag")})
    assert (second.status, second.body) == (304, b"")


def test_groups_stand_in_upstreams_order():
    """As `kubectl get --raw /apis` lists them."""
    assert [group for group in GROUPS if group] == [
        "apiregistration.k8s.io",
        "apps",
        "events.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "scheduling.k8s.io",
        "coordination.k8s.io",
        "node.k8s.io",
        "discovery.k8s.io",
        "resource.k8s.io",
        "flowcontrol.apiserver.k8s.io",
    ]


@pytest.mark.parametrize(
    ("group", "version", "plural", "wanted"),
    [
        pytest.param("", "v1", "pods", "xPOwRZ+Yhw8=", id="pods"),
        pytest.param("", "v1", "events", "r2yiGXH7wu8=", id="events"),
        pytest.param("events.k8s.io", "v1", "events", "r2yiGXH7wu8=", id="events-of-their-group"),
        pytest.param("autoscaling", "v1", "horizontalpodautoscalers", "qwQve8ut294=", id="hpa-v1"),
        pytest.param("autoscaling", "v2", "horizontalpodautoscalers", "qwQve8ut294=", id="hpa-v2"),
    ],
)
def test_storage_version_hash_is_that_of_the_stored_form(group, version, plural, wanted):
    """Equal where the stored form is, whatever the version served."""
    assert by_path(group, version, plural).storage_version_hash == wanted
