"""What is sent to the API server's socket and is no clean HTTP/1.1: refused, or read in one way only (check 32).

Bytes go over a bare socket. A recorder between socket and server says which requests the server took the bytes for: where the framing of a
request is ambiguous, none may be found in it that its sender could have hidden from a proxy. Upstream: Go's `net/http`; where this server
is stricter than Go, the row says so.
"""

import asyncio
import re

import pytest
import pytest_asyncio
from tests.support.bad_input import ROOT, bad_input_server

from pinnace.component.clock import RealClock
from pinnace.component.http.server import Limits, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = b"Authorization: Bearer roots-token\r\n"
HOST = b"Host: x\r\n"
MAPS = b"/api/v1/namespaces/default/configmaps"
OBJECT = b'{"metadata":{"name":"%b"}}'
# Hidden in what a proxy would take for a body.
HIDDEN = b"DELETE " + MAPS + b"/kept HTTP/1.1\r\n" + HOST + TOKEN + b"\r\n"
POST = b"POST " + MAPS + b" HTTP/1.1\r\n" + HOST + TOKEN + b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Socket:
    """A server on a socket, and the requests that reached it."""

    def __init__(self, server):
        self._server = server
        self.seen = []
        self.port = 0

    async def handle(self, request):
        self.seen.append((request.method, request.path))
        return await self._server.handle(request)

    async def exchange(self, raw, *, ends=False):
        """Send bytes, end the sending side when that is wanted, and return all that comes back: (codes, bytes)."""
        self.seen.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(30):
                writer.write(raw)
                if ends:
                    writer.write_eof()
                answer = b""
                try:
                    while data := await reader.read(65536):
                        answer += data
                except ConnectionResetError:
                    pass
        finally:
            writer.close()
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)], answer

    async def has_kept(self):
        return (await self._server.send("GET", f"{MAPS.decode()}/kept")).status == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire():
    """A server whose root has a token, with a config map that nobody may delete."""
    async with bad_input_server(tokens={"roots-token": ROOT}) as server:
        await server.send("POST", MAPS.decode(), {"metadata": {"name": "kept"}})
        found = Socket(server)
        # Whoever sends half a request is let go at once, since no test sends the other half.
        async with serve(
            found.handle, "127.0.0.1", 0, clock=RealClock(), limits=Limits(head_seconds=5, idle_seconds=0.2)
        ) as listening:
            found.port = listening.port
            yield found


AMBIGUOUS = {
    # Go takes chunked and drops the length; a proxy may do otherwise.
    "length and chunked": POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunked and length": POST + CHUNKED + b"Content-Length: 300\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 0, %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a length with an underscore": POST + b"Content-Length: 0_0\r\n\r\n" + HIDDEN,
    "a length of other digits": POST + "Content-Length: ٠\r\n\r\n".encode() + HIDDEN,
    "a length of thousands of digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + HIDDEN,
    "an empty length": POST + b"Content-Length:\r\n\r\n" + HIDDEN,
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and then not": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunked behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked in HTTP/1.0": POST.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    # Go joins folded lines and takes a bare line feed; neither is needed by anybody.
    "a folded line": POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bare line feed": POST + b"X: a\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a bare carriage return": POST + b"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a zero byte in a value": POST + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a blank in a name": POST + b"X Y: a\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "no colon": POST + b"Content-Length\r\n\r\n" + HIDDEN,
    "an empty name": POST + b": a\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
}
BAD_CHUNKS = {
    "no number": b"zz\r\nab\r\n0\r\n\r\n",
    "a sign": b"-2\r\nab\r\n0\r\n\r\n",
    "a prefix": b"0x2\r\nab\r\n0\r\n\r\n",
    "an underscore": b"0_2\r\nab\r\n0\r\n\r\n",
    "over 64 bits": b"fffffffffffffffff\r\nab\r\n0\r\n\r\n",
    "more than it says": b"2\r\nabc\r\n0\r\n\r\n",
    "less than it says": b"5\r\nab\r\n0\r\n\r\n",
    "line feeds": b"2\nab\n0\n\n",
    "a line feed in an extension": b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "no size": b"\r\nab\r\n0\r\n\r\n",
    "a trailer without colon": b"0\r\nX y\r\n\r\n",
}


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_ambiguous_framing_hides_no_request(wire, raw):
    """What could be read in two ways is not read at all: 400, the connection closed, and nobody asked."""
    codes, answer = await wire.exchange(raw)
    assert codes == [400]
    assert wire.seen == []
    assert b"roots-token" not in answer
    assert await wire.has_kept()


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_malformed_chunks_hide_no_request(wire, body):
    """A body whose chunks do not add up makes no object, and what comes behind it is never looked at."""
    codes, _ = await wire.exchange(POST + CHUNKED + b"\r\n" + body + HIDDEN, ends=True)
    assert codes in ([400], [])
    assert ("DELETE", f"{MAPS.decode()}/kept") not in wire.seen
    assert await wire.has_kept()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET /api HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET /api HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /api\x00 HTTP/1.1\r\n" + HOST + b"\r\n", id="zero byte in the path"),
        pytest.param(b"GET /a\tpi HTTP/1.1\r\n" + HOST + b"\r\n", id="tab in the path"),
        pytest.param(b"GET /api\xff HTTP/1.1\r\n" + HOST + b"\r\n", id="byte in the path"),
        pytest.param(b"GET api HTTP/1.1\r\n" + HOST + b"\r\n", id="no slash"),
        pytest.param(b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", id="no target"),
        pytest.param(b"GET file:///etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", id="file target"),
        pytest.param(b"G(T /api HTTP/1.1\r\n" + HOST + b"\r\n", id="no method"),
        pytest.param(b"GET /api HTTP/11.1\r\n" + HOST + b"\r\n", id="no version"),
        pytest.param(b"GET /api HTTP/1.x\r\n" + HOST + b"\r\n", id="letters for a version"),
        pytest.param(b"GET /api\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", id="HTTP/2 preface"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(bytes(range(256)), id="garbage"),
    ],
)
async def test_what_is_no_request_is_refused(wire, raw):
    """It is answered 400 and reaches nobody."""
    codes, _ = await wire.exchange(raw)
    assert codes == [400]
    assert wire.seen == []


