"""Ways out of the rights that one has, at a whole API server: tokens, certificates, roles, nodes, and what is told to whom.

The tables of single parts (tokens in `unit/apiserver/authentication`, paths in `test_access`, roles in `test_rbac`) are not repeated; here each
attempt goes all the way from a request's bytes to the store (checks 33 to 36, and the classes of past vulnerabilities that belong to them).
"""

import base64
import json
import logging

import jwt
import pytest
import pytest_asyncio
import structlog
from tests.support.bad_input import bad_input_server, status_of

from pinnace.apiserver.authentication import without_credentials
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.apiserver.streaming.proxy import refuse_local
from pinnace.component import logging as component_logging
from pinnace.component.clock import RealClock
from pinnace.component.http import Headers, UserInfo
from pinnace.component.tls import CertificateAuthority
from pinnace.machinery.errors import BadRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY, OTHER = SigningKey(), SigningKey()
JANE = UserInfo("jane", groups=("system:authenticated",))
NODE = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SECRET = "c2VjcmV0LWNhbmFyeQ=="


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server where jane may read config maps, and write roles and bindings, of one namespace; with a secret beside them."""
    async with bad_input_server(key=KEY) as running:
        rules = [
            {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["configmaps"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log", "nodes/proxy"]},
            {
                "verbs": ["*"],
                "apiGroups": ["rbac.authorization.k8s.io"],
                "resources": ["roles", "rolebindings"],
                "resourceNames": ["mine"],
            },
            {"verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]},
        ]
        namespace = "/namespaces/default"
        await running.send("POST", f"{RBAC}{namespace}/roles", {"metadata": {"name": "jane"}, "rules": rules})
        subject = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
        reference = {"kind": "Role", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": "jane"}, "subjects": [subject], "roleRef": reference}
        await running.send("POST", f"{RBAC}{namespace}/rolebindings", binding)
        await running.send("POST", f"/api/v1{namespace}/secrets", {"metadata": {"name": "key"}, "data": {"k": SECRET}})
        for node in ("n1", "n2"):
            await running.send("POST", "/api/v1/nodes", {"metadata": {"name": node}})
        yield running


async def issued(server):
    """Return a good token of the default account, and what is in it."""
    answer = await server.send(
        "POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {"audiences": []}}
    )
    token = status_of(answer)["status"]["token"]
    return token, jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


FORGED = {
    "the key of another cluster": lambda head, claims: jwt.encode(claims, OTHER.private, "RS256", headers=head),
    "alg none": lambda head, claims: jwt.encode(claims, "", "none", headers={"kid": head["kid"]}),
    "a key named by a path": lambda head, claims: jwt.encode(claims, OTHER.private, "RS256", headers={"kid": "../../../dev/null"}),
    "a key named by a number": lambda head, claims: ".".join((
        base64.urlsafe_b64encode(json.dumps({**head, "kid": 1}).encode()).rstrip(b"=").decode(),
        *jwt.encode(claims, OTHER.private, "RS256").split(".")[1:],
    )),
    "a key in the header": lambda head, claims: jwt.encode(
        claims, OTHER.private, "RS256", headers={**head, "jwk": {"kty": "RSA"}, "jku": "http://x", "x5u": "http://x"}
    ),
    "another account": lambda head, claims: jwt.encode(
        {**claims, "sub": "system:serviceaccount:kube-system:default"}, KEY.private, "RS256", headers=head
    ),
    "another issuer": lambda head, claims: jwt.encode({**claims, "iss": "https://elsewhere"}, KEY.private, "RS256", headers=head),
    "another audience": lambda head, claims: jwt.encode({**claims, "aud": ["vault"]}, KEY.private, "RS256", headers=head),
    "a time that is over": lambda head, claims: jwt.encode({**claims, "exp": 1}, KEY.private, "RS256", headers=head),
}  # fmt: skip


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_forged_token_opens_nothing_by_any_way_in(server, forge):
    """As a header or as a WebSocket's subprotocol it is 401, also on paths that are open to nobody; the message does not hold it."""
    token, head, claims = await issued(server)
    head.pop("alg", None)
    forged = forge(head, claims)
    protocol = (
        "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(forged.encode()).rstrip(b"=").decode()
    )
    websocket = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Protocol": f"v5.channel.k8s.io, {protocol}",
    }
    for headers in ({"Authorization": f"Bearer {forged}"}, websocket):
        for target in ("/version", "/api/v1/namespaces/default/configmaps"):
            answer = await server.send("GET", target, who=None, headers=headers)
            assert answer.status == 401
            assert forged.encode() not in answer.body
    assert (await server.send("GET", "/version", who=None, headers={"Authorization": f"Bearer {token}"})).status == 200


