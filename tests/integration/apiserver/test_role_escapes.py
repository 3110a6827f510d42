"""Roles that reach too far: over namespaces, names and kinds, and by every way in which a role or binding is written (check 33).

A whole server with authentication and RBAC on; each test names the CVE class that it holds.
"""

import base64
import json

import pytest
import pytest_asyncio
from tests.support.bad_input import ROOT, bad_input_server, bind, status_of

from pinnace.api.resources import RESOURCES
from pinnace.component.http import UserInfo

pytestmark = pytest.mark.asyncio(loop_scope="module")

JANE = UserInfo("jane", groups=("system:authenticated",))
RBAC = "/apis/rbac.authorization.k8s.io/v1"
HERE = "/api/v1/namespaces/default"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server where jane may do everything in one namespace."""
    async with bad_input_server() as running:
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        await running.send(
            "POST", f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "all"}, "rules": [everything]}
        )
        await bind(running, "all", "Role", "jane", "default")
        yield running


# ── places ──


@pytest.mark.parametrize(
    "resource",
    [one for one in RESOURCES if not one.namespaced and one.is_stored],
    ids=lambda one: f"{one.plural}.{one.group}".rstrip("."),
)
async def test_right_to_a_namespace_reaches_no_cluster_scoped_kind(server, resource):
    """A path that puts such a kind into a namespace is no path, for a role that may do everything there (CVE-2019-11247)."""
    base = f"/apis/{resource.api_version}" if resource.group else "/api/v1"
    where = f"{base}/namespaces/default/{resource.plural}"
    for method, target in (
        ("GET", where),
        ("GET", f"{where}/a"),
        ("POST", where),
        ("DELETE", f"{where}/a"),
        ("GET", f"{where}?watch=1"),
        ("GET", f"{base}/{resource.plural}"),
    ):
        answer = await server.send(method, target, {} if method == "POST" else b"", who=JANE)
        assert answer.status in {403, 404, 405}, (method, target)


NESTED = (
    "namespaces/default/namespaces/victim",
    "namespaces/default/%6eamespaces/victim",
    "namespaces/default/namespaces/victim/status",
    "namespaces/default/namespaces/victim/finalize",
    "namespaces/default/namespaces",
    "watch/namespaces/default/namespaces/victim",
    "watch/namespaces/default/namespaces",
    "namespaces/default/status/victim",
)


@pytest.mark.parametrize("path", NESTED)
async def test_right_to_a_namespace_reaches_no_other_namespace(server, path):
    """A namespace inside of a namespace is no path: whoever may do everything in one reads, makes and deletes no other."""
    await server.send("POST", "/api/v1/namespaces", {"metadata": {"name": "victim"}})
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        body = (
            {"metadata": {"name": "victim", "labels": {"taken": "yes"}}} if method in {"POST", "PUT", "PATCH"} else b""
        )
        headers = {"Content-Type": MERGE} if method == "PATCH" else {}
        answer = await server.send(method, f"/api/v1/{path}", body, who=JANE, headers=headers)
        assert answer.status in {404, 405}, (method, answer.body)
    meta = status_of(await server.send("GET", "/api/v1/namespaces/victim"))["metadata"]
    assert "taken" not in meta["labels"]
    assert "deletionTimestamp" not in meta
    assert (await server.send("GET", "/api/v1/namespaces/default", who=JANE)).status == 200


async def test_paths_of_watches_are_for_watching(server):
    """Nothing is made, deleted, evicted or run by them."""
    where = "/api/v1/watch/namespaces/default"
    for method, path in (
        ("POST", "configmaps"),
        ("DELETE", "configmaps"),
        ("DELETE", "configmaps/a"),
        ("PUT", "configmaps/a"),
        ("PATCH", "configmaps/a"),
        ("POST", "pods/a/eviction"),
        ("GET", "pods/a/log"),
        ("GET", "pods/a/exec"),
        ("GET", "services/a/proxy"),
        ("PUT", "pods/a/status"),
    ):
        body = {"metadata": {"name": "a"}} if method in {"POST", "PUT", "PATCH"} else b""
        headers = {"Content-Type": MERGE} if method == "PATCH" else {}
        answer = await server.send(method, f"{where}/{path}", body, headers=headers)
        assert answer.status == (404 if path.count("/") > 1 else 405), (method, path)


async def test_names_that_begin_alike_are_apart(server):
    """Lists, watches and deletions of a namespace, kind or name take in none that merely begins so, nor one that climbs (CVE-2015-5305, 2022-3162)."""
    for namespace in ("ab", "abc"):
        await server.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        for name in ("x", "xy"):
            await server.send("POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": name}})
    listed = status_of(await server.send("GET", "/api/v1/namespaces/ab/configmaps"))["items"]
    assert [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in listed] == [("ab", "x"), ("ab", "xy")]
    for climbing in ("..%2Fabc%2Fconfigmaps", "%2e%2e", "ab%2F", "a", "%00", "ab%2F..%2Fabc", "*"):
        assert status_of(await server.send("GET", f"/api/v1/namespaces/{climbing}/configmaps"))["items"] == []
        for name in (f"{climbing}", f"..%2F{climbing}", "x%2F"):
            assert (await server.send("GET", f"/api/v1/namespaces/ab/configmaps/{name}")).status == 404
    await server.send("DELETE", "/api/v1/namespaces/ab/configmaps")
    assert len(status_of(await server.send("GET", "/api/v1/namespaces/abc/configmaps"))["items"]) == 2
    for name in ("../x", "..", ".", "a/b", "a%2fb", "a%b", ""):
        answer = await server.send("POST", f"{HERE}/configmaps?dryRun=All", {"metadata": {"name": name}})
        assert answer.status == 422


@pytest.mark.parametrize(
    "start",
    ["../victim/a", "/../victim/a", "victim/a", "/a", "a", "", "../../secrets/a", "/registry/secrets/a", "x" * 100_000],
)
async def test_continued_list_stays_in_its_namespace(server, start):
    """Where a list goes on is said by a token that clients can make up; it leads to no other place than the path does."""
    for namespace in ("default", "victim"):
        await server.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        await server.send("POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "b"}})
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": -1, "start": start + "\0"}).encode()
    token = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    answer = await server.send("GET", f"{HERE}/configmaps?limit=10&continue={token}", who=JANE)
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert {one["metadata"]["namespace"] for one in status_of(answer)["items"]} <= {"default"}


# ── roles ──


def rule(**fields):
    return {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], **fields}


ROLE_WRITES = {
    "create": ("POST", "", "application/json", lambda rules: {"metadata": {"name": "new"}, "rules": rules}),
    "update that creates": ("PUT", "/new", "application/json", lambda rules: {"metadata": {"name": "new"}, "rules": rules}),
    "update": ("PUT", "/there", "application/json", lambda rules: {"metadata": {"name": "there"}, "rules": rules}),
    "merge": ("PATCH", "/there", MERGE, lambda rules: {"rules": rules}),
    "json": ("PATCH", "/there", JSON_PATCH, lambda rules: [{"op": "add", "path": "/rules", "value": rules}]),
    "strategic": ("PATCH", "/there", STRATEGIC, lambda rules: {"rules": rules}),
    "apply": ("PATCH", "/there?fieldManager=m&force=true", APPLY, lambda rules: {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "there"}, "rules": rules}),
    "apply that creates": ("PATCH", "/new?fieldManager=m", APPLY, lambda rules: {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "new"}, "rules": rules}),
    "labels alone": ("PATCH", "/strong", MERGE, lambda rules: {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}),
}  # fmt: skip
MORE = {
    "another verb": rule(verbs=["list"]),
    "every verb": rule(verbs=["*"]),
    "without the name": rule(resourceNames=[]),
    "another name": rule(resourceNames=["mine", "other"]),
    "paths by more stars": {"verbs": ["get"], "nonResourceURLs": ["/mine/**"]},
    "paths above": {"verbs": ["get"], "nonResourceURLs": ["/*"]},
    "every group": rule(apiGroups=["*"], resourceNames=["mine"]),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def writer(server):
    """Nora writes cluster roles, and may else get one secret and some paths; `there` is weak, `strong` is more than hers."""
    held = [rule(resourceNames=["mine"]), {"verbs": ["get"], "nonResourceURLs": ["/mine/a*"]}]
    roles = rule(
        apiGroups=["rbac.authorization.k8s.io"], resources=["clusterroles"], verbs=["create", "update", "patch", "get"]
    )
    await server.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "nora"}, "rules": [*held, roles]})
    await server.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "there"}, "rules": held[:1]})
    await server.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "strong"}, "rules": [rule(verbs=["*"])]})
    await bind(server, "nora", "ClusterRole", "nora")
    return UserInfo("nora", groups=("system:authenticated",))


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
@pytest.mark.parametrize(("method", "path", "media", "body"), ROLE_WRITES.values(), ids=ROLE_WRITES)
async def test_no_way_of_writing_a_role_gives_more(server, writer, method, path, media, body, more):
    """Created, updated, patched or applied, a role holds nothing that its writer does not; nor does an old one become part of another (check 33)."""
    where, _, query = path.partition("?")
    target = f"{RBAC}/clusterroles{where}?dryRun=All" + (f"&{query}" if query else "")
    headers = {"Content-Type": media}
    if where != "/strong":
        same = await server.send(method, target, body([rule(resourceNames=["mine"])]), who=writer, headers=headers)
        assert same.status in {200, 201}, same.body
    answer = await server.send(method, target, body([more]), who=writer, headers=headers)
    assert answer.status == 403, answer.body
    assert "is attempting to grant RBAC permissions not currently held" in status_of(answer)["message"]


async def test_right_to_change_makes_nothing(server):
    """An apply or an update of what is not there makes it, and takes the right to create besides."""
    rules = [
        {"verbs": ["patch", "update"], "apiGroups": ["", "coordination.k8s.io"], "resources": ["configmaps", "leases"]}
    ]
    await server.send("POST", f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "change"}, "rules": rules})
    await bind(server, "change", "Role", "carl", "default")
    carl = UserInfo("carl", groups=("system:authenticated",))
    await server.send("POST", f"{HERE}/configmaps", {"metadata": {"name": "there"}})
    for name, code in (("there", 200), ("new", 403)):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        target = f"{HERE}/configmaps/{name}?fieldManager=m"
        assert (await server.send("PATCH", target, body, who=carl, headers={"Content-Type": APPLY})).status == code
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/new"
    assert (await server.send("PUT", lease, {"metadata": {"name": "new"}}, who=carl)).status == 403


async def test_subjects_of_a_binding_are_not_widened_by_who_lacks_its_role(server):
    """Who may patch bindings adds nobody, also not themselves, to one whose role is more than theirs."""
    rules = [
        rule(
            apiGroups=["rbac.authorization.k8s.io"],
            resources=["clusterrolebindings"],
            verbs=["patch", "update", "create", "get"],
        )
    ]
    await server.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "binder"}, "rules": rules})
    await bind(server, "binder", "ClusterRole", "bill")
    bill = UserInfo("bill", groups=("system:authenticated",))
    subjects = [{"kind": "User", "name": "bill", "apiGroup": "rbac.authorization.k8s.io"}]
    for media, body in (
        (MERGE, {"subjects": subjects}),
        (JSON_PATCH, [{"op": "add", "path": "/subjects/-", "value": subjects[0]}]),
    ):
        answer = await server.send(
            "PATCH", f"{RBAC}/clusterrolebindings/cluster-admin", body, who=bill, headers={"Content-Type": media}
        )
        assert answer.status == 403
    assert (await server.send("GET", f"{HERE}/secrets", who=bill)).status == 403
    assert (await server.send("GET", f"{HERE}/secrets", who=ROOT)).status == 200