@pytest.mark.parametrize(
    "name", ["Authorization: Bearer", "Impersonate-User:", "Impersonate-Extra-a:", "User-Agent:", "Accept:", "X:"]
)
@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf"], ids=["bytes", "half", "surrogate", "overlong"]
)
async def test_field_that_is_no_text_is_refused(wire, name, value):
    """Go takes any byte; here whoever sends one that is no UTF-8 is told so, before it can be a name, a token or a line of a log."""
    credential = b"" if name.startswith("Authorization") else TOKEN
    codes, _ = await wire.exchange(
        b"GET /version HTTP/1.1\r\n" + HOST + credential + name.encode() + b" " + value + b"\r\n\r\n"
    )
    assert codes == [400]
    assert wire.seen == []


async def test_version_that_is_not_spoken_is_refused(wire):
    """HTTP/2 in the words of HTTP/1 gets the code that says so."""
    codes, _ = await wire.exchange(b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n")
    assert codes == [505]
    assert wire.seen == []


async def test_expectation_that_is_not_known_is_refused(wire):
    """The only one there is concerns the body; any other cannot be met."""
    codes, _ = await wire.exchange(POST + b"Expect: the-unexpected\r\nContent-Length: 2\r\n\r\n{}")
    assert codes == [417]
    assert wire.seen == []


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /" + b"a" * 1_100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", id="target"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 1_100_000 + b"\r\n\r\n", id="field"),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\n"
            + HOST
            + b"".join(b"X%d: %b\r\n" % (n, b"a" * 60_000) for n in range(40))
            + b"\r\n",
            id="fields",
        ),
        pytest.param(b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 5000 + b"\r\n", id="many fields"),
    ],
)
async def test_head_over_the_limit_is_refused(wire, head):
    """A mebibyte is the limit, as in Go; the server keeps none of it and asks nobody."""
    codes, _ = await wire.exchange(head)
    assert codes in ([431], [400], [])
    assert wire.seen == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(POST + b"Content-Length: 1000\r\n\r\n" + OBJECT % b"cut", id="sized"),
        pytest.param(POST + CHUNKED + b"\r\n1a\r\n" + OBJECT % b"cut", id="chunked"),
        pytest.param(POST + CHUNKED + b"\r\n" + b"%x\r\n%b\r\n" % (26, OBJECT % b"cut"), id="chunked without end"),
    ],
)
async def test_body_that_ends_early_makes_nothing(wire, raw):
    """An object is made of whole bodies only, even when the part that came would do."""
    await wire.exchange(raw, ends=True)
    codes, _ = await wire.exchange(b"GET " + MAPS + b"/cut HTTP/1.1\r\n" + HOST + TOKEN + b"Connection: close\r\n\r\n")
    assert codes == [404]


async def test_chunked_body_is_read_with_extensions_and_trailers(wire):
    """What chunks may carry beside the body is read over; a trailer is no header."""
    body = OBJECT % b"chunked"
    chunks = b"%x;a=b\r\n%b\r\n0;%b\r\nAuthorization: Bearer none\r\nImpersonate-User: jane\r\n\r\n" % (
        len(body),
        body,
        b"x" * 1000,
    )
    codes, _ = await wire.exchange(POST + CHUNKED + b"\r\n" + chunks)
    assert codes == [201]


async def test_requests_in_a_row_are_answered_in_their_order(wire):
    """Three requests in one packet, one with a body that looks like a request, are three requests."""
    first = POST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
    second = b"GET " + MAPS + b"/none HTTP/1.1\r\n" + HOST + TOKEN + b"\r\n"
    third = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    codes, _ = await wire.exchange(first + second + third)
    assert codes == [400, 404, 200]
    assert [method for method, _ in wire.seen] == ["POST", "GET", "GET"]
    assert await wire.has_kept()


async def test_body_of_a_get_is_no_request(wire):
    """A GET's body is taken off the connection before the next head is looked for."""
    codes, _ = await wire.exchange(
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
    )
    assert codes == [200]
    assert wire.seen == [("GET", "/healthz")]
    assert await wire.has_kept()


