"""The way into the API server: who one is taken for, and that no spelling of a request gets around its authorization."""

import json
import random

import pytest
import pytest_asyncio

from pinnace.api.core_v1 import ConfigMap, Namespace, Secret
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import PolicyRule, Role, RoleBinding, RoleRef, Subject
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.apiserver.streaming import InProcessKubelets, streaming_handlers
from pinnace.client import Client, InProcessTransport
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Headers, Request, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

ROOT = UserInfo("root", groups=("system:masters", "system:authenticated"))
JANE = UserInfo("jane", groups=("system:authenticated",))
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster():
    """A server where jane may get config maps and execs of the namespace `web`, without a node."""
    clock = VirtualClock()
    server = api_server(
        ApiServerConfig(),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(random.Random(1)),
        signing_key=SigningKey(),
        specials=streaming_handlers(InProcessKubelets({}.get)),
    )
    async with server.running():
        client = Client(InProcessTransport(server.handle, ROOT))
        for name in ("web", "other"):
            await client.create(Namespace(metadata=ObjectMeta(name=name)))
            await client.create(Secret(metadata=ObjectMeta(name="key", namespace=name)))
            await client.create(ConfigMap(metadata=ObjectMeta(name="map", namespace=name)))
        rules = (
            PolicyRule(verbs=("get",), api_groups=("",), resources=("configmaps", "pods/exec", "pods/attach")),
            PolicyRule(verbs=("update", "list"), api_groups=("",), resources=("configmaps",)),
            PolicyRule(verbs=("update",), api_groups=("coordination.k8s.io",), resources=("leases",)),
        )
        await client.create(Role(metadata=ObjectMeta(name="r", namespace="web"), rules=rules))
        await client.create(
            RoleBinding(
                metadata=ObjectMeta(name="b", namespace="web"),
                subjects=(Subject(kind="User", name="jane"),),
                role_ref=RoleRef(kind="Role", name="r"),
            )
        )
        yield server