@pytest.mark.parametrize(
    ("name", "groups", "code"),
    [
        pytest.param("", ["system:masters"], 403, id="groups without a name"),
        pytest.param("system:masters", [], 403, id="a name like the group"),
        pytest.param("jane", ["system:masters "], 403, id="a group with a blank"),
        pytest.param("jane", ["SYSTEM:MASTERS"], 403, id="a group in capitals"),
        pytest.param("jane", ["a,system:masters"], 403, id="a list in one group"),
        pytest.param("root", ["system:masters"], 200, id="the real one"),
    ],
)
async def test_certificate_gives_the_groups_that_it_names(server, name, groups, code):
    """Names and groups are taken as they stand in the subject: nothing is split, trimmed or folded."""
    pair = CertificateAuthority.create("ca", RealClock().time()).issue_client(name, groups, RealClock().time())
    der = base64.b64decode("".join(str(pair.certificate_pem, "ascii").split("-----")[2].split()))
    answer = await server.send("GET", "/api/v1/secrets", who=None, certificate=der)
    assert answer.status == code


def role(*rules):
    return {"metadata": {"name": "mine"}, "rules": list(rules)}


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}, id="another resource"),
        pytest.param({"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"]}, id="every verb"),
        pytest.param({"verbs": ["get"], "apiGroups": [""], "resources": ["*"]}, id="every resource"),
        pytest.param({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, id="a subresource of everything"),
        pytest.param({"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps/*"]}, id="every subresource"),
        pytest.param({"verbs": ["get"], "apiGroups": ["*"], "resources": ["configmaps"]}, id="every group"),
        pytest.param({"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"]}, id="exec"),
        pytest.param(
            {"verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]}, id="escalate"
        ),
        pytest.param(
            {"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]}, id="bind"
        ),
        pytest.param({"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"]}, id="impersonate"),
    ],
)
async def test_nobody_gives_themselves_more(server, rule):
    """A role with more than its writer holds is refused, alone or behind rules that would pass, created or patched."""
    path = f"{RBAC}/namespaces/default/roles"
    held = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}
    for rules in ((rule,), (held, rule)):
        answer = await server.send("POST", f"{path}?dryRun=All", role(*rules), who=JANE)
        assert answer.status == 403, answer.body
        assert "is attempting to grant RBAC permissions not currently held" in status_of(answer)["message"]
    assert (await server.send("POST", f"{path}?dryRun=All", role(held), who=JANE)).status == 201


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({"Impersonate-User": "root", "Impersonate-Group": "system:masters"}, 403, id="masters"),
        pytest.param({"Impersonate-User": "system:serviceaccount:kube-system:default"}, 403, id="account"),
        pytest.param({"Impersonate-User": "system:node:n1"}, 403, id="node"),
        pytest.param({"Impersonate-Group": "system:masters"}, 400, id="group alone"),
        pytest.param({"Impersonate-Uid": "1"}, 400, id="uid alone"),
        pytest.param({"Impersonate-Extra-Scopes": "all"}, 400, id="extra alone"),
        pytest.param({"impersonate-user": "root"}, 403, id="lower case"),
    ],
)
async def test_nobody_becomes_somebody_else(server, headers, code):
    """Acting for others takes the right to, for every part of the name."""
    answer = await server.send("GET", "/api/v1/namespaces/default/configmaps", who=JANE, headers=headers)
    assert answer.status == code


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/configmaps",
        "/api/v1/configmaps?fieldSelector=metadata.namespace%3Ddefault",
        "/api/v1/namespaces/kube-system/configmaps",
        "/api/v1/namespaces/default/secrets",
        "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dkey",
        "/api/v1/namespaces/default/secrets?fieldSelector=type%3DOpaque",
        "/api/v1/namespaces/default/secrets?labelSelector=a&limit=1",
        "/api/v1/namespaces/default/secrets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        "/api/v1/watch/namespaces/default/secrets/key",
        "/api/v1/namespaces/default/pods/p/log/../exec",
        "/api/v1/nodes/n1/proxy/exec/default/p/c",
        "/api/v1/nodes/n1/configz",
        "/metrics",
        "/metrics/slis",
        "/logs/apiserver.log",
        "/debug/pprof/",
        "/debug/pprof/heap",
    ],
)
async def test_narrow_role_sees_nothing_beside_it(server, target):
    """Rights in one namespace open no other, no selector narrows a refusal away, and no error tells what is there."""
    for accept in (
        "application/json",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    ):
        answer = await server.send("GET", target, who=JANE, headers={"Accept": accept})
        assert answer.status in {403, 404}
        assert SECRET.encode() not in answer.body


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        pytest.param("GET", "/api/v1/nodes/n2/proxy/", None, id="another node's kubelet"),
        pytest.param("PATCH", "/api/v1/nodes/n2", {"metadata": {"labels": {"a": "b"}}}, id="another node"),
        pytest.param(
            "PATCH", "/api/v1/nodes/n1", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}]}},
            id="an owner of itself",
        ),
        pytest.param("PATCH", "/api/v1/nodes/n1", {"metadata": {"labels": {"node-restriction.kubernetes.io/a": "b"}}}, id="a label that is not its own"),
        pytest.param("DELETE", "/api/v1/nodes/n1", None, id="itself"),
        pytest.param("GET", "/api/v1/namespaces/default/secrets/key", None, id="a secret of no pod of its"),
        pytest.param("GET", "/api/v1/secrets", None, id="all secrets"),
        pytest.param("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {"audiences": []}}, id="a token of no pod of its"),
        pytest.param(
            "POST", "/api/v1/namespaces/default/pods",
            {"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}, id="a pod that is no mirror",
        ),
    ],
)  # fmt: skip
async def test_node_reaches_nothing_but_its_own(server, method, target, body):
    """A node's credential is good for the node, its pods and what they use (check 34, CVE-2025-5187)."""
    headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = await server.send(method, target, b"" if body is None else body, who=NODE, headers=headers)
    assert answer.status == 403, answer.body


