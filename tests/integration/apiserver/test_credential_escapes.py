"""Credentials used for longer, elsewhere or for more than they are good for: tokens and nodes (checks 34 and 35).

A whole server with authentication and RBAC on. The tables of forged tokens are in `unit/apiserver/authentication/test_forged_tokens.py` and
`test_escapes.py`.
"""

import base64
import json
import random

import jwt
import pytest
import pytest_asyncio
from tests.support.bad_input import bad_input_server, bind, status_of
from tests.support.manifests import manifest

from pinnace.api.resources import RESOURCES
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.http import UserInfo

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = SigningKey()
ISSUER = "https://kubernetes.default.svc.cluster.local"
HERE, RBAC = "/api/v1/namespaces/default", "/apis/rbac.authorization.k8s.io/v1"
JANE = UserInfo("jane", groups=("system:authenticated",))
N1 = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server with one object of each kind, and nodes n1 and n2 with a pod each; jane asks tokens for one account."""
    async with bad_input_server(key=KEY) as running:
        for resource in RESOURCES:
            if resource.is_stored and (resource.group, resource.plural) != ("", "pods"):
                await running.send("POST", resource.path("default"), manifest(resource))
        for node in ("n1", "n2"):
            await running.send("POST", "/api/v1/nodes", {"metadata": {"name": node}})
            await running.send("POST", f"{HERE}/serviceaccounts", {"metadata": {"name": f"of-{node}"}})
            await running.send(
                "POST", f"{HERE}/secrets", {"metadata": {"name": f"of-{node}"}, "stringData": {"k": "v"}}
            )
            await make_pod(running, f"on-{node}", node)
        asking = {
            "verbs": ["create"],
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": ["of-n1"],
        }
        await running.send("POST", f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "ask"}, "rules": [asking]})
        await bind(running, "ask", "Role", "jane", "default")
        yield running


async def make_pod(server, name, node):
    volumes = [{"name": "s", "secret": {"secretName": f"of-{node}"}}]
    spec = {
        "nodeName": node,
        "serviceAccountName": f"of-{node}",
        "containers": [{"name": "c", "image": "i"}],
        "volumes": volumes,
    }
    answer = await server.send("POST", f"{HERE}/pods", {"metadata": {"name": name}, "spec": spec})
    assert answer.status == 201, answer.body
    return status_of(answer)["metadata"]["uid"]


async def token_of(server, account, who=None, **spec):
    """Ask for a token; return the code and the token, or what was said."""
    answer = await server.send(
        "POST", f"{HERE}/serviceaccounts/{account}/token", {"spec": spec}, **({"who": who} if who else {})
    )
    tree = status_of(answer)
    return answer.status, tree["status"]["token"] if answer.status == 201 else tree["message"]


async def who_is(server, token):
    """Return the code and the name that a token gives."""
    answer = await server.send(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {},
        who=None,
        headers={"Authorization": f"Bearer {token}"},
    )
    return answer.status, status_of(answer).get("status", {}) if answer.status == 201 else {}


BOUND = {"Pod": "pods", "Secret": "secrets", "Node": "nodes", "ServiceAccount": "serviceaccounts"}


@pytest.mark.parametrize("kind", BOUND)
async def test_token_dies_with_what_it_is_bound_to(server, kind):
    """The request behind the deletion is refused already, and a new object of the same name brings nothing back (upstream caches for 10 s)."""
    where = f"{HERE}/{BOUND[kind]}" if kind != "Node" else "/api/v1/nodes"
    account = "mortal" if kind == "ServiceAccount" else "of-n1"
    body = {"metadata": {"name": "mortal"}}
    if kind == "Pod":
        body["spec"] = {"serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]}
    made = status_of(await server.send("POST", where, body))
    reference = (
        {}
        if kind == "ServiceAccount"
        else {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": "mortal", "uid": made["metadata"]["uid"]}}
    )
    code, token = await token_of(server, account, **reference)
    assert code == 201, token
    assert (await who_is(server, token))[0] == 201
    await server.send("DELETE", f"{where}/mortal?gracePeriodSeconds=0")
    assert (await who_is(server, token))[0] == 401
    await server.send("POST", where, body)
    assert (await who_is(server, token))[0] == 401
    await server.send("DELETE", f"{where}/mortal?gracePeriodSeconds=0")


async def test_token_says_what_it_is_and_no_more(server):
    """Its user is the account, in the account's groups; a token for others is none here, and is told so when it is reviewed."""
    _, token = await token_of(server, "of-n1")
    code, status = await who_is(server, token)
    assert (code, status["userInfo"]["username"]) == (201, "system:serviceaccount:default:of-n1")
    assert sorted(status["userInfo"]["groups"]) == [
        "system:authenticated",
        "system:serviceaccounts",
        "system:serviceaccounts:default",
    ]
    _, elsewhere = await token_of(server, "of-n1", audiences=["vault"])
    assert (await who_is(server, elsewhere))[0] == 401
    for audiences, good in ((["vault"], True), ([ISSUER], False), ([], False), (["other", "vault"], True)):
        review = {"spec": {"token": elsewhere, "audiences": audiences}}
        answer = status_of(await server.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review))
        assert answer["status"].get("authenticated", False) is good
        assert answer["status"].get("audiences") == (["vault"] if good else None)


