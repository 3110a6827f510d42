"""Server-side apply and managedFields through the API: who owns what, who may change it, and when nothing is written."""

import json
import random

import pytest
import pytest_asyncio
from tests.support.manifests import manifest

from pinnace.api.resources import RESOURCES
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Headers, Request, Response, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN = Connection(user=UserInfo("admin", groups=("system:masters",)), secure=True)
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
STORED = [resource for resource in RESOURCES if resource.is_stored]


class Api:
    """Sends requests to a server whose clock it can move."""

    def __init__(self, handle, clock):
        self._handle = handle
        self.clock = clock

    async def __call__(self, method, path, body=None, *, media="application/json", status=200, user=None, **headers):
        """Return the tree of the answer, whose status is checked; the user is an administrator unless named."""
        data = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        fields = Headers([("Content-Type", media), *((name.replace("_", "-"), text) for name, text in headers.items())])
        connection = ADMIN if user is None else Connection(user=UserInfo(user), secure=True)
        request = Request(method, path, query=query, headers=fields, body=data, connection=connection)
        answer = await self._handle(request)
        assert isinstance(answer, Response)
        assert answer.status == status, answer.body
        self.warnings = [value for name, value in answer.headers.items() if name == "Warning"]
        return json.loads(answer.body)

    async def apply(self, path, body, manager="m", *, query="", status=200):
        """Apply a configuration."""
        return await self("PATCH", f"{path}?fieldManager={manager}{query}", body, media=APPLY, status=status)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api():
    clock = VirtualClock()
    server = api_server(
        ApiServerConfig(),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(random.Random(1)),
        signing_key=SigningKey(),
    )
    async with server.running():
        call = Api(server.handle, clock)
        account = {"metadata": {"name": "default"}}
        await call("POST", "/api/v1/namespaces/default/serviceaccounts", account, status=201)
        yield call


def config_map(name, data=None, **metadata):
    tree = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return tree if data is None else {**tree, "data": data}


def deployment(name, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "example.com/app:1"}]},
            },
            **spec,
        },
    }


def owners(obj):
    """Return manager, operation and subresource → owned fields."""
    return {
        " ".join(filter(None, (entry["manager"], entry["operation"], entry.get("subresource")))): entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", ())
    }


def times(obj):
    return {entry["manager"]: entry.get("time") for entry in obj["metadata"].get("managedFields", ())}


def version(obj):
    return obj["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    "resource", STORED, ids=lambda resource: f"{resource.plural}.{resource.version}.{resource.group}"
)
async def test_apply_makes_any_kind_and_then_finds_nothing_to_do(api, resource):
    """Created from its manifest, every kind is owned by its applier; again, nothing is written; and another may join."""
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest(resource)}
    body["metadata"] = {**body["metadata"], "labels": {"applied": "yes"}}
    path = resource.path("default", body["metadata"]["name"])
    created = await api.apply(path, body, status=201)
    assert "f:applied" in json.dumps(owners(created)["m Apply"])
    same = await api.apply(path, body)
    assert version(same) == version(created)
    # Lists that are owned as one have been filled with defaults, so another has to name those as well.
    as_stored = {**created, "metadata": body["metadata"]}
    shared = await api.apply(path, as_stored, "other")
    assert list(owners(shared)) == ["other Apply", "m Apply"]
    await api("DELETE", path)


async def test_apply_removes_what_it_no_longer_names(api):
    """A key that its only owner lets go of disappears; one that another owns stays."""
    path = f"{CONFIGMAPS}/removes"
    await api.apply(path, config_map("removes", {"a": "1", "b": "1", "c": "1"}), status=201)
    await api.apply(path, config_map("removes", {"b": "1"}), "other")
    left = await api.apply(path, config_map("removes", {"c": "1"}))
    assert left["data"] == {"b": "1", "c": "1"}
    assert owners(left) == {"m Apply": {"f:data": {"f:c": {}}}, "other Apply": {"f:data": {"f:b": {}}}}


async def test_apply_conflicts_name_field_and_owner(api):
    """Whoever owns the field is named with how it came to it; force takes it."""
    path = f"{CONFIGMAPS}/conflicts"
    await api("POST", f"{CONFIGMAPS}?fieldManager=creator", config_map("conflicts", {"a": "1"}), status=201)
    refused = await api.apply(path, config_map("conflicts", {"a": "2"}), status=409)
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "creator" using v1: .data.a'
    assert refused["details"] == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "creator" using v1', "field": ".data.a"}
        ]
    }
    taken = await api.apply(path, config_map("conflicts", {"a": "2"}), query="&force=true")
    assert taken["data"] == {"a": "2"}
    assert owners(taken) == {"m Apply": {"f:data": {"f:a": {}}}, "creator Update": {"f:data": {}}}


