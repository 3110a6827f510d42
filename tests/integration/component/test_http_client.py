import asyncio

import pytest

from pinnace.component.clock import RealClock
from pinnace.component.http import BodyIncomplete, ConnectFailed, Headers, Request, Response, Upgrade, UpgradeRefused
from pinnace.component.http.client import HttpClient
from pinnace.component.http.server import serve
from pinnace.component.http.spdy import SpdyConnection
from pinnace.component.http.streams import CommandOptions, serve_remote_command
from pinnace.component.http.websocket import WebSocket, request_headers
from pinnace.component.tls import CertificateAuthority, client_context, server_context

CLOCK = RealClock()
SPDY = Headers([("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")])


async def cat(streams) -> int:
    while data := await streams.read_stdin():
        await streams.write_stdout(data)
    return 0


async def handle(request: Request) -> Response | Upgrade:
    match request.path:
        case "/prefix/echo%2F":
            return Response(201, Headers({"X-Query": request.query}), await request.read(10_000_000))
        case "/prefix/redirect":
            return Response(302, Headers({"Location": "/prefix/echo%2F"}))
        case "/prefix/stream" | "/prefix/broken":

            async def body():
                yield b"one"
                if request.path.endswith("broken"):
                    raise RuntimeError
                yield b"two"

            return Response(body=body())
        case "/prefix/exec":
            return await serve_remote_command(request, CommandOptions(stdin=True, stdout=True), cat)
    return Response(404, body=b"nothing here")


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("test-ca", CLOCK.time())


@pytest.fixture
async def client(authority):
    tls = server_context(authority.issue_server("s", ["localhost"], CLOCK.time()), None)
    async with serve(handle, "127.0.0.1", 0, ssl_context=tls, clock=CLOCK) as server:
        made = HttpClient(f"https://localhost:{server.port}/prefix", client_context(authority.certificate_pem))
        yield made
        await made.close()


async def test_client_sends_path_and_query_as_they_are(client):
    """Nothing is encoded twice, and large bodies arrive whole."""
    body = b"x" * 2_000_000
    response = await client.request("POST", "/echo%2F", query="a=%2Fb", body=body)
    assert (response.status, response.headers.get("X-Query"), response.body) == (201, "a=%2Fb", body)


async def test_client_follows_no_redirect(client):
    """A redirect is an answer like any other."""
    assert (await client.request("GET", "/redirect")).status == 302


async def test_client_streams_and_tells_a_broken_stream(client):
    """A streamed body comes as it is sent; one that breaks off raises."""
    response = await client.request("GET", "/stream", stream=True)
    assert b"".join([chunk async for chunk in response.body]) == b"onetwo"
    response = await client.request("GET", "/broken", stream=True)
    with pytest.raises(BodyIncomplete):
        _ = [chunk async for chunk in response.body]


async def test_client_upgrade_refused_holds_the_answer(client):
    """A declined upgrade raises with status and body."""
    with pytest.raises(UpgradeRefused) as refused:
        await client.upgrade("POST", "/nothing", headers=SPDY)
    assert (refused.value.status, refused.value.body) == (404, b"nothing here")


async def test_spdy_round_trip_over_tls(client):
    """A command runs over SPDY on a real TLS connection, a megabyte through it and back."""
    upgraded = await client.upgrade("POST", "/exec", headers=SPDY)
    assert upgraded.headers.get("Upgrade") == "SPDY/3.1"
    connection = SpdyConnection(upgraded.stream, server=False)
    data = bytes(range(256)) * 4000
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        frames = group.create_task(connection.run())
        streams = {kind: await connection.open(Headers({"streamType": kind})) for kind in ("error", "stdin", "stdout")}

        async def send():
            await streams["stdin"].write(data)
            await streams["stdin"].write_eof()

        group.create_task(send())
        received = bytearray()
        while chunk := await streams["stdout"].read():
            received += chunk
        assert received == data
        assert await streams["error"].read() == b'{"metadata":{},"status":"Success"}'
        await connection.close()
        await frames


async def test_websocket_round_trip_over_tls(client):
    """A command runs over WebSocket on a real TLS connection."""
    upgraded = await client.upgrade("GET", "/exec", headers=request_headers(b"0" * 16, ["v5.channel.k8s.io"]))
    socket = WebSocket(upgraded.stream, mask=lambda: b"abcd")
    async with asyncio.timeout(10):
        assert (await socket.receive()).data == b"\x01"
        await socket.send(b"\x00" + b"y" * 70_000)
        received = b""
        while len(received) < 70_000:
            received += (await socket.receive()).data[1:]
        await socket.send(b"\xff\x00")
        assert (await socket.receive()).data == b'\x03{"metadata":{},"status":"Success"}'
        assert await socket.receive() is None
    await upgraded.stream.close()


async def test_client_tells_that_nobody_listens(authority):
    """A refused connection is a ConnectFailed, for requests and upgrades."""
    client = HttpClient("https://127.0.0.1:1", client_context(authority.certificate_pem))
    with pytest.raises(ConnectFailed):
        await client.request("GET", "/")
    with pytest.raises(ConnectFailed):
        await client.upgrade("POST", "/", headers=SPDY)
    await client.close()


async def test_client_refuses_a_certificate_of_another_authority(client):
    """Neither requests nor upgrades reach a server that shows a foreign certificate."""
    other = CertificateAuthority.create("other", CLOCK.time())
    stranger = HttpClient(client._origin, client_context(other.certificate_pem))
    with pytest.raises(ConnectFailed, match=r"TLS|certificate"):
        await stranger.request("GET", "/")
    with pytest.raises(ConnectFailed):
        await stranger.upgrade("POST", "/", headers=SPDY)
    await stranger.close()
