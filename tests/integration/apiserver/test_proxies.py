"""Proxies of pods, services and nodes: where a request goes, and how the answer looks to the client."""

import json
from types import SimpleNamespace

import pytest

from pinnace.api.core_v1 import (
    Container,
    ContainerPort,
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeStatus,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import request_info
from pinnace.apiserver.streaming import InProcessKubelets
from pinnace.apiserver.streaming.proxy import Proxies, parse_target, refuse_local
from pinnace.component.clock import RealClock
from pinnace.component.http import Connection, Headers, Request, Response, Upgrade, UpgradeRefused
from pinnace.component.http.client import HttpClient
from pinnace.component.http.server import serve
from pinnace.machinery.errors import ApiError, BadRequest

CLOCK = RealClock()
POD = "/api/v1/namespaces/ns/pods/web/proxy"
SERVICE = "/api/v1/namespaces/ns/services/{}/proxy/x"


class Backend:
    """A web server that tells what reached it."""

    def __init__(self):
        self.requests = []

    async def handle(self, request):
        body = await request.read(1000)
        self.requests.append(request)
        if request.path.startswith("/moved"):
            return Response(302, Headers({"Location": request.param("to")}))
        if request.path == "/echo" and "Upgrade" in request.headers:

            async def run(stream):
                while data := await stream.read():
                    await stream.write(data.upper())

            return Upgrade(Headers({"Connection": "Upgrade", "Upgrade": "chat"}), run)
        headers = Headers({"Access-Control-Allow-Origin": "*", "X-Own": "yes"})
        return Response(200, headers, f"{request.method} {request.path}?{request.query} ".encode() + body)


class Apiserver:
    """The proxies behind a minimum of an API server."""

    def __init__(self, port):
        named = EndpointPort(name="http", port=port, protocol="TCP")
        unready = Endpoint(addresses=("192.0.2.1",), conditions=EndpointConditions(ready=False))
        ready = Endpoint(addresses=("127.0.0.1",), conditions=EndpointConditions(ready=True))
        self.objects = [
            make_pod("web", "127.0.0.1", port),
            make_pod("pending", "", port),
            Service(
                metadata=ObjectMeta(name="web", namespace="ns"),
                spec=ServiceSpec(ports=(ServicePort(name="http", port=80),)),
            ),
            EndpointSlice(
                metadata=ObjectMeta(name="web-1", namespace="ns", labels={"kubernetes.io/service-name": "web"}),
                ports=(named,),
                endpoints=(unready, ready),
            ),
            Node(
                metadata=ObjectMeta(name="n1"),
                status=NodeStatus(
                    addresses=(NodeAddress(type="InternalIP", address="127.0.0.1"),),
                    daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=10250)),
                ),
            ),
        ]
        self.kubelet = Backend()
        self.proxies = Proxies(InProcessKubelets(lambda _: self.kubelet.handle), check_address=lambda _: None)

    async def get(self, cls, name, namespace=""):
        return next((one for one in self.objects if type(one) is cls and one.metadata.name == name), None)

    async def list(self, cls, namespace=""):
        return [one for one in self.objects if type(one) is cls]

    async def handle(self, request):
        info = request_info.parse(request)
        scope = SimpleNamespace(request=request, info=info, services=SimpleNamespace(objects=self))
        try:
            return await getattr(self.proxies, info.resource.removesuffix("s"))(scope)
        except ApiError as error:
            return Response(error.code, body=json.dumps(error.status()).encode())


def make_pod(name, address, port):
    container = Container(name="c", ports=(ContainerPort(container_port=port),))
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=PodSpec(containers=(container,)),
        status=PodStatus(pod_ip=address),
    )


@pytest.fixture
async def backend():
    made = Backend()
    async with serve(made.handle, "127.0.0.1", 0, clock=CLOCK) as server:
        made.port = server.port
        yield made


@pytest.fixture
async def client(backend):
    apiserver = Apiserver(backend.port)
    async with serve(apiserver.handle, "127.0.0.1", 0, clock=CLOCK) as server:
        made = HttpClient(f"http://127.0.0.1:{server.port}")
        made.apiserver = apiserver
        yield made
        await made.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_reaches_the_pod(client, backend, method):
    """Method, path, query and body arrive as sent; the user's token stays behind, and so does what the pod says of other sites."""
    headers = Headers([("Authorization", "Bearer s3cret"), ("X-Mine", "1")])
    body = b"data" if method in {"POST", "PUT", "PATCH"} else b""
    response = await client.request(method, f"{POD}/a%2Fb/", query="q=1", headers=headers, body=body)
    assert response.body == f"{method} /a%2Fb/?q=1 ".encode() + body
    assert "Access-Control-Allow-Origin" not in response.headers
    (request,) = backend.requests
    assert ("Authorization" in request.headers, request.headers.get("X-Mine")) == (False, "1")
    assert request.headers.get("X-Forwarded-Uri") == f"{POD}/a%2Fb/"
    assert request.headers.get("X-Forwarded-For") == "127.0.0.1"


@pytest.mark.parametrize(
    ("behind", "asked"), [("/", "/"), ("//", "/"), ("//a", "/a"), ("/a//", "/a/"), ("/a//b", "/a//b")]
)
async def test_empty_segments_reach_the_pod(client, backend, behind, asked):
    """Libraries join paths with a slash too many; the pod is asked as upstream asks it."""
    response = await client.request("GET", POD + behind)
    assert response.body == f"GET {asked}? ".encode()
    assert len(backend.requests) == 1