async def test_apply_conflicts_over_what_a_status_writer_owns(api):
    """A manager of a subresource is named with it."""
    path = f"{DEPLOYMENTS}/part"
    await api("POST", f"{DEPLOYMENTS}?fieldManager=creator", deployment("part"), status=201)
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "part"}, "status": {"replicas": 1}}
    written = await api.apply(f"{path}/status", status, "loop")
    assert owners(written)["loop Apply status"] == {"f:status": {"f:replicas": {}}}
    status["status"]["replicas"] = 2
    refused = await api.apply(f"{path}/status", status, "other", status=409)
    assert refused["details"]["causes"][0]["message"] == 'conflict with "loop" with subresource "status"'


async def test_apply_on_the_object_leaves_the_status(api):
    """What a path resets is neither written nor owned."""
    path = f"{DEPLOYMENTS}/resets"
    body = {**deployment("resets"), "status": {"replicas": 7}}
    created = await api.apply(path, body, status=201)
    assert "replicas" not in created["status"]
    assert "f:status" not in owners(created)["m Apply"]


async def test_apply_of_a_status_needs_the_object(api):
    """Only an object itself comes into being by being applied."""
    body = {**deployment("nowhere"), "status": {"replicas": 1}}
    await api.apply(f"{DEPLOYMENTS}/nowhere/status", body, status=404)


async def test_update_of_an_applied_field_takes_it(api):
    """A PATCH or PUT needs no force; the applier meets a conflict the next time."""
    path = f"{CONFIGMAPS}/taken"
    await api.apply(path, config_map("taken", {"a": "1", "b": "1"}), status=201)
    patched = await api("PATCH", f"{path}?fieldManager=hand", {"data": {"a": "9"}}, media=MERGE)
    assert owners(patched) == {"m Apply": {"f:data": {"f:b": {}}}, "hand Update": {"f:data": {"f:a": {}}}}
    await api.apply(path, config_map("taken", {"a": "1", "b": "1"}), status=409)
    left = await api.apply(path, config_map("taken", {"b": "1"}))
    assert left["data"] == {"a": "9", "b": "1"}


async def test_apply_of_an_untracked_object_remembers_what_was_there(api):
    """Who owned it is unknown, so a manager stands in, and what it has is not taken without force."""
    path = f"{CONFIGMAPS}/untracked"
    await api("POST", CONFIGMAPS, config_map("untracked", {"a": "1"}), status=201)
    cleared = await api("PATCH", path, {"metadata": {"managedFields": [{}]}}, media=MERGE)
    assert owners(cleared) == {}
    still = await api("PATCH", path, {"data": {"b": "1"}}, media=MERGE)
    assert owners(still) == {}
    await api.apply(path, config_map("untracked", {"a": "2"}), status=409)
    applied = await api.apply(path, config_map("untracked", {"a": "1", "c": "1"}))
    assert owners(applied) == {
        "before-first-apply Update": {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
        "m Apply": {"f:data": {"f:a": {}, "f:c": {}}},
    }


async def test_times_move_only_with_changes(api):
    """An apply or update that changes nothing writes nothing, however late it comes."""
    path = f"{CONFIGMAPS}/times"
    first = await api.apply(path, config_map("times", {"a": "1"}), status=201)
    await api.clock.advance(60)
    assert await api.apply(path, config_map("times", {"a": "1"})) == first
    assert await api("PUT", f"{path}?fieldManager=hand", first) == first
    changed = await api.apply(path, config_map("times", {"a": "2"}))
    assert times(changed)["m"] > times(first)["m"]
    assert version(changed) != version(first)


async def test_a_write_that_the_server_undoes_is_none(api):
    """What comes to the same object in the end, such as another spelling of a quantity, does not move the time."""
    body = deployment("quantity")
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "1"}}
    first = await api.apply(f"{DEPLOYMENTS}/quantity", body, status=201)
    await api.clock.advance(60)
    container["resources"] = {"requests": {"cpu": "1000m"}}
    assert await api.apply(f"{DEPLOYMENTS}/quantity", body) == first


async def test_dry_run_applies_to_nothing(api):
    """The answer is what would be; the store is as it was."""
    path = f"{CONFIGMAPS}/dry"
    shown = await api.apply(path, config_map("dry", {"a": "1"}), query="&dryRun=All", status=201)
    assert owners(shown) == {"m Apply": {"f:data": {"f:a": {}}}}
    await api("GET", path, status=404)


