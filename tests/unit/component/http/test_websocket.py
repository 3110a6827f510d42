import asyncio

import pytest

from pinnace.component.http import Headers, ProtocolError, Request, Response, websocket
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.websocket import Message, WebSocket, WebSocketStream


def mask() -> bytes:
    return b"\x11\x22\x33\x44"


def pair() -> tuple[WebSocket, WebSocket]:
    one, two = duplex_pair()
    return WebSocket(one, mask=mask), WebSocket(two)


def handshake(**fields: str) -> Request:
    headers = {
        "Connection": "keep-alive, Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    return Request("GET", "/", headers=Headers(headers))


def test_accept_answers_the_key_of_rfc_6455():
    """The accept value is the one of the standard's own example."""
    accepted = websocket.accept(handshake(), [""])
    assert isinstance(accepted, websocket.Handshake)
    assert accepted.headers.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "Sec-WebSocket-Protocol" not in accepted.headers


def test_accept_chooses_the_clients_first_known_protocol():
    """The client's order decides, and exactly one protocol is named."""
    accepted = websocket.accept(
        handshake(Sec_WebSocket_Protocol="x, v4.channel.k8s.io, v5.channel.k8s.io"),
        ["v5.channel.k8s.io", "v4.channel.k8s.io"],
    )
    assert isinstance(accepted, websocket.Handshake)
    assert accepted.headers.get_all("Sec-WebSocket-Protocol") == ("v4.channel.k8s.io",)


@pytest.mark.parametrize(
    ("fields", "protocols", "status"),
    [
        pytest.param({"Sec_WebSocket_Protocol": "other"}, ["v4", ""], 403, id="unknown protocol"),
        pytest.param({}, ["v4"], 403, id="no protocol where one is needed"),
        pytest.param({"Sec_WebSocket_Version": "8"}, [""], 400, id="old version"),
        pytest.param({"Sec_WebSocket_Key": "short"}, [""], 400, id="bad key"),
    ],
)
def test_accept_refuses(fields, protocols, status):
    """A handshake that breaks the rules is answered, not upgraded."""
    refused = websocket.accept(handshake(**fields), protocols)
    assert isinstance(refused, Response)
    assert refused.status == status


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
async def test_messages_travel_both_ways_at_every_length_form(size):
    """Lengths around each encoding's limits arrive whole, from client and server."""
    client, server = pair()
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    async with asyncio.TaskGroup() as group:
        group.create_task(client.send(data))
        assert await server.receive() == Message(data)
        group.create_task(server.send(data, text=True))
        assert await client.receive() == Message(data, text=True)


async def test_receive_joins_fragments_around_a_ping_and_answers_it():
    """A message in fragments is one message, and a ping between them is answered."""
    raw, stream = duplex_pair()
    server = WebSocket(stream)
    key = mask()

    def frame(first: int, data: bytes) -> bytes:
        return bytes((first, 0x80 | len(data))) + key + bytes(byte ^ key[n % 4] for n, byte in enumerate(data))

    await raw.write(frame(0x02, b"ab") + frame(0x89, b"hi") + frame(0x80, b"cd"))
    assert await server.receive() == Message(b"abcd")
    assert await raw.read() == b"\x8a\x02hi"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x82\x01a", 1002, id="unmasked"),
        pytest.param(b"\x83\x80\x11\x22\x33\x44", 1002, id="unknown opcode"),
        pytest.param(b"\xc2\x80\x11\x22\x33\x44", 1002, id="reserved bit"),
        pytest.param(b"\x80\x80\x11\x22\x33\x44", 1002, id="continuation of nothing"),
        pytest.param(b"\x09\x80\x11\x22\x33\x44", 1002, id="fragmented ping"),
        pytest.param(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009, id="too long"),
    ],
)
async def test_receive_tells_a_peer_that_breaks_the_rules_and_closes(data, code):
    """A broken frame ends the connection with the standard's code."""
    raw, stream = duplex_pair()
    await raw.write(data)
    with pytest.raises(ProtocolError):
        await WebSocket(stream).receive()
    assert await raw.read() == b"\x88\x02" + code.to_bytes(2, "big")


async def test_close_is_answered_and_ends_both_sides():
    """Each side says goodbye once, with the code that was given."""
    client, server = pair()
    await client.close(1000, "done")
    assert await server.receive() is None
    assert await client.receive() is None
    assert (client.close_code, server.close_code) == (1000, 1000)
    with pytest.raises(ConnectionResetError):
        await server.send(b"late")


async def test_receive_is_none_when_the_peer_is_cut_off_in_a_frame():
    """An end in the middle of a frame is an end."""
    raw, stream = duplex_pair()
    await raw.write(b"\x82\xfe\x10")
    await raw.close()
    assert await WebSocket(stream).receive() is None


async def test_websocket_stream_carries_bytes_without_message_bounds():
    """Reads split messages as the reader likes; closing is the end."""
    one, two = duplex_pair()
    client = WebSocketStream(WebSocket(one, mask=mask), one)
    server = WebSocketStream(WebSocket(two), two)
    await client.write(b"abcdef")
    assert await server.read(4) == b"abcd"
    assert await server.read(4) == b"ef"
    await client.close()
    assert await server.read() == b""
