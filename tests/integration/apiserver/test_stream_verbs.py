"""Which rights a stream or a proxied request needs, by method and by transport, in the order in which they are asked.

Upstream: feature AuthorizePodWebsocketUpgradeCreatePermission, apiserver `endpoints/request/requestinfo.go`.
"""

import json
import random
import re

import pytest
import pytest_asyncio

from pinnace.api.core_v1 import Node
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.apiserver.streaming import InProcessKubelets, streaming_handlers
from pinnace.client import Client, InProcessTransport
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Headers, Request, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = UserInfo("root", groups=("system:masters", "system:authenticated"))
VERBS = ("get", "create", "update", "patch", "delete")
TRANSPORTS = {
    "plain": {},
    "websocket": {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
    },
    "spdy": {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"},
}
NEEDED = re.compile(r'cannot (\w*) ?resource "([\w/]+)"')
POD, SERVICE, NODE = "/api/v1/namespaces/default/pods/p", "/api/v1/namespaces/default/services/s", "/api/v1/nodes/n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server with a node whose kubelet is away, and one group for each verb, which may do that to anything of the core group."""
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
        await client.create(Node(metadata=ObjectMeta(name="n")))
        for verb in VERBS:
            rule = PolicyRule(verbs=(verb,), api_groups=("",), resources=("*",))
            await client.create(ClusterRole(metadata=ObjectMeta(name=verb), rules=(rule,)))
            await client.create(
                ClusterRoleBinding(
                    metadata=ObjectMeta(name=verb),
                    subjects=(Subject(kind="Group", name=f"may {verb}"),),
                    role_ref=RoleRef(kind="ClusterRole", name=verb),
                )
            )
        yield server


async def answered(server, method, transport, target, verbs):
    """Send a request of somebody who may do these things to anything of the core group."""
    groups = (*(f"may {verb}" for verb in verbs), "system:authenticated")
    path, _, query = target.partition("?")
    connection = Connection(user=UserInfo("jane", groups=groups))
    headers = Headers(TRANSPORTS[transport])
    return await server.handle(Request(method, path, query=query, headers=headers, connection=connection))


async def asked(server, method, transport, target):
    """Return the rights that a request needs: asked for by somebody who has one more each time, until nothing is missing."""
    found = []
    while True:
        answer = await answered(server, method, transport, target, [verb for verb, _ in found])
        if answer.status != 403:
            return found
        right = NEEDED.search(json.loads(answer.body)["message"]).groups()
        if right in found or right[0] not in VERBS:
            return [*found, right]
        found.append(right)


@pytest.mark.parametrize("part", ["exec", "attach", "portforward"])
@pytest.mark.parametrize(
    ("method", "transport", "verbs"),
    [
        ("GET", "websocket", ["get", "create"]),
        ("GET", "spdy", ["get", "create"]),
        ("GET", "plain", ["get", "create"]),
        ("POST", "websocket", ["create"]),
        ("POST", "spdy", ["create"]),
        ("POST", "plain", ["create"]),
    ],
)
async def test_stream_into_a_pod_needs_create_on_every_transport(server, part, method, transport, verbs):
    """A WebSocket begins with a GET, which is no reading: `create` is asked for as well; SPDY's POST is one by its method."""
    target = f"{POD}/{part}?command=id&container=c&stdout=1&ports=80"
    assert await asked(server, method, transport, target) == [(verb, f"pods/{part}") for verb in verbs]


@pytest.mark.parametrize("transport", ["plain", "websocket"])
async def test_log_needs_get_on_every_transport(server, transport):
    """Reading stays reading, also where a WebSocket carries it."""
    assert await asked(server, "GET", transport, f"{POD}/log") == [("get", "pods/log")]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("GET", "get"),
        ("POST", "create"),
        ("PUT", "update"),
        ("PATCH", "patch"),
        ("DELETE", "delete"),
        ("OPTIONS", ""),
    ],
)
@pytest.mark.parametrize(("target", "resource"), [(POD, "pods/proxy"), (SERVICE, "services/proxy")])
async def test_proxy_to_a_workload_needs_the_methods_verb(server, target, resource, method, verb, transport):
    """What a workload does with a method is its own affair, upgraded or not; a method without a verb needs a rule for all."""
    assert await asked(server, method, transport, f"{target}/proxy/x") == [(verb, resource)]


@pytest.mark.parametrize(
    ("method", "transport", "verbs"),
    [
        ("GET", "plain", ["get"]),
        ("POST", "plain", ["create"]),
        ("PUT", "plain", ["update"]),
        ("PATCH", "plain", ["patch"]),
        ("DELETE", "plain", ["delete"]),
        ("OPTIONS", "plain", [""]),
        ("GET", "websocket", ["get", "create"]),
        ("GET", "spdy", ["get", "create"]),
        ("POST", "spdy", ["create"]),
        ("PUT", "spdy", ["update", "create"]),
    ],
)
async def test_proxy_to_a_node_needs_create_for_an_upgrade(server, method, transport, verbs):
    """What a kubelet upgrades runs commands in its pods, so reading rights never lead there."""
    target = f"{NODE}/proxy/exec/default/p/c?command=id"
    assert await asked(server, method, transport, target) == [(verb, "nodes/proxy") for verb in verbs]


@pytest.mark.parametrize("target", [POD, SERVICE, NODE])
async def test_head_through_a_proxy_needs_get(server, target):
    """It reads; its refusal has no text to tell so."""
    assert (await answered(server, "HEAD", "plain", f"{target}/proxy/x", [])).status == 403
    assert (await answered(server, "HEAD", "plain", f"{target}/proxy/x", ["get"])).status != 403