@pytest.mark.parametrize(
    ("query", "body", "status", "message"),
    [
        pytest.param(
            "",
            config_map("bad"),
            422,
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
            id="nobody",
        ),
        pytest.param("?fieldManager=m", "a: [", 400, None, id="no-yaml"),
        pytest.param("?fieldManager=m", "- a", 400, None, id="list"),
        pytest.param("?fieldManager=m", "", 400, "invalid object type: /, Kind=", id="empty"),
        pytest.param(
            "?fieldManager=m",
            {"apiVersion": "apps/v1", "kind": "Pod"},
            400,
            "invalid object type: apps/v1, Kind=Pod",
            id="kind",
        ),
        pytest.param(
            "?fieldManager=m",
            config_map("bad", managedFields=[]),
            400,
            "metadata.managedFields must be nil",
            id="managed-fields",
        ),
        pytest.param(
            "?fieldManager=m",
            config_map("bad", uid="u"),
            409,
            'Operation cannot be fulfilled on configmaps "bad": uid mismatch: the provided object specified uid u, and no '
            "existing object was found",
            id="uid",
        ),
        pytest.param(
            "?fieldManager=m",
            config_map("bad", namespace="other"),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
            id="namespace",
        ),
        pytest.param(
            "?fieldManager=m",
            {**config_map("bad"), "x": 1, "y": 1, "data": {"a": 1}},
            500,
            "failed to create typed patch object (/bad; /v1, Kind=ConfigMap): .x: field not declared in schema",
            id="unknown-field",
        ),
        pytest.param(
            "?fieldManager=m",
            {**config_map("bad"), "data": {"a": 1, "b": True}},
            500,
            "failed to create typed patch object (/bad; /v1, Kind=ConfigMap): errors:\n"
            "  .data.a: expected string, got &value.valueUnstructured{Value:1}\n"
            "  .data.b: expected string, got &value.valueUnstructured{Value:true}",
            id="several-problems",
        ),
    ],
)
async def test_apply_refuses_in_upstreams_words(api, query, body, status, message):
    """Each thing that can be wrong with an apply has its code and text."""
    refused = await api("PATCH", f"{CONFIGMAPS}/bad{query}", body, media=APPLY, status=status)
    assert message is None or refused["message"] == message


@pytest.mark.parametrize("media", ["application/apply-patch+cbor", "application/json"])
async def test_apply_of_another_media_type_is_not_taken(api, media):
    """CBOR is behind a gate that is closed."""
    await api("PATCH", f"{CONFIGMAPS}/bad?fieldManager=m", config_map("bad"), media=media, status=415)


async def test_apply_tells_of_keys_that_stand_twice(api):
    """A warning, an error, or nothing, as the client wants it."""
    path, text = (
        f"{CONFIGMAPS}/twice",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\ndata:\n  a: '1'\n  a: '2'\n",
    )
    refused = await api.apply(path, text, query="&fieldValidation=Strict", status=400)
    assert refused["message"] == (
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        '  line 6: key "a" already set in map'
    )
    created = await api.apply(path, text, status=201)
    assert created["data"] == {"a": "2"}
    assert api.warnings == ['299 - "line 6: key \\"a\\" already set in map"']
    await api.apply(path, text, query="&fieldValidation=Ignore")
    assert api.warnings == []


async def test_apply_under_a_version_is_refused_when_it_is_old(api):
    """A resourceVersion in the configuration is the version that is meant."""
    path = f"{CONFIGMAPS}/locked"
    first = await api.apply(path, config_map("locked", {"a": "1"}), status=201)
    second = await api.apply(path, config_map("locked", {"a": "2"}, resourceVersion=version(first)))
    await api.apply(path, config_map("locked", {"a": "3"}, resourceVersion=version(first)), status=409)
    assert version(second) != version(first)


async def test_kubectl_moves_from_client_side_apply_without_force(api):
    """What the annotation owned is kubectl's to take, as long as nobody changed it since; the annotation is kept true."""
    path = f"{CONFIGMAPS}/migrates"
    client_side = config_map("migrates", {"a": "1", "b": "1"})
    annotated = config_map("migrates", {"a": "1", "b": "1"}, annotations={LAST_APPLIED: json.dumps(client_side)})
    await api("POST", f"{CONFIGMAPS}?fieldManager=kubectl-client-side-apply", annotated, status=201)
    await api("PATCH", f"{path}?fieldManager=hand", {"data": {"b": "9"}}, media=MERGE)
    wanted = config_map("migrates", {"a": "2", "b": "2"})
    refused = await api.apply(path, wanted, "kubectl", status=409)
    assert [cause["field"] for cause in refused["details"]["causes"]] == [".data.b"]
    wanted = config_map("migrates", {"a": "2", "b": "9"})
    applied = await api.apply(path, wanted, "kubectl")
    assert applied["data"] == {"a": "2", "b": "9"}
    assert json.loads(applied["metadata"]["annotations"][LAST_APPLIED]) == wanted
    await api.apply(path, config_map("migrates", {"a": "3"}), "somebody", status=409)


