import asyncio
import io
import socket
import ssl
import sys
import warnings

import aiohttp
import pytest

from pinnace.component.clock import RealClock
from pinnace.component.http import BodyTooLarge, Divertible, Headers, Part, Request, Response, Upgrade
from pinnace.component.http import server_connection as server_module
from pinnace.component.http.server import Limits, serve
from pinnace.component.tls import CertificateAuthority, certificate_facts, client_context, server_context, use_key_pair

CLOCK = RealClock()
LIMIT = 3 * 1024 * 1024


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("test-ca", CLOCK.time())


@pytest.fixture(scope="module")
def server_tls(authority):
    pair = authority.issue_server("server", ["localhost", "127.0.0.1"], CLOCK.time())
    return server_context(pair, authority.certificate_pem)


async def handle(request: Request) -> Response | Upgrade:
    if request.path == "/echo":
        try:
            return Response(body=await request.read(LIMIT))
        except BodyTooLarge:
            return Response(413, body=b"too large")
    if request.path == "/who":
        certificate = request.connection.certificate
        name = certificate_facts(certificate).common_name if certificate else ""
        return Response(headers=Headers({"X-Name": name}), body=f"{request.path}?{request.query}".encode())
    if request.path == "/count":

        async def count():
            for number in range(3):
                yield b"%d\n" % number

        return Response(body=count())
    if request.path == "/broken-stream":

        async def broken():
            yield b"first"
            raise RuntimeError("no more")

        return Response(body=broken())
    if request.path == "/for-ever":

        async def for_ever():
            yield b"start"
            await asyncio.Event().wait()

        return Response(body=for_ever())
    if request.path == "/upper":

        async def run(stream):
            while data := await stream.read():
                await stream.write(data.upper())

        return Upgrade(Headers({"Connection": "Upgrade", "Upgrade": request.headers.get("Upgrade")}), run)
    if request.path == "/method":
        return Response(body=request.method.encode())
    if request.path == "/split":
        return Response(headers=Headers({"X-Bad": "a\r\nSet-Cookie: b"}))
    raise RuntimeError("a bug")


@pytest.fixture
async def server(server_tls):
    async with serve(handle, "127.0.0.1", 0, ssl_context=server_tls, clock=CLOCK) as running:
        yield running


async def dial(server, authority, pair=None):
    return await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=client_context(authority.certificate_pem, pair), server_hostname="localhost"
    )


async def exchange(server, authority, raw: bytes) -> bytes:
    reader, writer = await dial(server, authority)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


def session(authority, pair=None):
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=client_context(authority.certificate_pem, pair)), auto_decompress=False
    )