async def test_body_that_begins_like_a_method_is_left_as_it_is(wire):
    """Bytes that come after their head are a body, whatever they look like."""
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    body = b'FOO: "bar"\nmetadata: {name: foo}\n'
    head = POST.replace(b"application/json", b"application/yaml").replace(MAPS, MAPS + b"?fieldValidation=Strict")
    async with asyncio.timeout(30):
        for _ in range(20):
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body))
            await asyncio.sleep(0)
            writer.write(body)
            answer = await reader.readuntil(b"\r\n\r\n")
            size = int(re.search(rb"Content-Length: (\d+)", answer)[1])
            assert b'unknown field \\"FOO\\"' in await reader.readexactly(size)
    writer.close()


@pytest.mark.parametrize(
    ("target", "code"),
    [
        pytest.param(b"http://elsewhere/healthz", 200, id="absolute"),
        pytest.param(b"https://root:pw@elsewhere:1/api/v1/../v1/secrets", 404, id="absolute with dots"),
        pytest.param(b"http://elsewhere", 200, id="absolute without path"),
        pytest.param(b"//elsewhere" + MAPS + b"/kept", 404, id="two slashes"),
        pytest.param(b"/api/v1/namespaces/default/%2e%2e/kube-system/configmaps", 404, id="encoded dots"),
        pytest.param(b"/api/v1/namespaces/default%2fconfigmaps/kept", 404, id="encoded slash"),
        pytest.param(b"/api/v1/namespaces/default/configmaps/%6bept", 200, id="encoded letter"),
        pytest.param(b"/api/v1/namespaces/default/configmaps/kept%00", 404, id="encoded zero byte"),
        pytest.param(b"/api/v1/namespaces/default/configmaps/%zz", 404, id="no escape"),
        pytest.param(b"/%61pi/v1/namespaces/default/configmaps/kept", 404, id="encoded api"),
        pytest.param(b"/api/v1/namespaces/default/configmaps/kept#x", 404, id="fragment"),
        pytest.param(b"/healthz/../api/v1/secrets", 404, id="dots behind health"),
    ],
)
async def test_target_means_one_thing(wire, target, code):
    """Authorization and routing read the same path: as sent, segments first, escapes after."""
    codes, _ = await wire.exchange(b"GET " + target + b" HTTP/1.1\r\n" + HOST + TOKEN + b"Connection: close\r\n\r\n")
    assert codes == [code]


@pytest.mark.parametrize(
    "raw",
    [
        b"CONNECT elsewhere:80 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"TRACE /api HTTP/1.1\r\n",
        b"get /api HTTP/1.1\r\n",
    ],
)
async def test_method_that_nobody_answers_opens_nothing(wire, raw):
    """No tunnel, no echo of credentials, and no other method's answer, even for root."""
    codes, answer = await wire.exchange(raw + HOST + TOKEN + b"Connection: close\r\n\r\n")
    assert codes in ([404], [405])
    assert b"roots-token" not in answer


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", id="h2c"
        ),
        pytest.param(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
            id="websocket",
        ),
        pytest.param(b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n", id="spdy"),
        pytest.param(b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", id="tls"),
    ],
)
async def test_upgrade_that_nobody_offers_is_not_made(wire, fields):
    """The request is answered as if it had not asked; what follows it is HTTP/1.1 still, or not looked at: the connection closes."""
    one = b"GET " + MAPS + b"/kept HTTP/1.1\r\n" + HOST + TOKEN + fields + b"\r\n"
    codes, answer = await wire.exchange(one + b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert codes == [200, 200] or (codes == [200] and b"Connection: close" in answer)


async def test_http_1_0_is_answered_and_closed(wire):
    """The oldest version that is spoken needs no host, and keeps its connection only when it says so."""
    codes, _ = await wire.exchange(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert codes == [200]
    kept = b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2
    codes, _ = await wire.exchange(kept)
    assert codes == [200, 200]


async def test_continue_is_said_only_to_a_body_that_is_wanted(wire):
    """Who may not write is refused before the body is sent."""
    head = POST.replace(TOKEN, b"") + b"Expect: 100-continue\r\nContent-Length: 26\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    writer.write(head)
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()


@pytest.mark.parametrize("name", ["X-Remote-User", "X-Remote-Group", "X-Remote-Extra-scopes", "Impersonate-User"])
@pytest.mark.parametrize(
    "spelling", [str.lower, str.upper, lambda name: name.replace("-", "_")], ids=["lower", "upper", "underscores"]
)
async def test_names_in_headers_come_from_nobody(wire, name, spelling):
    """No spelling of a header that names a user counts without a credential."""
    fields = b"".join(b"%b: %b\r\n" % (spelling(one).encode(), b"system:masters") for one in ("X-Remote-User", name))
    codes, answer = await wire.exchange(
        b"GET " + MAPS + b" HTTP/1.1\r\n" + HOST + fields + b"Connection: close\r\n\r\n"
    )
    assert codes == [403]
    assert b"system:anonymous" in answer
