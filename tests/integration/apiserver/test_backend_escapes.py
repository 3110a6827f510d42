"""What lies behind the API server, turned against it: kubelets, pods and services that redirect, refuse, or name other addresses as theirs.

A whole server with authentication and RBAC on, its kubelets over TLS or in its process (check 36, and the CVE classes named with each test).
"""

import asyncio
import base64
import json
import re
from types import SimpleNamespace

import pytest
import pytest_asyncio
from tests.support.bad_input import ROOT, bad_input_server, status_of

from pinnace.apiserver.streaming import HttpsKubelets, InProcessKubelets, kubelets, streaming_handlers
from pinnace.client import Client, InProcessTransport
from pinnace.cluster.kubelet_access import grant_kubelet_access
from pinnace.cluster.pki import load_or_create
from pinnace.component.clock import RealClock
from pinnace.component.http import Response, Upgrade, UserInfo
from pinnace.component.http.server import serve
from pinnace.component.http.streams import parse_options, serve_remote_command
from pinnace.component.tls import client_context, server_context

pytestmark = pytest.mark.asyncio(loop_scope="module")

JANE = UserInfo("jane", groups=("system:authenticated",))
TOKENS = {"janes-token": JANE, "roots-token": ROOT}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
EXEC = "/exec?command=sh&stdin=1&stdout=1"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SPDY = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
FRAME = {"SYN_STREAM": b"\x80\x03\x00\x01", "SETTINGS": b"\x80\x03\x00\x04", "PING": b"\x80\x03\x00\x06"}


class Scripted:
    """A server that says to each connection what the test wants, and remembers what it was sent and how it ended."""

    def __init__(self):
        self.answer = b""
        self.heads = []
        self.received = b""
        self.closed = asyncio.Event()
        self.port = 0

    async def serve(self, reader, writer):
        self.closed.clear()
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            while data := await reader.read(65536):
                self.received += data
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.closed.set()


async def cat(streams):
    while data := await streams.read_stdin():
        await streams.write_stdout(data)
    return 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    """A server on a TLS socket that calls kubelets over TLS: `scripted` on node n1, one in the process on n2; n3 says that it is the server."""
    clock = RealClock()
    pki = load_or_create(tmp_path_factory.mktemp("pki"), clock.time(), names=("127.0.0.1", "localhost"))
    ca = pki.authority.certificate_pem
    found = SimpleNamespace(ca=ca, scripted=Scripted(), commands=[])

    async def kubelet(request):
        found.commands.append(request)
        options = parse_options(request)
        return options if isinstance(options, Response) else await serve_remote_command(request, options, cat)

    https = found.https = HttpsKubelets(client_context(ca, pki.kubelet_client))
    both = InProcessKubelets({"n2": kubelet}.get, https)
    tls = server_context(pki.server, ca)
    backend = await asyncio.start_server(found.scripted.serve, "127.0.0.1", 0, ssl=tls)
    found.scripted.port = backend.sockets[0].getsockname()[1]
    async with (
        bad_input_server(specials=streaming_handlers(both), tokens=TOKENS) as server,
        serve(server.handle, "127.0.0.1", 0, ssl_context=tls, clock=clock) as listening,
    ):
        found.server, found.port = server, listening.port
        await grant_kubelet_access(Client(InProcessTransport(server.handle, ROOT)))
        for node, port in (("n1", found.scripted.port), ("n2", 1), ("n3", listening.port)):
            await make_node(server, node, "127.0.0.1", port)
            await make_pod(server, f"on-{node}", node)
        rules = [
            {"verbs": ["get"], "apiGroups": [""], "resources": ["nodes/proxy"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]},
            {"verbs": ["*"], "apiGroups": [""], "resources": ["pods/proxy", "services/proxy", "pods/exec"]},
        ]
        await server.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "jane"}, "rules": rules})
        binding = {
            "metadata": {"name": "jane"},
            "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"},
        }
        await server.send("POST", f"{RBAC}/clusterrolebindings", binding)
        yield found
    await https.close()
    backend.close()