async def test_server_answers_and_keeps_the_connection(server, authority):
    """Several requests go over one connection, bodies and raw paths arrive as sent."""
    reader, writer = await dial(server, authority)
    for number in range(3):
        writer.write(b"GET /who?a=%%2F%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Date: " in head
        body = await reader.readexactly(len(b"/who?a=%2F0"))
        assert body == b"/who?a=%%2F%d" % number
    writer.close()


async def test_server_takes_three_mebibytes_and_no_byte_more(server, authority):
    """A body of exactly the limit is read, one byte more is refused, chunked or sized."""
    url = f"https://localhost:{server.port}/echo"

    async def chunks(size):
        yield b"a" * size

    async with session(authority) as client:
        for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
            for data in (io.BytesIO(b"a" * size), chunks(size)):
                async with client.post(url, data=data) as response:
                    assert response.status == status


async def test_server_streams_chunk_by_chunk(server, authority):
    """An iterator's chunks arrive as one chunked body that ends properly."""
    raw = await exchange(server, authority, b"GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n")


class News(Divertible):
    """A body whose parts are offered as they happen; what is not taken waits to be iterated."""

    def __init__(self) -> None:
        self.take = None
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self.taken = 0

    def divert(self, take):
        self.take = take

    def happen(self, part: bytes) -> None:
        if self.waiting.empty() and self.take(Part(part)):
            self.taken += 1
        else:
            self.waiting.put_nowait(part)

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        part = await self.waiting.get()
        if not part:
            raise StopAsyncIteration
        return part


@pytest.mark.parametrize("protocol", ["1.0", "1.1"])
async def test_server_takes_what_happens_at_once_and_keeps_the_order(server_tls, authority, protocol):
    """Parts go out in the step in which they happen while the client reads, wait while it does not, and none is lost or overtakes."""
    news = News()
    asked = asyncio.Event()

    async def tell(_: Request) -> Response:
        asked.set()
        return Response(body=news)

    parts = [b"%06d" % number + bytes([65 + number % 26]) * 20_000 for number in range(400)]
    async with serve(tell, "127.0.0.1", 0, ssl_context=server_tls, clock=CLOCK) as server:
        reader, writer = await dial(server, authority)
        writer.write(b"GET /news HTTP/%b\r\nHost: x\r\nConnection: close\r\n\r\n" % protocol.encode())
        await asyncio.wait_for(asked.wait(), 5)
        await reader.readuntil(b"\r\n\r\n")
        # 8 MB at once are more than the sockets take: the later parts have to wait.
        for part in parts:
            news.happen(part)
        assert 0 < news.taken < len(parts)
        news.waiting.put_nowait(b"")
        received = await asyncio.wait_for(reader.read(), 20)
        writer.close()
    body = b"".join(received.split(b"\r\n")[1::2]) if protocol == "1.1" else received
    assert body == b"".join(parts)


async def test_server_streams_to_http_1_0_without_chunks(server, authority):
    """A client of HTTP/1.0 gets the bare bytes and the end of the connection."""
    raw = await exchange(server, authority, b"GET /count HTTP/1.0\r\n\r\n")
    assert raw.endswith(b"\r\n\r\n0\n1\n2\n")
    assert b"Transfer-Encoding" not in raw


async def test_server_cuts_a_failing_stream_short(server, authority):
    """A stream that fails in the middle is seen to be incomplete."""
    async with session(authority) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get(f"https://localhost:{server.port}/broken-stream") as response:
                await response.read()


async def test_server_hides_a_bug_behind_a_plain_500(server, authority):
    """A handler's exception is answered without its text."""
    raw = await exchange(server, authority, b"GET /bug HTTP/1.1\r\nHost: x\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert b"a bug" not in raw


async def test_server_never_echoes_a_malformed_request(server, authority, caplog):
    """The answer to a request that cannot be parsed has none of its bytes, nor has the log."""
    raw = await exchange(server, authority, b"GET /x HTTP/1.1\r\nAuthorization Bearer s3cret\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"s3cret" not in raw
    assert "s3cret" not in caplog.text


async def test_server_leaves_unknown_methods_to_the_handler(server, authority):
    """A method that the parser does not know reaches the handler as one that nobody answers; bytes of a body stay as sent."""
    body = b"FOO / HTTP/1.1\r\n\r\n"
    reader, writer = await dial(server, authority)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body))
    writer.write(b"Expect: 100-continue\r\n\r\n")
    # Sent when the server asks for it, the body comes in a read of its own.
    assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 100 Continue\r\n"
    writer.write(body)
    answer = await asyncio.wait_for(reader.readuntil(body), 5)
    assert b"HTTP/1.1 200 " in answer
    writer.write(b"brew /method HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"\r\n\r\nTRACE")
    writer.close()


async def test_server_keeps_the_rest_of_an_unwanted_body_apart_from_the_next_head(server, authority):
    """A body that comes behind the answer is thrown away: it counts for no head, however large, and requests go on behind it."""
    body = b"b" * (2 * server_module.HEAD_LIMIT_BYTES)
    reader, writer = await dial(server, authority)
    writer.write(b"POST /who HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert (await asyncio.wait_for(reader.readuntil(b"/who?"), 5)).startswith(b"HTTP/1.1 200 ")
    writer.write(body)
    # In one read with the last of the body, most likely.
    writer.write(b"BREW /method HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"TRACE"), 5)).startswith(b"HTTP/1.1 200 ")
    writer.write(b"BREW /method HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"\r\n\r\nTRACE")
    writer.close()


async def test_server_refuses_a_header_that_would_split_the_answer(server, authority):
    """A line break in a header value never reaches the wire."""
    raw = await exchange(server, authority, b"GET /split HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Set-Cookie" not in raw


async def test_server_takes_large_heads_up_to_its_limit(server, authority):
    """A head far over aiohttp's default passes; one over the limit gets 431 and the connection is closed."""
    head = b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Big: %b\r\n\r\n"
    assert (await exchange(server, authority, head % (b"a" * 200_000))).startswith(b"HTTP/1.1 200 ")
    many = b"GET /who HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 60_000) for n in range(20))
    answer = await exchange(server, authority, many)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_server_answers_expect_continue_before_reading(server, authority):
    """A client that asks first is told to go on."""
    reader, writer = await dial(server, authority)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert (await asyncio.wait_for(reader.readuntil(b"ok"), 5)).startswith(b"HTTP/1.1 200 OK")
    writer.close()


@pytest.mark.parametrize("protocol", ["SPDY/3.1", "websocket"])
async def test_server_upgrades_after_keep_alive_requests(server, authority, protocol):
    """A connection that served requests becomes a byte stream, and closes when the stream's run ends."""
    reader, writer = await dial(server, authority)
    writer.write(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"/who?")
    writer.write(b"POST /upper HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol.encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    writer.write(b"hello")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"HELLO"
    big = b"x" * 2_000_000
    writer.write(big)
    assert await asyncio.wait_for(reader.readexactly(len(big)), 5) == big.upper()
    writer.close()


async def test_server_closes_upgraded_and_streaming_connections_when_it_stops(server_tls, authority):
    """Stopping ends streams properly and at once, and frees the port."""
    async with serve(handle, "127.0.0.1", 0, ssl_context=server_tls, clock=CLOCK) as server:
        stream_reader, stream_writer = await dial(server, authority)
        stream_writer.write(b"GET /for-ever HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream_reader.readuntil(b"start\r\n")
        upgrade_reader, upgrade_writer = await dial(server, authority)
        upgrade_writer.write(b"POST /upper HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
        await upgrade_reader.readuntil(b"\r\n\r\n")
    assert await asyncio.wait_for(stream_reader.read(), 5) == b"0\r\n\r\n"
    assert await asyncio.wait_for(upgrade_reader.read(), 5) == b""
    for writer in (stream_writer, upgrade_writer):
        writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_server_closes_a_connection_that_sends_no_request(server_tls, authority):
    """A client that dawdles over its first head is cut off."""
    limits = Limits(head_seconds=0.2)
    async with serve(handle, "127.0.0.1", 0, ssl_context=server_tls, clock=CLOCK, limits=limits) as server:
        reader, writer = await dial(server, authority)
        writer.write(b"GET /who HTTP/1.1\r\nX-Slow: ")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_server_drops_a_client_that_stops_reading():
    """A client that takes nothing costs the server a bounded time."""
    ended = asyncio.Event()

    async def endless(_request):
        async def body():
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.set()

        return Response(body=body())

    async with serve(endless, "127.0.0.1", 0, clock=CLOCK, limits=Limits(stall_seconds=0.2)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.wait_for(ended.wait(), 5)


async def test_server_ends_a_stream_whose_client_goes_away():
    """A stream that waits for news is ended by its client's leaving."""
    ended = asyncio.Event()

    async def quiet(_request):
        async def body():
            try:
                yield b"start"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return Response(body=body())

    async with serve(quiet, "127.0.0.1", 0, clock=CLOCK) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"start")
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_server_gives_the_verified_certificate_to_the_handler(server, authority):
    """A client certificate of the right authority arrives as its DER, none as None."""
    pair = authority.issue_client("jane", ["devs"], CLOCK.time())
    for shown, name in ((pair, "jane"), (None, "")):
        async with session(authority, shown) as client, client.get(f"https://localhost:{server.port}/who") as response:
            assert response.headers["X-Name"] == name


@pytest.mark.parametrize("kind", ["expired", "foreign"])
async def test_server_refuses_a_client_certificate_that_is(server, authority, kind):
    """An expired certificate and one of another authority fail the handshake instead of counting as none."""
    if kind == "expired":
        pair = authority.issue_client("jane", [], CLOCK.time() - 10_000, lifetime_seconds=60)
    else:
        pair = CertificateAuthority.create("test-ca", CLOCK.time()).issue_client("jane", [], CLOCK.time())
    async with session(authority, pair) as client:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await client.get(f"https://localhost:{server.port}/who")


async def test_client_refuses_a_server_of_another_authority(server):
    """A client trusts its own authority only."""
    other = CertificateAuthority.create("other", CLOCK.time())
    async with session(other) as client:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.get(f"https://localhost:{server.port}/who")


def test_head_limit_is_gos_default():
    """The limit on heads is the one that clients of upstream know."""
    assert server_module.HEAD_LIMIT_BYTES == 1 << 20


async def test_server_shows_a_renewed_certificate_without_a_restart(authority):
    """A key pair put into a context in use is shown to new connections, and old ones go on."""
    now = CLOCK.time()
    context = server_context(authority.issue_server("old", ["localhost"], now), authority.certificate_pem)
    async with serve(handle, "127.0.0.1", 0, ssl_context=context, clock=CLOCK) as server:
        seen = []
        first_reader, first_writer = await dial(server, authority)
        use_key_pair(context, authority.issue_server("new", ["localhost"], now))
        _, second_writer = await dial(server, authority)
        for writer in (first_writer, second_writer):
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            seen.append(certificate_facts(der).common_name)
        assert seen == ["old", "new"]
        first_writer.write(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(first_reader.read(), 5)).startswith(b"HTTP/1.1 200 OK")
        second_writer.close()


async def test_server_refuses_tls_1_1(server, authority):
    """Old versions of TLS get no connection."""
    context = client_context(authority.certificate_pem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")


async def test_server_runs_under_uvloop_too():
    """The loop of production serves, streams and upgrades like the one of the tests."""
    script = (
        "import asyncio, sys, uvloop\n"
        "from pinnace.component.clock import RealClock\n"
        "from pinnace.component.http import Headers, Response, Upgrade\n"
        "from pinnace.component.http.client import HttpClient\n"
        "from pinnace.component.http.server import serve\n"
        "from pinnace.component.tls import CertificateAuthority, client_context, server_context\n"
        "async def handle(request):\n"
        "    if request.path == '/up':\n"
        "        async def run(stream):\n"
        "            while data := await stream.read():\n"
        "                await stream.write(data.upper())\n"
        "        return Upgrade(Headers({'Connection': 'Upgrade', 'Upgrade': 'SPDY/3.1'}), run)\n"
        "    return Response(body=b'plain')\n"
        "async def main():\n"
        "    clock = RealClock()\n"
        "    ca = CertificateAuthority.create('ca', clock.time())\n"
        "    tls = server_context(ca.issue_server('s', ['localhost'], clock.time()), ca.certificate_pem)\n"
        "    async with serve(handle, '127.0.0.1', 0, ssl_context=tls, clock=clock) as server:\n"
        "        client = HttpClient(f'https://localhost:{server.port}', client_context(ca.certificate_pem))\n"
        "        print((await client.request('GET', '/')).body.decode())\n"
        "        up = await client.upgrade('POST', '/up', headers=Headers({'Connection': 'Upgrade', 'Upgrade': 'SPDY/3.1'}))\n"
        "        await up.stream.write(b'tunnel')\n"
        "        print((await up.stream.read()).decode())\n"
        "        await up.stream.close()\n"
        "        await client.close()\n"
        "uvloop.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (out, process.returncode) == (b"plain\nTUNNEL\n", 0), err.decode()
