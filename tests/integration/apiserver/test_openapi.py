"""OpenAPI documents: complete, consistent, and cacheable."""

import gzip
import hashlib
import json
import re

import kubernetes.client
import pytest
from tests.support import gnostic_v3

from pinnace.api.resources import RESOURCES
from pinnace.apiserver.openapi import OpenApi, parameters
from pinnace.apiserver.openapi.paths import operations
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Headers, Request

V2 = "/openapi/v2"
APPS = "/openapi/v3/apis/apps/v1"
PROTOBUF = {
    V2: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    APPS: "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
}


@pytest.fixture(scope="module")
def openapi():
    return OpenApi(VirtualClock())


@pytest.fixture(scope="module")
def read(openapi):
    """Reads a document of version 3, each once."""
    known = {}

    async def read(name):
        if name not in known:
            known[name] = json.loads((await get(openapi, f"/openapi/v3/{name}")).body)
        return known[name]

    return read


async def get(openapi, path, query="", **headers):
    fields = Headers([(name.replace("_", "-"), value) for name, value in headers.items()])
    return await openapi.handle(Request("GET", path, query=query, headers=fields))


def method_name(operation):
    """The name that the generator of the official Python client makes of an identifier."""
    group, version = operation.tag.split("_")
    words = operation.id.replace(group[0].upper() + group[1:] + version.upper(), "", 1)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()


def client_class(operation):
    group, version = operation.tag.split("_")
    return getattr(kubernetes.client, f"{group[0].upper()}{group[1:]}{version.upper()}Api", None)


def test_every_operation_is_a_method_of_the_python_client():
    """Identifiers and tags are upstream's: the official client, generated from its documents, has a method for each."""
    missing = [
        operation.id
        for operation in operations(RESOURCES)
        # The paths under /watch/ are left out of the client.
        if operation.action not in {"watch", "watchlist"}
        and not hasattr(client_class(operation), method_name(operation))
    ]
    assert missing == []


async def test_v2_refers_to_nothing_that_is_not_there(openapi):
    """Every reference leads to a definition, and no identifier comes twice."""
    document = json.loads((await get(openapi, "/openapi/v2")).body)
    text = json.dumps(document)
    assert set(re.findall(r'"#/definitions/([^"]*)"', text)) <= set(document["definitions"])
    identifiers = re.findall(r'"operationId": "([^"]*)"', text)
    assert len(identifiers) == len(set(identifiers)) > 700


async def test_v3_documents_stand_alone(openapi, read):
    """Each document of the index is there, and refers to nothing outside."""
    index = json.loads((await get(openapi, "/openapi/v3")).body)["paths"]
    assert {"api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version"} <= set(index)
    for name in index:
        document = await read(name)
        named = set(re.findall(r'"#/components/schemas/([^"]*)"', json.dumps(document)))
        assert named <= set(document["components"]["schemas"]), name


@pytest.mark.parametrize("resource", [row for row in RESOURCES if row.is_stored], ids=lambda row: row.qualified)
async def test_v3_ties_every_kind_to_its_operations(read, resource):
    """kubectl finds a kind's schema and its PATCH by the extension that names group, version and kind."""
    prefix = "apis" if resource.group else "api"
    document = await read(f"{prefix}/{resource.api_version}")
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    single = document["paths"][resource.path("{namespace}", "{name}")]
    assert single["patch"]["x-kubernetes-group-version-kind"] == kind
    assert {"fieldValidation", "dryRun"} <= {one["name"] for one in single["patch"]["parameters"]}
    schemas = document["components"]["schemas"].values()
    assert sum(kind in schema.get("x-kubernetes-group-version-kind", ()) for schema in schemas) == 1


@pytest.mark.parametrize(
    ("path", "identifier", "action", "shared"),
    [
        ("pods", "watchCoreV1PodListForAllNamespaces", "watchlist", set()),
        ("namespaces/{namespace}/pods", "watchCoreV1NamespacedPodList", "watchlist", {"namespace"}),
        ("namespaces/{namespace}/pods/{name}", "watchCoreV1NamespacedPod", "watch", {"namespace", "name"}),
        ("namespaces", "watchCoreV1NamespaceList", "watchlist", set()),
        ("namespaces/{name}", "watchCoreV1Namespace", "watch", {"name"}),
    ],
)
async def test_old_watches_are_described(openapi, path, identifier, action, shared):
    """Each path under /watch/ is there, with its parameters at the path, as it has one method only."""
    document = json.loads((await get(openapi, V2)).body)
    item = document["paths"][f"/api/v1/watch/{path}"]
    assert item.keys() == {"get", "parameters"}
    found = item["get"]
    assert (found["operationId"], found["x-kubernetes-action"], "parameters" in found) == (identifier, action, False)
    assert found["responses"]["200"]["schema"]["$ref"].endswith(".meta.v1.WatchEvent")
    assert "deprecated: use the 'watch' parameter with a list operation instead" in found["description"]
    query = {one.name for one in parameters.LIST} | {"pretty"}
    assert {one["name"] for one in item["parameters"]} == query | shared