async def make_node(server, name, address, port):
    await server.send("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    answer = await server.send(
        "PATCH",
        f"/api/v1/nodes/{name}/status",
        {"status": status},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status == 200


async def make_pod(server, name, node, address="10.0.0.1"):
    spec = {"nodeName": node, "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}
    answer = await server.send("POST", PODS, {"metadata": {"name": name}, "spec": spec})
    assert answer.status == 201, answer.body
    status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    media = {"Content-Type": "application/strategic-merge-patch+json"}
    assert (await server.send("PATCH", f"{PODS}/{name}/status", status, headers=media)).status == 200


class Line:
    """A client's connection to the server."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, world):
        context = client_context(world.ca)
        return cls(*await asyncio.open_connection("127.0.0.1", world.port, ssl=context, server_hostname="localhost"))

    async def ask(self, method, target, fields="", token="janes-token"):
        """Send a request without a body and return the code, the head and the body of its answer."""
        credential = f"Authorization: Bearer {token}\r\n" if token else ""
        self._writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{credential}{fields}\r\n".encode())
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head.split()[1]), head, body

    async def send(self, data):
        self._writer.write(data)
        await self._writer.drain()

    async def rest(self):
        """Return what comes until the server closes."""
        try:
            async with asyncio.timeout(20):
                return await self._reader.read()
        except ConnectionError:
            return b""

    def close(self):
        self._writer.close()


REFUSALS = {
    "refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    "answered": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "redirected": b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/exec\r\nContent-Length: 0\r\n\r\n",
    "switched elsewhere by a redirect": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /run\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "two answers": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n",
}


@pytest.mark.parametrize(
    "upgrade", [SPDY, WEBSOCKET + "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"], ids=["spdy", "websocket"]
)
@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
async def test_failed_upgrade_leaves_no_way_to_the_kubelet(world, answer, upgrade):
    """The connection to the kubelet, which the server's certificate opened, ends with the refusal; what the client sends next is its own (CVE-2018-1002105)."""
    world.scripted.answer, world.scripted.received = answer, b""
    world.scripted.heads.clear()
    line = await Line.open(world)
    code, head, _ = await line.ask("POST" if upgrade is SPDY else "GET", f"{PODS}/on-n1{EXEC}", upgrade)
    assert code >= 400 or answer is REFUSALS["answered"]
    assert code != 101
    assert b"Location" not in head
    await line.send(b"POST /run/kube-system/p/c?cmd=id HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    behind = await line.rest()
    assert behind == b"" or re.match(rb"HTTP/1\.1 40[1-4] ", behind)
    async with asyncio.timeout(20):
        await world.scripted.closed.wait()
    assert world.scripted.received == b""
    assert len(world.scripted.heads) == 1
    line.close()


@pytest.mark.parametrize("target", ["log", "exec"])
async def test_kubelet_leads_the_server_nowhere(world, target):
    """A redirect is an answer like any other: nobody follows it, and the client gets no place with the server's name on it (CVE-2020-8559, 2018-1002102)."""
    world.scripted.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:%d/api/v1/secrets\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        % world.port
    )
    world.scripted.heads.clear()
    line = await Line.open(world)
    code, head, body = (
        await line.ask("POST", f"{PODS}/on-n1{EXEC}", SPDY)
        if target == "exec"
        else await line.ask("GET", f"{PODS}/on-n1/log")
    )
    assert code >= 400
    assert b"Location" not in head
    assert b"SecretList" not in body
    assert len(world.scripted.heads) == 1
    line.close()


async def test_node_that_names_the_servers_own_port_gives_nobody_its_rights(world):
    """The server then calls itself as a user who may use kubelets, and who is refused everything else (check 36: node address swap)."""
    line = await Line.open(world)
    code, _, body = await line.ask("GET", "/api/v1/nodes/n3/proxy/api/v1/secrets")
    assert code == 403
    assert b'User \\"kube-apiserver-kubelet-client\\" cannot list resource \\"secrets\\"' in body
    line.close()


async def test_node_at_an_address_of_another_is_not_believed(world):
    """A kubelet proves by its certificate that it is where the node says; a name that is an address and something else is refused."""
    for host in ("localhost.", "127.0.0.1@elsewhere", "elsewhere/127.0.0.1", "127.0.0.2"):
        name = f"swapped-{len(host)}"
        await make_node(world.server, name, host, world.scripted.port)
        world.scripted.heads.clear()
        answer = await world.server.send("GET", f"/api/v1/nodes/{name}/proxy/pods", who=JANE)
        assert answer.status == 500, answer.body
        assert world.scripted.heads == []


async def test_node_that_moves_again_and_again_keeps_no_connections(world, monkeypatch):
    """A node changes its address as often as it likes; the server keeps connections to so many kubelets, and no more."""
    monkeypatch.setattr(kubelets, "_CLIENTS_LIMIT", 3)
    for number in range(6):
        await make_node(world.server, "mover", "127.0.0.1", 1 + number)
        assert (await world.server.send("GET", "/api/v1/nodes/mover/proxy/pods", who=JANE)).status == 500
    assert len(world.https._clients) == 3


@pytest.mark.parametrize(
    "port",
    [
        "80@127.0.0.1:{0}",
        "{0}@127.0.0.1:{0}",
        "x@127.0.0.1:{0}%2F",
        "-1",
        "99999",
        "%D9%A8%D9%A0",
        "80%2F..",
        "80%3Fa",
        "80%23a",
        "80%20",
        "80%0d%0aX:y",
    ],
)
@pytest.mark.parametrize("kind", ["pods", "nodes"])
async def test_port_in_a_name_makes_no_other_address_of_it(world, kind, port):
    """What stands behind the colon is a number, so that the address that was checked is the one that is called (CVE-2022-3294, 2020-8562)."""
    name = "on-n1" if kind == "pods" else "far"
    await make_node(world.server, "far", "10.0.0.1", 10250)
    before = len(world.scripted.heads)
    # Colons would be more parts of the name than there may be; encoded ones are colons, too.
    text = port.format(world.scripted.port)
    base = f"{PODS}/" if kind == "pods" else "/api/v1/nodes/"
    for sent in (text, text.replace(":", "%3A")):
        answer = await world.server.send("GET", f"{base}{name}:{sent}/proxy/x", who=JANE)
        assert answer.status in {400, 404, 503}, answer.body
    assert len(world.scripted.heads) == before


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "fe80::1"])
async def test_pod_and_node_at_an_address_of_the_machine_are_not_called(world, address):
    """A status is written by nodes, so what it says is looked at before it is called (CVE-2020-8555, 2022-3294)."""
    name = f"at-{address.replace(':', '-').replace('.', '-').strip('-')}"
    await make_pod(world.server, name, "n1", address)
    await make_node(world.server, name, address, 10250)
    for target in (f"{PODS}/{name}/proxy/", f"/api/v1/nodes/{name}:80/proxy/"):
        answer = await world.server.send("GET", target, who=JANE)
        assert answer.status == 400, answer.body
        assert status_of(answer)["message"] == "address not allowed"