@pytest.mark.parametrize(
    ("account", "spec", "code"),
    [
        pytest.param("of-n1", {}, 201, id="its own"),
        pytest.param("of-n2", {}, 403, id="another account"),
        pytest.param("of-n1%2F..%2Fof-n2", {}, 403, id="a path"),
        pytest.param(
            "of-n1",
            {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "on-n2"}},
            400,
            id="another account's pod",
        ),
        pytest.param(
            "of-n1",
            {"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a"}},
            400,
            id="what no token is bound to",
        ),
        pytest.param("of-n1", {"expirationSeconds": 1 << 33}, 422, id="for ever"),
        pytest.param("of-n1", {"expirationSeconds": 1}, 422, id="for a moment"),
    ],
)
async def test_right_to_ask_tokens_is_for_the_account_that_it_names(server, account, spec, code):
    """A role on one account's tokens gives none of another's, in no namespace."""
    assert (await token_of(server, account, JANE, **spec))[0] == code
    answer = await server.send(
        "POST", "/api/v1/namespaces/kube-system/serviceaccounts/default/token", {"spec": spec}, who=JANE
    )
    assert answer.status == 403


async def test_request_for_an_account_that_has_been_replaced_is_refused(server):
    """Whoever names the account's uid gets no token of another that came by its name."""
    body = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "spec": {}}
    answer = await server.send("POST", f"{HERE}/serviceaccounts/of-n1/token", body)
    assert answer.status == 409
    assert "does not match the UID of the service account" in status_of(answer)["message"]


async def test_changed_tokens_are_nobody(server):
    """Of thousands of tokens with a byte changed, dropped, doubled or swapped, none is let in, and none is answered otherwise than 401."""
    _, token = await token_of(server, "of-n1")
    chance = random.Random(35)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/~\u00e9"
    for _ in range(3000):
        # The last character holds bits that no decoder looks at.
        at = chance.randrange(len(token) - 1)
        other = chance.choice(["", token[at] * 2, chance.choice(letters), token[at + 1] + token[at]])
        changed = (
            token[:at]
            + other
            + token[at + (2 if len(other) == 2 and other[1] == token[at] and other[0] != token[at] else 1) :]
        )
        if changed == token:
            continue
        answer = await server.send("GET", "/version", who=None, headers={"Authorization": f"Bearer {changed}"})
        assert answer.status == 401, (at, other)


async def test_claims_of_a_stolen_key_still_have_to_be_true(server):
    """Even signed by the right key, a token is checked against what is there: account, pod, uid and times (a key that leaks is not all)."""
    _, token = await token_of(server, "of-n1")
    head, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    head.pop("alg")
    private = claims["kubernetes.io"]
    changes = (
        {"sub": "system:serviceaccount:default:of-n2"},
        {
            "kubernetes.io": {**private, "serviceaccount": {"name": "of-n2", "uid": private["serviceaccount"]["uid"]}},
            "sub": "system:serviceaccount:default:of-n2",
        },
        {"kubernetes.io": {**private, "pod": {"name": "on-n1", "uid": "x"}}},
        {"kubernetes.io": {**private, "node": {"name": "n9", "uid": "x"}}},
        {"exp": claims["iat"]},
        {"nbf": claims["iat"] + 3600},
        {"aud": ["vault"]},
        {"iss": "kubernetes/serviceaccount"},
    )
    for change in changes:
        forged = jwt.encode({**claims, **change}, KEY.private, "RS256", headers=head)
        assert (await who_is(server, forged))[0] == 401, change


# ── nodes ──

METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "deletecollection": "DELETE",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}
# What upstream's rules for nodes let them do to objects that are nobody's in particular; the rest of the table is refused.
ALLOWED = {
    "services": {"get", "list", "watch"},
    "csidrivers.storage.k8s.io": {"get", "list", "watch"},
    "runtimeclasses.node.k8s.io": {"get", "list", "watch"},
    "endpoints": {"get"},
    "certificatesigningrequests.certificates.k8s.io": {"get", "list", "watch", "create"},
    "clustertrustbundles.certificates.k8s.io": {"get", "list", "watch"},
    "events": {"create", "update", "patch"},
}
OTHERS = {"pods": "on-n2", "secrets": "of-n2", "serviceaccounts": "of-n2", "nodes": "n2"}


@pytest.mark.parametrize(
    "resource",
    [one for one in RESOURCES if one.is_stored],
    ids=lambda one: f"{one.plural}.{one.version}.{one.group}".rstrip("."),
)
async def test_node_reaches_no_object_of_others_by_any_verb(server, resource):
    """Every verb on every kind: what upstream's rules for nodes do not give is refused, by authorization or admission."""
    name = OTHERS.get(resource.plural, manifest(resource)["metadata"]["name"])
    for verb in METHODS.keys() & set(resource.verbs):
        target = resource.path("default", name if verb in {"get", "update", "patch", "delete"} else "")
        query = {"watch": "?watch=1", "get": "", "list": ""}.get(verb, "?dryRun=All")
        body = {**manifest(resource), "metadata": {"name": name}} if verb in {"create", "update"} else b""
        headers = MERGE if verb == "patch" else {}
        answer = await server.send(METHODS[verb], target + query, body or {}, who=N1, headers=headers)
        if not isinstance(answer.body, bytes):
            await answer.body.aclose()
        assert (answer.status != 403) is (verb in ALLOWED.get(f"{resource.plural}.{resource.group}".rstrip("."), ())), (
            verb,
            answer.status,
        )


async def test_node_loses_what_its_pod_used_with_the_pod(server):
    """Access begins with the binding and ends with the pod, from the next request on; another node never had it."""
    secret = f"{HERE}/secrets/of-n1"
    n2 = UserInfo("system:node:n2", groups=("system:nodes", "system:authenticated"))
    uid = status_of(await server.send("GET", f"{HERE}/pods/on-n1"))["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "on-n1", "uid": uid}
    assert (await server.send("GET", secret, who=N1)).status == 200
    assert (await token_of(server, "of-n1", N1, boundObjectRef=reference))[0] == 201
    for who, spec in (
        (N1, {}),
        (N1, {"boundObjectRef": {**reference, "uid": "x"}}),
        (N1, {"boundObjectRef": reference, "audiences": ["vault"]}),
        (n2, {"boundObjectRef": reference}),
    ):
        assert (await token_of(server, "of-n1", who, **spec))[0] == 403
    assert (await server.send("GET", secret, who=n2)).status == 403
    assert (await server.send("GET", f"{HERE}/pods/on-n1", who=n2)).status == 403
    await server.send("DELETE", f"{HERE}/pods/on-n1?gracePeriodSeconds=0")
    assert (await server.send("GET", secret, who=N1)).status == 403
    assert (await token_of(server, "of-n1", N1, boundObjectRef=reference))[0] == 403
    assert (await server.send("GET", f"{HERE}/pods/on-n1", who=N1)).status in {403, 404}


async def test_user_with_a_nodes_name_is_no_node(server):
    """It takes the group, too, and a name behind the prefix."""
    for user in (
        UserInfo("system:node:n1", groups=("system:authenticated",)),
        UserInfo("system:node:", groups=("system:nodes", "system:authenticated")),
        UserInfo("n1", groups=("system:nodes", "system:authenticated")),
    ):
        assert (await server.send("GET", "/api/v1/nodes/n1", who=user)).status == 403
        assert (
            await server.send(
                "PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"a": "b"}}}, who=user, headers=MERGE
            )
        ).status == 403


async def test_anonymous_stays_anonymous(server):
    """Nobody becomes anybody by an empty, odd or half credential, and nobody sees what somebody sees."""
    encoded = base64.b64encode(b"root:root").decode()
    for value in (
        "",
        "Bearer",
        "Bearer ",
        "bearer\t",
        f"Basic {encoded}",
        "Negotiate x",
        "Digest username=root",
        "token",
    ):
        answer = await server.send(
            "GET", f"{HERE}/configmaps", who=None, headers={"Authorization": value} if value else {}
        )
        assert answer.status == 403
        assert 'User "system:anonymous"' in status_of(answer)["message"]
    answer = await server.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, who=None)
    assert answer.status == 403
    assert json.loads(answer.body)["reason"] == "Forbidden"