@pytest.mark.parametrize("path", [V2, "/openapi/v3/api/v1"])
async def test_parameters_of_all_methods_stand_with_the_path(openapi, path):
    """What each method takes is said once; what only some take, with these."""
    document = json.loads((await get(openapi, path)).body)
    item = document["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]
    assert [one["name"] for one in item["parameters"]] == ["name", "namespace", "pretty"]
    names = {
        method: {one["name"] for one in item[method].get("parameters", ())} - {"body"} for method in ("get", "put")
    }
    assert names == {"get": set(), "put": {"dryRun", "fieldManager", "fieldValidation"}}
    assert "parameters" not in document["paths"]["/api/v1/"]


async def test_v3_address_carries_the_hash(openapi):
    """With its hash a document may be kept for a year, an old hash leads to the new one, and none at all means to ask again."""
    path = APPS
    plain = await get(openapi, path)
    tag = plain.headers.get("ETag").strip('"')
    assert plain.headers.get("Cache-Control") == "no-cache, private"
    hashed = await get(openapi, path, f"hash={tag}")
    assert hashed.headers.get("Cache-Control") == "public, immutable"
    assert hashed.headers.get("Expires") == "Fri, 01 Jan 2027 00:00:00 GMT"
    moved = await get(openapi, path, "hash=OLD")
    assert (moved.status, moved.headers.get("Location")) == (301, f"{path}?hash={tag}")


@pytest.mark.parametrize("path", [V2, APPS])
async def test_documents_are_not_sent_twice(openapi, path):
    """A client that has the document gets 304; one that takes gzip gets it compressed, with the same tag."""
    plain = await get(openapi, path)
    tag = plain.headers.get("ETag")
    known = await get(openapi, path, If_None_Match=tag)
    assert (known.status, known.body) == (304, b"")
    packed = await get(openapi, path, Accept_Encoding="gzip")
    assert packed.headers.get("Content-Encoding") == "gzip"
    assert packed.headers.get("ETag") == tag
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize("path", PROTOBUF)
@pytest.mark.parametrize(
    ("accept", "status", "media"),
    [
        pytest.param("", 200, "json", id="none"),
        pytest.param("*/*", 200, "json", id="anything"),
        pytest.param("{protobuf},application/json", 200, "protobuf", id="protobuf"),
        pytest.param("{old}", 200, "protobuf", id="old protobuf"),
        pytest.param("{protobuf};q=0.5,application/json", 200, "json", id="rather json"),
        pytest.param("text/html,{protobuf}", 200, "protobuf", id="second"),
        pytest.param("text/html", 406, "", id="html"),
        pytest.param("application/yaml", 406, "", id="yaml"),
    ],
)
async def test_documents_are_negotiated(openapi, path, accept, status, media):
    """JSON, or protobuf under either of its names; anything else is 406 without a body."""
    protobuf = PROTOBUF[path]
    asked = accept.format(protobuf=protobuf, old=protobuf.replace(".v1.0+", "@v1.0+"))
    answer = await get(openapi, path, Accept=asked)
    types = {"json": "application/json", "protobuf": protobuf, "": ""}
    assert (answer.status, answer.headers.get("Content-Type")) == (status, types[media])
    assert bool(answer.body) == (status == 200)


@pytest.mark.parametrize("path", PROTOBUF)
async def test_both_forms_of_a_document_go_by_one_hash(openapi, path):
    """The hash is that of the JSON; who has the document in a form is told so, whichever it is."""
    plain = await get(openapi, path)
    packed = await get(openapi, path, Accept=PROTOBUF[path])
    tag = plain.headers.get("ETag")
    assert packed.headers.get("ETag") == tag == f'"{hashlib.sha512(plain.body).hexdigest().upper()}"'
    assert "Accept" in packed.headers.get("Vary").replace("Accept-Encoding", "")
    assert (await get(openapi, path, Accept=PROTOBUF[path], If_None_Match=tag)).status == 304


def without_empty(value):
    """A document less its empty lists, which protobuf does not tell from none."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item != []}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["api/v1", "apis/apps/v1", "apis/autoscaling/v2", "version"])
async def test_protobuf_of_version_3_says_what_the_json_says(openapi, read, name):
    """A decoder that knows gnostic's messages, and nothing of how ours are written, gets the JSON document back."""
    packed = await get(openapi, f"/openapi/v3/{name}", Accept=PROTOBUF[APPS])
    assert gnostic_v3.tree(packed.body) == without_empty(await read(name))