UPGRADES = {
    "websocket": {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io"},
    "spdy": {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"},
    "in a list": {"Connection": "keep-alive, upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"},
    "half a word": {"Connection": "reupgraded", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"},
}  # fmt: skip


@pytest.mark.parametrize("headers", UPGRADES.values(), ids=UPGRADES)
async def test_reading_a_nodes_proxy_runs_no_command(world, headers):
    """The right to get `nodes/proxy` is one to read; whatever runs a command needs `create`, also as a WebSocket's GET (the class of 2026)."""
    target = "/api/v1/nodes/n2/proxy/exec/default/on-n2/c?command=id&output=1"
    answer = await world.server.send("GET", target, who=JANE, headers=headers)
    assert not isinstance(answer, Upgrade)
    assert answer.status in {400, 403}
    granted = await world.server.send("GET", target, headers=headers)
    assert isinstance(granted, Upgrade) is (headers is not UPGRADES["half a word"])


async def test_credential_in_a_subprotocol_goes_no_further(world):
    """A browser's token signs in, and is neither chosen as the protocol, nor passed to the kubelet."""
    secret = base64.urlsafe_b64encode(b"janes-token").rstrip(b"=").decode()
    protocols = f"base64url.bearer.authorization.k8s.io.{secret}, v5.channel.k8s.io"
    world.commands.clear()
    line = await Line.open(world)
    code, head, _ = await line.ask(
        "GET", f"{PODS}/on-n2{EXEC}", WEBSOCKET + f"Sec-WebSocket-Protocol: {protocols}\r\n", token=""
    )
    assert code == 101
    assert b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n" in head
    (request,) = world.commands
    assert secret not in repr(list(request.headers.items()))
    line.close()


PROTOCOLS = {
    "none": "",
    "unknown": "v9.channel.k8s.io",
    "the credential alone": "base64url.bearer.authorization.k8s.io.amFuZXMtdG9rZW4",
    "two credentials": "base64url.bearer.authorization.k8s.io.YQ, base64url.bearer.authorization.k8s.io.Yg, v5.channel.k8s.io",
    "no base64": "base64url.bearer.authorization.k8s.io.!!!, v5.channel.k8s.io",
    "no text": "base64url.bearer.authorization.k8s.io._w, v5.channel.k8s.io",
    "thousands": ", ".join(f"p{number}" for number in range(5000)),
}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
async def test_odd_subprotocols_are_refused_or_left_out(world, protocol):
    """Nobody becomes anybody by them, and the server never says a protocol that was not offered."""
    offered = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    line = await Line.open(world)
    code, head, _ = await line.ask(
        "GET", f"{PODS}/on-n2{EXEC}", WEBSOCKET + offered, token="" if "bearer" in protocol else "janes-token"
    )
    assert code in ({400, 401} if "bearer" in protocol else {101, 403})
    chosen = re.search(rb"Sec-WebSocket-Protocol: (.*)\r\n", head)
    assert chosen is None or chosen[1].decode() in protocol.split(", ")
    line.close()


GARBAGE = {
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": b"\0" * 4096,
    "another version": b"\x80\x02\x00\x01" + b"\0" * 64,
    "a frame of sixteen mebibytes": FRAME["SYN_STREAM"] + b"\x01\xff\xff\xff" + b"\0" * 1000,
    "headers that are not compressed": FRAME["SYN_STREAM"] + b"\x01\x00\x00\x20" + b"\x00\x00\x00\x01" + b"x" * 28,
    "a ping of the wrong length": FRAME["PING"] + b"\x00\x00\x00\x02ab",
    "settings that lie about their number": FRAME["SETTINGS"] + b"\x00\x00\x00\x04\xff\xff\xff\xff",
    "data for nobody": b"\x00\x00\x00\x07\x00\x00\x00\x02hi" * 100,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_behind_an_upgrade_ends_its_own_connection_only(world, garbage, caplog):
    """Frames that are none close the stream or are ignored until the client goes; nothing is logged as a bug, and others are served."""
    line = await Line.open(world)
    code, _, _ = await line.ask("POST", f"{PODS}/on-n2{EXEC}", SPDY)
    assert code == 101
    await line.send(garbage)
    other = await Line.open(world)
    code, _, _ = await other.ask("GET", "/version")
    assert code == 200
    other.close()
    line.close()
    assert "failed" not in caplog.text


async def test_aggregated_group_that_lies_elsewhere_is_not_called(world):
    """An APIService takes no group from the server that serves it, and sends nobody's credentials anywhere (CVE-2022-3172)."""
    service = {"namespace": "default", "name": "elsewhere"}
    for group, version in (("apps", "v1"), ("rbac.authorization.k8s.io", "v1"), ("", "v1")):
        name = f"{version}.{group}"
        spec = {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 20000,
            "versionPriority": 100,
            "service": service,
            "insecureSkipTLSVerify": True,
        }
        answer = await world.server.send(
            "PUT", f"/apis/apiregistration.k8s.io/v1/apiservices/{name}", {"metadata": {"name": name}, "spec": spec}
        )
        assert answer.status < 500
        where = f"/apis/{group}/{version}" if group else "/api/v1"
        served = await world.server.send("GET", where)
        assert served.status == 200
        assert json.loads(served.body)["groupVersion"] == f"{group}/{version}".lstrip("/")
