import asyncio
import json
from types import SimpleNamespace

import pytest

from pinnace.api.core_v1 import (
    Container,
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeStatus,
    Pod,
    PodSpec,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import request_info
from pinnace.apiserver.streaming import HttpsKubelets, InProcessKubelets, streaming_handlers
from pinnace.component.clock import RealClock
from pinnace.component.http import Headers, Request, Response, UpgradeRefused
from pinnace.component.http.client import HttpClient
from pinnace.component.http.duplex import SocketStream, copy_until_answered
from pinnace.component.http.server import serve
from pinnace.component.http.spdy import SpdyConnection
from pinnace.component.http.streams import parse_options, serve_port_forward, serve_remote_command
from pinnace.component.http.websocket import WebSocket, WebSocketStream, request_headers
from pinnace.component.tls import CertificateAuthority, certificate_facts, client_context, server_context
from pinnace.machinery.errors import ApiError

CLOCK = RealClock()
PODS = "/api/v1/namespaces/ns/pods"
SPDY = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]


def make_pod(name, *containers, node="n1", inits=()):
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns", uid="u"),
        spec=PodSpec(
            node_name=node,
            containers=tuple(Container(name=one) for one in containers),
            init_containers=tuple(Container(name=one) for one in inits),
        ),
    )


class Kubelet:
    """A node agent that runs `cat`, has one line of log, and notes what it was asked."""

    def __init__(self):
        self.requests = []
        self.ended = asyncio.Event()

    async def handle(self, request: Request):
        certificate = request.connection.certificate
        if certificate is not None and certificate_facts(certificate).common_name != "apiserver":
            return Response(403, body=b"who are you")
        if certificate is None and request.connection.user is None:
            return Response(401, body=b"Unauthorized")
        self.requests.append(request)
        match request.path.split("/")[1]:
            case "exec":
                options = parse_options(request)
                return (
                    options if isinstance(options, Response) else await serve_remote_command(request, options, self.cat)
                )
            case "portForward":
                return await serve_port_forward(request, "pod a, uid u", self.forward)
            case "containerLogs":
                return self.log(request)
            case "redirect":
                return Response(302, Headers({"Location": "https://127.0.0.1:1/"}))
        return Response(404, body=b"404 page not found")

    async def cat(self, streams):
        try:
            while data := await streams.read_stdin():
                await streams.write_stdout(data)
        finally:
            self.ended.set()
        return 7

    async def forward(self, port, stream):
        _, answering = await asyncio.get_running_loop().create_connection(SocketStream, "127.0.0.1", port)
        await copy_until_answered(stream, answering)

    def log(self, request):
        if request.param("previous"):
            return Response(400, body=b'previous terminated container "c" in pod "a" not found\n')

        async def lines():
            yield b"first\n"
            if request.param("follow"):
                try:
                    await asyncio.Event().wait()
                finally:
                    self.ended.set()

        return Response(body=lines())


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("ca", CLOCK.time())


@pytest.fixture
async def kubelet(authority):
    """A kubelet behind TLS that trusts the cluster's authority; yields it with its port."""
    agent = Kubelet()
    tls = server_context(
        authority.issue_server("system:node:n1", ["127.0.0.1"], CLOCK.time()), authority.certificate_pem
    )
    async with serve(agent.handle, "127.0.0.1", 0, ssl_context=tls, clock=CLOCK) as server:
        agent.port = server.port
        yield agent


def node_at(port):
    return Node(
        metadata=ObjectMeta(name="n1"),
        status=NodeStatus(
            addresses=(NodeAddress(type="InternalIP", address="127.0.0.1"),),
            daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=port)),
        ),
    )


class Apiserver:
    """The streaming handlers behind a minimum of an API server."""

    def __init__(self, kubelets, port):
        self.handlers = streaming_handlers(kubelets)
        self.required = []
        self.objects = [
            make_pod("a", "c"),
            make_pod("two", "b", "c", inits=("i",)),
            make_pod("waiting", "c", node=""),
            make_pod("lost", "c", node="gone"),
            node_at(port),
        ]

    async def get(self, cls, name, namespace=""):
        return next((one for one in self.objects if type(one) is cls and one.metadata.name == name), None)

    async def require(self, scope, verb):
        self.required.append(verb)

    async def handle(self, request):
        info = request_info.parse(request)
        services = SimpleNamespace(objects=self, require=self.require)
        scope = SimpleNamespace(request=request, info=info, services=services)
        try:
            return await self.handlers[info.resource, info.subresource](scope)
        except ApiError as error:
            return Response(error.code, body=json.dumps(error.status()).encode())


@pytest.fixture
async def kubelets(authority):
    pair = authority.issue_client("apiserver", [], CLOCK.time())
    made = HttpsKubelets(client_context(authority.certificate_pem, pair))
    yield made
    await made.close()