async def test_secrets_stay_out_of_logs_and_errors(server, capsys, request):
    """Tokens, values of secrets and what is in refused bodies are in no log at its most talkative level, nor in an error (check 39's class)."""
    component_logging.configure(level=logging.DEBUG)
    request.addfinalizer(structlog.reset_defaults)
    token, _, _ = await issued(server)
    secrets = "/api/v1/namespaces/default/secrets"
    canary = "Y2FuYXJ5LWNhbmFyeQ=="
    attempts = [
        ("POST", secrets, {"metadata": {"name": "A_b"}, "data": {"k": canary}}),
        ("POST", secrets, {"metadata": {"name": "key"}, "data": {"k": canary}}),
        ("POST", secrets, {"metadata": {"name": "x"}, "type": "kubernetes.io/tls", "data": {"tls.crt": canary}}),
        ("PUT", f"{secrets}/none", {"metadata": {"name": "none"}, "data": {"k": canary}}),
        ("PUT", f"{secrets}/key", {"metadata": {"name": "key", "resourceVersion": "1"}, "data": {"k": canary}}),
    ]
    for method, target, body in attempts:
        answer = await server.send(method, target, body)
        assert answer.status >= 400
        assert canary.encode() not in answer.body
    await server.send("GET", f"/api?token={token}", who=None, headers={"Authorization": f"Bearer {token}x"})
    written = "".join(capsys.readouterr())
    assert "bearer token refused" in written
    for hidden in (token, token.rpartition(".")[2][:16], canary, SECRET):
        assert hidden not in written


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.8.8", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "localhost", "2130706433", "0x7f.1", "127.1", "010.0.0.1", ""],
)  # fmt: skip
async def test_proxy_calls_no_address_of_the_machine_itself(host):
    """However it is written, also as an IPv6 address with an IPv4 one in it, which is where the kernel goes (CVE-2020-8555, 8562, 2022-3294)."""
    with pytest.raises(BadRequest, match="address not allowed"):
        refuse_local(host)


async def test_proxy_calls_other_addresses():
    """The same table would pass on a proxy that refuses everything."""
    for host in ("10.0.0.1", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1"):
        refuse_local(host)


async def test_proxied_request_names_nobody():
    """Neither credentials nor names that a backend might believe go on to it."""
    names = (
        "Authorization",
        "Cookie",
        "Impersonate-User",
        "impersonate-extra-a",
        "X-Remote-User",
        "x-remote-group",
        "X-REMOTE-EXTRA-a",
    )
    assert list(without_credentials(Headers([*((name, "x") for name in names), ("X-Mine", "1")])).items()) == [
        ("X-Mine", "1")
    ]


async def test_watch_goes_on_as_upstream_defines_it_when_the_right_is_lost(server):
    """Authorization is asked once, at the start: a running watch ends with its time, a new one is refused at once."""
    path = "/api/v1/namespaces/kube-system/configmaps"
    body = {
        "metadata": {"name": "short"},
        "rules": [{"verbs": ["watch"], "apiGroups": [""], "resources": ["configmaps"]}],
    }
    await server.send("POST", f"{RBAC}/namespaces/kube-system/roles", body)
    subject = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "Role", "name": "short", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "short"}, "subjects": [subject], "roleRef": reference}
    await server.send("POST", f"{RBAC}/namespaces/kube-system/rolebindings", binding)
    watch = await server.send("GET", f"{path}?watch=true&timeoutSeconds=5", who=JANE)
    assert watch.status == 200
    await server.send("DELETE", f"{RBAC}/namespaces/kube-system/rolebindings/short")
    assert (await server.send("GET", f"{path}?watch=true", who=JANE)).status == 403
    await watch.body.aclose()