async def call(cluster, method, target, headers=(), who=None, body=b""):
    """Send a request as it would come from a socket; `who` as one of the process."""
    path, _, query = target.partition("?")
    fields = Headers(dict(headers) | ({"Content-Type": "application/json"} if body else {}))
    connection = Connection(user=who) if who is not None else Connection()
    return await cluster.handle(Request(method, path, query=query, headers=fields, body=body, connection=connection))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/healthz", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 200),
        ("/readyz/ping", 403),
        ("/", 403),
        ("/api", 403),
        ("/apis/apps/v1", 403),
        ("/openapi/v2", 403),
        ("/metrics", 403),
        ("/api/v1/namespaces", 403),
        ("/apis/none.example.com/v1/things", 403),
        ("/nowhere", 403),
    ],
)
async def test_nobody_sees_health_and_version_only(cluster, target, status):
    """What an anonymous request may not do it is refused before anything says whether it exists."""
    answer = await call(cluster, "GET", target)
    assert answer.status == status
    if status == 403:
        assert 'User "system:anonymous" cannot' in json.loads(answer.body)["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "bearer a.b.c"},
        {"Authorization": "Bearer abcdef.0123456789abcdef"},
        {**WEBSOCKET, "Sec-WebSocket-Protocol": "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.d3Jvbmc"},
    ],
)
@pytest.mark.parametrize("target", ["/healthz", "/api/v1/namespaces", "/nowhere"])
async def test_bad_credentials_are_401_everywhere(cluster, headers, target):
    """A token that is no good opens not even what is open to nobody."""
    answer = await call(cluster, "GET", target, headers)
    assert answer.status == 401
    status = json.loads(answer.body)
    assert (status["reason"], status["message"]) == ("Unauthorized", "Unauthorized")
    assert "details" not in status


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Remote-User": "root", "X-Remote-Group": "system:masters"},
        {"Impersonate-User": "root", "Impersonate-Group": "system:masters"},
        {"Authorization": "Basic cm9vdDpyb290"},
        {"User": "root", "X-Forwarded-User": "root"},
    ],
)
async def test_headers_make_nobody_somebody(cluster, headers):
    """Names in headers count only for who may use them."""
    assert (await call(cluster, "GET", "/api/v1/namespaces", headers)).status == 403


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/namespaces/web/secrets/key"),
        ("GET", "/api/v1/namespaces/other/configmaps/map"),
        ("GET", "/api/v1/namespaces/web/configmaps/../secrets/key"),
        ("GET", "/api/v1/namespaces/web/configmaps/%2e%2e/secrets/key"),
        ("GET", "/api/v1/namespaces/web/configmaps%2F..%2Fsecrets/key"),
        ("GET", "/api/v1/namespaces/web/configmaps/..%2F..%2Fother%2Fconfigmaps%2Fmap"),
        ("GET", "/api/v1/namespaces/web%2F..%2Fother/configmaps/map"),
        ("GET", "/api/v1/namespaces/web//secrets/key"),
        ("GET", "//api/v1/namespaces/web/secrets/key"),
        ("GET", "/api/v1/./namespaces/web/secrets/key"),
        ("GET", "/API/v1/namespaces/web/secrets/key"),
        ("GET", "/api/v1/namespaces/web/Secrets/key"),
        ("GET", "/api/v1/namespaces/web/secrets/key?x=/configmaps/map"),
        ("GET", "/api/v1/namespaces/web/secrets;x=configmaps/key"),
        ("GET", "/api/v1/watch/namespaces/web/configmaps/map"),
        ("GET", "/api/v1/namespaces/web/configmaps?watch=1"),
        ("GET", "/api/v1/namespaces/web/configmaps?watch=true"),
        ("GET", "/api/v1/configmaps"),
        ("GET", "/api/v1/configmaps?fieldSelector=metadata.namespace=web"),
        ("HEAD", "/api/v1/namespaces/web/secrets/key"),
        ("DELETE", "/api/v1/namespaces/web/configmaps"),
        ("DELETE", "/api/v1/namespaces/web/configmaps?fieldSelector=metadata.name=map"),
        ("PATCH", "/api/v1/namespaces/web/configmaps/map"),
        ("GET", "/api/v1/namespaces/web/configmaps/map/status"),
        ("GET", "/api/v1/namespaces/web/pods/p/log"),
        ("POST", "/api/v1/namespaces/web/pods/p/exec"),
        ("GET", "/api/v1/namespaces/web"),
        ("GET", "/api/v1/namespaces/web/status"),
        ("PUT", "/api/v1/namespaces/web/finalize"),
    ],
)
async def test_no_spelling_of_a_path_gets_around_the_role(cluster, method, target):
    """Jane may get, list and update config maps of `web`, and nothing else however it is written."""
    answer = await call(cluster, method, target, who=JANE)
    assert answer.status in {403, 404}
    assert b'"key"' not in answer.body or b"forbidden" in answer.body


async def test_what_the_role_grants_is_there(cluster):
    """The same table would pass on a server that refuses everything."""
    assert (await call(cluster, "GET", "/api/v1/namespaces/web/configmaps/map", who=JANE)).status == 200
    assert (await call(cluster, "GET", "/api/v1/namespaces/web/configmaps", who=JANE)).status == 200


@pytest.mark.parametrize("sub", ["exec", "attach"])
async def test_websocket_get_of_a_stream_needs_create(cluster, sub):
    """Running a command is no reading, whatever the method."""
    target = f"/api/v1/namespaces/web/pods/p/{sub}?command=id&container=c&stdout=1"
    headers = {**WEBSOCKET, "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}
    answer = await call(cluster, "GET", target, headers, who=JANE)
    assert answer.status == 403
    assert f'cannot create resource "pods/{sub}"' in json.loads(answer.body)["message"]


async def test_put_that_would_create_needs_create(cluster):
    """The right to update what is there is no right to make it."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "new", "namespace": "web"},
        "spec": {"holderIdentity": "jane"},
    }
    target = "/apis/coordination.k8s.io/v1/namespaces/web/leases/new"
    answer = await call(cluster, "PUT", target, who=JANE, body=json.dumps(lease).encode())
    assert answer.status == 403
    assert 'cannot create resource "leases"' in json.loads(answer.body)["message"]


async def test_impersonation_loses_the_own_rights(cluster):
    """Who acts for somebody has that one's rights and groups, and none of the own."""
    headers = {"Impersonate-User": "jane"}
    assert (await call(cluster, "GET", "/api/v1/namespaces/web/configmaps/map", headers, who=ROOT)).status == 200
    assert (await call(cluster, "GET", "/api/v1/namespaces/web/secrets/key", headers, who=ROOT)).status == 403
    assert (await call(cluster, "GET", "/api/v1/namespaces/web/secrets/key", who=ROOT)).status == 200