@pytest.fixture(params=["https", "in process"])
async def client(request, kubelet, kubelets):
    """A client of an API server that reaches its kubelet over HTTPS, or in the same process."""
    way = (
        kubelets
        if request.param == "https"
        else InProcessKubelets(lambda name: kubelet.handle if name == "n1" else None)
    )
    apiserver = Apiserver(way, kubelet.port)
    async with serve(apiserver.handle, "127.0.0.1", 0, clock=CLOCK) as server:
        made = HttpClient(f"http://127.0.0.1:{server.port}")
        made.apiserver = apiserver
        yield made
        await made.close()


def spdy(*protocols):
    return Headers([
        *SPDY,
        *(("X-Stream-Protocol-Version", name) for name in protocols),
        ("Authorization", "Bearer s3cret"),
    ])


async def test_exec_over_spdy_as_kubectl_1_20_does(client, kubelet):
    """A POST tunnels SPDY to the kubelet, with its names of the streams and without the user's token."""
    upgraded = await client.upgrade(
        "POST",
        f"{PODS}/a/exec",
        query="command=cat&command=-n&stdin=true&stdout=true",
        headers=spdy("v4.channel.k8s.io", "v3.channel.k8s.io"),
    )
    assert upgraded.headers.get("X-Stream-Protocol-Version") == "v4.channel.k8s.io"
    connection = SpdyConnection(upgraded.stream, server=False)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        frames = group.create_task(connection.run())
        streams = {kind: await connection.open(Headers({"streamType": kind})) for kind in ("error", "stdin", "stdout")}
        await streams["stdin"].write(b"hello")
        assert await streams["stdout"].read() == b"hello"
        await streams["stdin"].write_eof()
        assert json.loads(await streams["error"].read())["details"]["causes"][0]["message"] == "7"
        await connection.close()
        await frames
    (request,) = kubelet.requests
    assert request.path == "/exec/ns/a/c"
    assert request.query == "input=1&output=1&command=cat&command=-n"
    assert "Authorization" not in request.headers
    assert client.apiserver.required == []


async def test_exec_over_websocket_as_kubectl_of_today_does(client):
    """A GET passes version 5 through, and asks for `create` besides `get`."""
    upgraded = await client.upgrade(
        "GET",
        f"{PODS}/a/exec",
        query="command=cat&stdin=true&stdout=true",
        headers=request_headers(b"0" * 16, ["v5.channel.k8s.io"]),
    )
    socket = WebSocket(upgraded.stream, mask=lambda: b"abcd")
    async with asyncio.timeout(10):
        assert (await socket.receive()).data == b"\x01"
        await socket.send(b"\x00hi")
        assert (await socket.receive()).data == b"\x01hi"
        await socket.send(b"\xff\x00")
        assert (await socket.receive()).data[0] == 3
        assert await socket.receive() is None
    await upgraded.stream.close()
    assert client.apiserver.required == ["create"]


async def test_client_that_leaves_ends_the_command(client, kubelet):
    """A dropped connection reaches the kubelet, where the command ends."""
    upgraded = await client.upgrade(
        "GET",
        f"{PODS}/a/exec",
        query="command=cat&stdin=true&stdout=true",
        headers=request_headers(b"0" * 16, ["v5.channel.k8s.io"]),
    )
    assert await upgraded.stream.read()
    await upgraded.stream.close()
    async with asyncio.timeout(10):
        await kubelet.ended.wait()


@pytest.mark.parametrize("tunnel", [False, True], ids=["spdy", "websocket tunnel"])
async def test_port_forward_reaches_a_port(client, tunnel):
    """Bytes go to a TCP port and back, by either way of kubectl."""

    async def shout(reader, writer):
        writer.write((await reader.read(100)).upper())
        writer.close()

    listener = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    if tunnel:
        headers = request_headers(b"0" * 16, ["SPDY/3.1+portforward.k8s.io"])
        upgraded = await client.upgrade("GET", f"{PODS}/a/portforward", headers=headers)
        stream = WebSocketStream(WebSocket(upgraded.stream, mask=lambda: b"abcd"), upgraded.stream)
    else:
        upgraded = await client.upgrade("POST", f"{PODS}/a/portforward", headers=spdy("portforward.k8s.io"))
        stream = upgraded.stream
    connection = SpdyConnection(stream, server=False)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        frames = group.create_task(connection.run())
        fields = {"port": str(port), "requestID": "0"}
        error = await connection.open(Headers(fields | {"streamType": "error"}))
        await error.write_eof()
        data = await connection.open(Headers(fields | {"streamType": "data"}))
        await data.write(b"hello")
        assert await data.read() == b"HELLO"
        await data.write_eof()
        assert await error.read() == b""
        await connection.close()
        await frames
    listener.close()


async def test_log_is_text_and_options_are_passed_on(client, kubelet):
    """The kubelet's bytes come as they are."""
    response = await client.request("GET", f"{PODS}/a/log", query="tailLines=5&timestamps=true")
    assert (response.status, response.headers.get("Content-Type"), response.body) == (200, "text/plain", b"first\n")
    assert (kubelet.requests[0].path, kubelet.requests[0].query) == (
        "/containerLogs/ns/a/c",
        "timestamps=true&tailLines=5",
    )