async def test_path_without_slash_is_redirected_for_readers(client, backend):
    """A browser at `.../proxy` would resolve relative links wrongly; writers are passed on."""
    response = await client.request("GET", POD, query="method=GET")
    assert (response.status, response.headers.get("Location")) == (301, f"{POD}/?method=GET")
    assert (await client.request("HEAD", POD)).status == 301
    assert backend.requests == []
    assert (await client.request("POST", POD)).body == b"POST /? "


@pytest.mark.parametrize(
    ("to", "location"),
    [
        pytest.param("/login", f"{POD}/login", id="absolute"),
        pytest.param("/login/?a=b", f"{POD}/login/?a=b", id="slash-and-query"),
        pytest.param("login", "login", id="relative"),
        pytest.param("https://elsewhere.example/x", "https://elsewhere.example/x", id="elsewhere"),
        pytest.param(f"{POD}/x", f"{POD}/x", id="already-there"),
    ],
)
async def test_redirects_are_shown_through_the_proxy_and_never_followed(client, backend, to, location):
    """A path of the backend's becomes one behind the proxy; other places are the client's to judge."""
    response = await client.request("GET", f"{POD}/moved", query=f"to={to.replace('&', '%26').replace('?', '%3F')}")
    assert (response.status, response.headers.get("Location")) == (302, location)
    assert len(backend.requests) == 1


async def test_redirect_to_the_backends_own_address_comes_back_through_the_proxy(client, backend):
    """An absolute URL with the address that was called is the backend itself."""
    response = await client.request("GET", f"{POD}/moved", query=f"to=http://127.0.0.1:{backend.port}/in")
    assert response.headers.get("Location") == f"{POD}/in"


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        pytest.param("web:http", 200, "", id="by-name"),
        pytest.param("web:80", 200, "", id="by-number"),
        pytest.param("http:web:http", 200, "", id="scheme"),
        pytest.param("web", 503, 'no endpoints available for service "web"', id="no-port"),
        pytest.param("web:81", 503, 'no service port 81 found for service "web"', id="unknown-number"),
        pytest.param("web:metrics", 503, 'no endpoints available for service "web:metrics"', id="unknown-name"),
        pytest.param("ftp:web:80", 400, 'invalid service request "ftp:web:80"', id="scheme-unknown"),
        pytest.param("gone:80", 404, 'services "gone" not found', id="gone"),
    ],
)
async def test_service_ports_are_found_by_name_or_number(client, backend, name, code, text):
    """A number is looked up among the service's ports, a name taken as it is; only ready endpoints count."""
    response = await client.request("GET", SERVICE.format(name))
    assert response.status == code
    if text:
        assert json.loads(response.body)["message"] == text
    else:
        assert response.body == b"GET /x? "


async def test_node_proxy_reaches_the_kubelet_or_another_port(client, backend):
    """Without a port, or with the kubelet's, it is the kubelet; any other port is the node's own."""
    for name in ("n1", "n1:10250", "https:n1:10250"):
        await client.request("GET", f"/api/v1/nodes/{name}/proxy/metrics")
    assert [request.path for request in client.apiserver.kubelet.requests] == ["/metrics"] * 3
    assert (await client.request("GET", f"/api/v1/nodes/n1:{backend.port}/proxy/x")).body == b"GET /x? "


async def test_dead_backend_is_503(client, backend):
    """What cannot be reached is said in upstream's words."""
    response = await client.request("GET", "/api/v1/namespaces/ns/pods/web:1/proxy/")
    assert response.status == 503
    assert json.loads(response.body)["message"].startswith("error trying to reach service: ")


async def test_upgrades_pass_through(client):
    """A backend's own protocol is spoken from end to end."""
    headers = Headers({"Connection": "Upgrade", "Upgrade": "chat"})
    upgraded = await client.upgrade("GET", f"{POD}/echo", headers=headers)
    await upgraded.stream.write(b"hello")
    assert await upgraded.stream.read() == b"HELLO"
    await upgraded.stream.close()


async def test_upgrade_that_is_answered_by_a_redirect_is_an_error(client):
    """No backend can lead the API server elsewhere by way of an upgrade."""
    headers = Headers({"Connection": "Upgrade", "Upgrade": "chat"})
    with pytest.raises(UpgradeRefused) as refused:
        await client.upgrade("GET", f"{POD}/moved", query="to=/x", headers=headers)
    assert refused.value.status == 500
    assert json.loads(refused.value.body)["message"] == "invalid upgrade response: status code 302"


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "host"]
)
def test_addresses_of_the_machine_itself_are_refused(address):
    """A pod's status cannot lead the API server to its own loopback or to a metadata service."""
    with pytest.raises(BadRequest, match="address not allowed"):
        refuse_local(address)
    refuse_local("10.1.2.3")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web", ("", "web", "")),
        ("web:80", ("", "web", "80")),
        ("https:web:", ("https", "web", "")),
        (":web:80", ("", "web", "80")),
    ],
)
def test_proxied_names_carry_scheme_and_port(text, parts):
    """As `[scheme:]name[:port]`."""
    target = parse_target(text, "pod")
    assert (target.scheme, target.name, target.port) == parts


@pytest.mark.parametrize("text", ["", ":", ":80", "a:b:c", "http:a:b:c"])
def test_other_names_are_refused(text):
    """With upstream's words for the kind."""
    with pytest.raises(BadRequest, match=f'invalid pod request "{text}"'):
        parse_target(text, "pod")


def test_unknown_methods_have_no_verb():
    """Only a rule for every verb lets them through to a proxy."""
    info = request_info.parse(Request("OPTIONS", f"{POD}/x", connection=Connection()))
    assert (info.verb, info.subresource, info.rest) == ("", "proxy", "x")