async def test_scale_moves_the_replicas_to_its_manager(api):
    """Who scales owns the replicas of the workload, under the scale; who applied them is told so."""
    path = f"{DEPLOYMENTS}/scaled"
    await api.apply(path, deployment("scaled", replicas=1), status=201)
    scale = await api("PATCH", f"{path}/scale?fieldManager=hand", {"spec": {"replicas": 3}}, media=MERGE)
    assert scale["spec"]["replicas"] == 3
    assert "managedFields" not in scale["metadata"]
    scaled = await api("GET", path)
    assert owners(scaled)["hand Update scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(scaled)["m Apply"]["f:spec"]
    refused = await api.apply(path, deployment("scaled", replicas=1), status=409)
    assert refused["details"]["causes"][0]["message"] == 'conflict with "hand" with subresource "scale" using apps/v1'
    await api.apply(path, deployment("scaled"))
    assert (await api("GET", path))["spec"]["replicas"] == 3


async def test_scale_to_the_same_size_writes_nothing(api):
    """Neither the number nor its owner changes."""
    path = f"{DEPLOYMENTS}/same-size"
    body = deployment("same-size", replicas=2)
    created = await api("POST", f"{DEPLOYMENTS}?fieldManager=creator", body, status=201)
    await api("PATCH", f"{path}/scale?fieldManager=hand", {"spec": {"replicas": 2}}, media=MERGE)
    assert await api("GET", path) == created


async def test_scale_can_be_applied(api):
    """The configuration is a Scale; it conflicts with whoever owns the replicas."""
    path = f"{DEPLOYMENTS}/applied-scale"
    await api.apply(path, deployment("applied-scale", replicas=1), status=201)
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "applied-scale"},
        "spec": {"replicas": 4},
    }
    refused = await api.apply(f"{path}/scale", body, "scaler", status=409)
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "m": .spec.replicas'
    scale = await api.apply(f"{path}/scale", body, "scaler", query="&force=true")
    assert scale["spec"]["replicas"] == 4
    assert owners(await api("GET", path))["scaler Apply scale"] == {"f:spec": {"f:replicas": {}}}
    wrong = {**body, "kind": "Deployment", "apiVersion": "apps/v1"}
    refused = await api.apply(f"{path}/scale", wrong, "scaler", status=400)
    assert refused["message"] == "invalid object type: apps/v1, Kind=Deployment"


async def test_resize_owns_nothing_but_resources(api):
    """A path that takes a part of the pod makes its writer owner of that part alone."""
    path = "/api/v1/namespaces/default/pods/resized"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "resized"},
        "spec": {"containers": [{"name": "c", "image": "example.com/app:1", "resources": {"requests": {"cpu": "1"}}}]},
    }
    await api.apply(path, pod, status=201)
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}}
    resized = await api.apply(f"{path}/resize", pod, "sizer", query="&force=true")
    assert owners(resized)["sizer Apply resize"] == {
        "f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:resources": {"f:requests": {"f:cpu": {}}}}}}
    }


async def test_managed_fields_can_be_rewritten_but_not_through_a_subresource(api):
    """A PUT may move ownership; on a subresource what it says of owners is not listened to."""
    path = f"{DEPLOYMENTS}/rewritten"
    created = await api("POST", f"{DEPLOYMENTS}?fieldManager=creator", deployment("rewritten"), status=201)
    created["metadata"]["managedFields"][0]["manager"] = "heir"
    through = await api("PUT", f"{path}/status", created)
    assert list(owners(through)) == ["creator Update"]
    created["metadata"]["resourceVersion"] = version(through)
    moved = await api("PUT", path, created)
    assert list(owners(moved)) == ["heir Update"]


async def test_managed_fields_of_a_version_unknown_are_dropped(api):
    """Nobody can own fields of a version that there is not."""
    path = f"{CONFIGMAPS}/unknown-version"
    created = await api("POST", CONFIGMAPS, config_map("unknown-version", {"a": "1"}), status=201)
    entry = created["metadata"]["managedFields"][0]
    created["metadata"]["managedFields"].append({**entry, "manager": "old", "apiVersion": "v0"})
    assert "old Update" not in owners(await api("PUT", path, created))