async def test_followed_log_is_flushed_and_ends_with_its_client(client, kubelet):
    """The first line arrives at once; when the client goes, the kubelet's stream ends too."""
    response = await client.request("GET", f"{PODS}/a/log", query="follow=true", stream=True)
    async with asyncio.timeout(10):
        assert await anext(response.body) == b"first\n"
        await response.body.aclose()
        await kubelet.ended.wait()


@pytest.mark.parametrize(
    ("method", "path", "query", "code", "text"),
    [
        ("GET", "none/log", "", 404, 'pods "none" not found'),
        ("GET", "a/log", "container=x", 400, "container x is not valid for pod a"),
        (
            "GET", "two/log", "", 400,
            "a container name must be specified for pod two, choose one of: [b c] or one of the init containers: [i]",
        ),
        ("GET", "a/log", "previous=true", 400, 'previous terminated container "c" in pod "a" not found'),
        ("GET", "a/log", "tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("GET", "a/log", "limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ("POST", "waiting/exec", "command=x&stdout=true", 400, "pod waiting does not have a host assigned"),
        ("POST", "lost/exec", "command=x&stdout=true", 404, 'nodes "gone" not found'),
        ("POST", "a/exec", "stdout=true", 400, "you must specify at least one command"),
        ("POST", "a/exec", "command=x", 400, "you must specify at least one of stdin, stdout, stderr"),
        ("POST", "a/exec", "command=x&stdout=true", 400, "Upgrade request required"),
        ("POST", "a/portforward", "", 400, "Upgrade request required"),
    ],
)  # fmt: skip
async def test_streaming_refuses_before_any_upgrade(client, method, path, query, code, text):
    """What cannot be is a Status with upstream's text."""
    response = await client.request(method, f"{PODS}/{path}", query=query)
    assert response.status == code
    assert text in json.loads(response.body)["message"]


async def test_log_of_an_unscheduled_pod_is_empty(client):
    """There is nothing yet to read."""
    response = await client.request("GET", f"{PODS}/waiting/log")
    assert (response.status, response.body) == (204, b"")


async def test_unknown_protocols_reach_the_client_with_those_accepted(client):
    """The kubelet's refusal to negotiate is passed on with its headers."""
    with pytest.raises(UpgradeRefused) as refused:
        await client.upgrade("POST", f"{PODS}/a/exec", query="command=x&stdout=1", headers=spdy("v9.channel.k8s.io"))
    assert refused.value.status == 403
    assert ("X-Accepted-Stream-Protocol-Versions", "v4.channel.k8s.io") in refused.value.fields


async def test_node_proxy_passes_paths_and_no_redirect_is_followed(client, kubelet):
    """The rest of the path is the kubelet's; a redirect is the client's to judge."""
    response = await client.request("GET", "/api/v1/nodes/n1/proxy/redirect/x", query="a=b")
    assert (response.status, response.headers.get("Location")) == (302, "https://127.0.0.1:1/")
    assert (kubelet.requests[0].path, kubelet.requests[0].query) == ("/redirect/x", "a=b")


@pytest.mark.parametrize("kind", ["none", "expired", "foreign"])
async def test_kubelet_refuses_an_apiserver_without_a_good_certificate(authority, kubelet, kind):
    """No certificate, an expired one and a foreign one all lead nowhere."""
    pair = None
    if kind == "expired":
        pair = authority.issue_client("apiserver", [], CLOCK.time() - 10_000, lifetime_seconds=60)
    elif kind == "foreign":
        pair = CertificateAuthority.create("ca", CLOCK.time()).issue_client("apiserver", [], CLOCK.time())
    kubelets = HttpsKubelets(client_context(authority.certificate_pem, pair))
    answer = await Apiserver(kubelets, kubelet.port).handle(Request("GET", f"{PODS}/a/log"))
    await kubelets.close()
    assert answer.status == 500
    assert kubelet.requests == []


async def test_apiserver_refuses_a_kubelet_of_another_authority(kubelet, authority):
    """A kubelet that shows a foreign certificate gets no request."""
    other = CertificateAuthority.create("other", CLOCK.time())
    kubelets = HttpsKubelets(
        client_context(other.certificate_pem, authority.issue_client("apiserver", [], CLOCK.time()))
    )
    apiserver = Apiserver(kubelets, kubelet.port)
    answers = [
        await apiserver.handle(Request("GET", f"{PODS}/a/log")),
        await apiserver.handle(
            Request("POST", f"{PODS}/a/exec", query="command=x&stdout=1", headers=spdy("v4.channel.k8s.io"))
        ),
    ]
    await kubelets.close()
    assert [answer.status for answer in answers] == [500, 500]
    assert kubelet.requests == []
