import asyncio
from contextlib import asynccontextmanager

import pytest

from pinnace.component.http import Headers, Request, Response, Upgrade
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.spdy import SpdyConnection
from pinnace.component.http.streams import PortForwardFailed, serve_port_forward
from pinnace.component.http.websocket import WebSocket, WebSocketStream

TARGET = "pod web, uid u-1"
WEBSOCKET = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]
SPDY = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "portforward.k8s.io")]


async def forward(port, stream):
    """Echo in upper case on port 80 until the client ends, say bye on port 82, refuse every other."""
    if port == 82:
        await stream.write(b"bye")
        return
    if port != 80:
        raise PortForwardFailed("connection refused")
    while data := await stream.read():
        await stream.write(data.upper())


@asynccontextmanager
async def upgraded(request, carry=forward):
    """Give the client's end of a forwarding."""
    answer = await serve_port_forward(request, TARGET, carry)
    assert isinstance(answer, Upgrade)
    client, server = duplex_pair()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer.run(server))
        yield client
        await client.close()
        await task


async def open_pair(connection, port, request_id):
    fields = {"port": str(port), "requestID": str(request_id)}
    error = await connection.open(Headers(fields | {"streamType": "error"}))
    await error.write_eof()
    return await connection.open(Headers(fields | {"streamType": "data"})), error


@pytest.mark.parametrize("tunnel", [False, True], ids=["spdy", "spdy in websocket"])
async def test_port_forward_carries_connections_and_tells_errors(tunnel):
    """Several connections run at once; one to a closed port fails alone, with upstream's text."""
    headers = [*WEBSOCKET, ("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io")] if tunnel else SPDY
    async with upgraded(Request("GET", "/portForward", headers=Headers(headers))) as raw, asyncio.TaskGroup() as group:
        stream = WebSocketStream(WebSocket(raw, mask=lambda: b"abcd"), raw) if tunnel else raw
        connection = SpdyConnection(stream, server=False)
        frames = group.create_task(connection.run())
        first, first_error = await open_pair(connection, 80, 0)
        second, _ = await open_pair(connection, 80, 1)
        closed, closed_error = await open_pair(connection, 81, 2)
        assert await closed_error.read() == b"error forwarding port 81 to pod web, uid u-1: connection refused"
        assert await closed_error.read() == b""
        assert await closed.read() == b""
        for data in (first, second):
            await data.write(b"hello")
            assert await data.read() == b"HELLO"
            await data.write_eof()
            assert await data.read() == b""
        assert await first_error.read() == b""
        await connection.close()
        await frames


async def test_port_forward_refuses_streams_with_bad_headers():
    """A stream of no known type or port is reset, and the connection goes on."""
    async with upgraded(Request("POST", "/portForward", headers=Headers(SPDY))) as raw, asyncio.TaskGroup() as group:
        connection = SpdyConnection(raw, server=False)
        frames = group.create_task(connection.run())
        for fields in (
            {"streamType": "x", "port": "80"},
            {"streamType": "data", "port": "70000"},
            {"streamType": "data"},
        ):
            stream = await connection.open(Headers(fields))
            assert await stream.read() == b""
            assert stream.was_reset
        data, _ = await open_pair(connection, 80, 9)
        await data.write(b"x")
        assert await data.read() == b"X"
        await connection.close()
        await frames


async def test_port_forward_over_websocket_channels():
    """Each port has two channels that begin with its number."""
    request = Request(
        "GET",
        "/portForward",
        query="ports=80,81",
        headers=Headers([*WEBSOCKET, ("Sec-WebSocket-Protocol", "v4.channel.k8s.io")]),
    )
    async with upgraded(request) as raw:
        socket = WebSocket(raw, mask=lambda: b"abcd")
        first = [(await socket.receive()).data for _ in range(4)]
        assert first == [b"\x00\x50\x00", b"\x01\x50\x00", b"\x02\x51\x00", b"\x03\x51\x00"]
        await socket.send(b"\x00hello")
        later = {(await socket.receive()).data, (await socket.receive()).data}
        assert later == {b"\x00HELLO", b"\x03error forwarding port 81 to pod web, uid u-1: connection refused"}


async def test_port_forward_over_websocket_channels_ends_with_the_last_port():
    """What a port wrote arrives, and then the goodbye that is a client's only sign of the end."""
    request = Request(
        "GET",
        "/portForward",
        query="ports=81,82",
        headers=Headers([*WEBSOCKET, ("Sec-WebSocket-Protocol", "v4.channel.k8s.io")]),
    )
    async with upgraded(request) as raw:
        socket = WebSocket(raw, mask=lambda: b"abcd")
        for _ in range(4):
            await socket.receive()
        later = {(await socket.receive()).data, (await socket.receive()).data}
        assert later == {b"\x01error forwarding port 81 to pod web, uid u-1: connection refused", b"\x02bye"}
        assert await socket.receive() is None


async def test_port_forward_ends_connections_with_the_client():
    """A port that would go on for ever is let go when the client's connection ends."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_port, _stream):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    request = Request("POST", "/portForward", headers=Headers(SPDY))
    async with upgraded(request, endless) as raw, asyncio.TaskGroup() as group:
        connection = SpdyConnection(raw, server=False)
        frames = group.create_task(connection.run())
        await open_pair(connection, 80, 0)
        await begun.wait()
        await connection.close()
        await frames
    assert ended.is_set()


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        pytest.param([], "", 400, id="no upgrade"),
        pytest.param(WEBSOCKET, "", 400, id="no ports"),
        pytest.param(WEBSOCKET, "ports=80,x", 400, id="bad port"),
        pytest.param([*WEBSOCKET, ("Sec-WebSocket-Protocol", "other")], "ports=80", 403, id="unknown protocol"),
    ],
)
async def test_port_forward_refuses(headers, query, status):
    """What cannot be negotiated is answered without an upgrade."""

    answer = await serve_port_forward(Request("GET", "/", query=query, headers=Headers(headers)), TARGET, forward)
    assert isinstance(answer, Response)
    assert answer.status == status