@pytest.mark.parametrize(
    ("media", "body"),
    [
        pytest.param(MERGE, {"metadata": {"managedFields": []}}, id="merge-empty"),
        pytest.param(MERGE, {"metadata": {"managedFields": [{}]}}, id="merge-one-empty"),
        pytest.param(STRATEGIC, {"metadata": {"managedFields": [{}]}}, id="strategic"),
        pytest.param(
            JSON_PATCH, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}], id="json-one-empty"
        ),
        pytest.param(JSON_PATCH, [{"op": "replace", "path": "/metadata/managedFields", "value": []}], id="json-empty"),
    ],
)
async def test_owners_can_be_forgotten_by_any_patch(api, media, body):
    """An empty list, or one empty entry, ends the tracking, even where the patch changes something else."""
    path = f"{CONFIGMAPS}/forgotten"
    await api.apply(path, config_map("forgotten", {"a": "1"}), status=201)
    assert owners(await api("PATCH", path, body, media=media)) == {}
    await api("DELETE", path)


async def test_owners_survive_a_client_that_does_not_know_them(api):
    """A PUT that leaves them out, or sends nonsense, loses nobody's fields."""
    path = f"{CONFIGMAPS}/unknowing"
    await api.apply(path, config_map("unknowing", {"a": "1"}), status=201)
    nonsense = [{"manager": "x", "operation": "Frob", "apiVersion": "v1"}]
    for metadata in ({}, {"managedFields": None}, {"managedFields": nonsense}):
        written = await api("PUT", f"{path}?fieldManager=hand", config_map("unknowing", {"a": "1"}, **metadata))
        assert owners(written) == {"m Apply": {"f:data": {"f:a": {}}}}


async def test_apply_over_items_that_share_a_name(api):
    """Twins, which a create may bring, are owned together until an apply puts one item into their place."""
    path = "/api/v1/namespaces/default/pods/twins"
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "twins", "annotations": {"a": "1"}},
        "spec": {"containers": [{"name": "c", "image": "example.com/app:1", "env": env}]},
    }
    created = await api("POST", "/api/v1/namespaces/default/pods?fieldManager=creator", pod, status=201)
    container = owners(created)["creator Update"]["f:spec"]["f:containers"]['k:{"name":"c"}']
    assert container["f:env"] == {".": {}, 'k:{"name":"A"}': {}}
    annotated = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "twins", "annotations": {"b": "1"}}}
    kept = await api.apply(path, annotated)
    assert kept["spec"]["containers"][0]["env"] == env
    one = {**annotated, "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "3"}]}]}}
    refused = await api.apply(path, one, status=409)
    assert refused["message"] == (
        'Apply failed with 1 conflict: conflict with "creator" using v1: .spec.containers[name="c"].env[name="A"]'
    )


async def test_apply_that_creates_needs_the_right_to_create(api):
    """To patch is enough for what is there already."""
    rules = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
    await api("POST", f"{rules}/roles", {"metadata": {"name": "patcher"}, "rules": [rule]}, status=201)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patcher"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    binding = {"metadata": {"name": "patcher"}, "roleRef": reference, "subjects": [subject]}
    await api("POST", f"{rules}/rolebindings", binding, status=201)
    body, path = config_map("janes", {"a": "1"}), f"{CONFIGMAPS}/janes?fieldManager=jane"
    refused = await api("PATCH", path, body, media=APPLY, user="jane", status=403)
    assert 'cannot create resource "configmaps"' in refused["message"]
    await api("POST", CONFIGMAPS, config_map("janes"), status=201)
    assert (await api("PATCH", path, body, media=APPLY, user="jane"))["data"] == {"a": "1"}


async def test_owners_by_updates_are_capped(api):
    """Beyond ten managers the oldest are put together."""
    path = f"{CONFIGMAPS}/capped"
    await api("POST", f"{CONFIGMAPS}?fieldManager=m00", config_map("capped", {"k00": ""}), status=201)
    for number in range(1, 12):
        await api.clock.advance(1)
        change = {"data": {f"k{number:02}": ""}}
        written = await api("PATCH", f"{path}?fieldManager=m{number:02}", change, media=MERGE)
    assert len(owners(written)) == 10
    assert owners(written)["ancient-changes Update"] == {"f:data": {".": {}, "f:k00": {}, "f:k01": {}, "f:k02": {}}}
