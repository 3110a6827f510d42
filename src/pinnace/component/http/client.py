"""HTTP/1.1 as a client: plain requests over kept connections, and upgrades over connections of their own.

One `HttpClient` speaks to one server. Redirects are never followed (a kubelet that redirects is an attack: CVE-2020-8559), cookies never kept,
heads bounded. An upgrade that the server declines leaves no connection open.
"""

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct
from yarl import URL

from pinnace.component.http.duplex import SocketStream
from pinnace.component.http.errors import BodyIncomplete, ConnectFailed, HttpError, ProtocolError, UpgradeRefused
from pinnace.component.http.message import NO_HEADERS, DuplexStream, Headers, Response

# Bytes of an answer's head, and of the body of a declined upgrade (a Status).
HEAD_LIMIT_BYTES = 1024 * 1024
_REFUSAL_LIMIT_BYTES = 1024 * 1024
# Bytes from which aiohttp wants a file instead of a text, so as to send in pieces.
_LARGE_BODY_BYTES = 512 * 1024
# A peer that a cut network keeps away is given up within 20 s, whether or not something was sent to it; watches would never notice.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 20_000}


class ClientLimits(Struct, frozen=True):
    """Seconds for each phase of a request; what comes after the head has no limit here, as watches last."""

    connect_seconds: float = 10.0
    # Until the head of the answer is there; longer than the 60 s after which a server gives up.
    head_seconds: float = 70.0
    # For an upgrade's answer.
    upgrade_seconds: float = 30.0


class Upgraded(Struct, frozen=True):
    """A connection that has left HTTP: the headers of the 101, and the bytes."""

    headers: Headers
    stream: DuplexStream


class HttpClient:
    """Requests to one server; close it in the end."""

    def __init__(
        self,
        server: str,
        ssl_context: ssl.SSLContext | None = None,
        *,
        server_hostname: str | None = None,
        limits: ClientLimits | None = None,
    ) -> None:
        """Speak to `server`, a URL whose path is put before each request's.

        `server_hostname` is the name that the server's certificate has to carry, when it is not the one in the URL.
        """
        parts = urlsplit(server)
        self._prefix = parts.path.rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._netloc = parts.netloc
        self._ssl = (ssl_context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._server_hostname = server_hostname
        self._limits = limits or ClientLimits()
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Headers = NO_HEADERS,
        body: bytes | AsyncIterable[bytes] = b"",
        stream: bool = False,
    ) -> Response:
        """Send a request; with `stream`, the answer's body is an iterator that must be read to its end or closed.

        Raises:
            ConnectFailed: the server cannot be reached or shows a wrong certificate.
            BodyIncomplete: the answer broke off.
            TimeoutError: no head came in time.
        """
        data: bytes | io.BytesIO | AsyncIterable[bytes] | None = body or None
        if isinstance(body, bytes) and len(body) > _LARGE_BODY_BYTES:
            data = io.BytesIO(body)
        url = URL(self._origin + self._prefix + path + ("?" + query if query else ""), encoded=True)
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                answer = await self._open_session().request(
                    method,
                    url,
                    headers=list(headers.items()),
                    data=data,
                    allow_redirects=False,
                    server_hostname=self._server_hostname,
                )
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error, self._origin) from error
        response_headers = Headers(answer.headers)
        if stream:
            return Response(answer.status, response_headers, _body(answer))
        try:
            return Response(answer.status, response_headers, await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            raise BodyIncomplete(f"the answer of {self._origin} broke off") from error
        finally:
            answer.release()

    async def upgrade(self, method: str, path: str, *, query: str = "", headers: Headers = NO_HEADERS) -> Upgraded:
        """Ask for an upgrade; the headers name it.

        Raises:
            ConnectFailed: the server cannot be reached or shows a wrong certificate.
            UpgradeRefused: it answered otherwise, and its answer is in the error.
            TimeoutError: it did not answer in time.
        """
        stream = await self._dial()
        try:
            async with asyncio.timeout(self._limits.upgrade_seconds):
                await stream.write(self._head(method, path, query, headers))
                head, rest = await _read_head(stream)
                status, answer = _parse_head(head)
                if status == 101:
                    stream.unread(rest)
                    return Upgraded(answer, stream)
                refusal = await _read_refusal(stream, rest, answer)
        except BaseException:
            stream.abort()
            raise
        stream.abort()
        raise UpgradeRefused(status, tuple(answer.items()), refusal)

    async def close(self) -> None:
        """Close every connection but upgraded ones, which belong to who asked for them."""
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._ssl or True, limit=0, keepalive_timeout=60, socket_factory=_socket
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
                max_line_size=HEAD_LIMIT_BYTES,
                max_field_size=HEAD_LIMIT_BYTES,
                trust_env=False,
            )
        return self._session

    async def _dial(self) -> SocketStream:
        loop = asyncio.get_running_loop()
        hostname = (self._server_hostname or self._host) if self._ssl is not None else None
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                _, stream = await loop.create_connection(
                    SocketStream, self._host, self._port, ssl=self._ssl, server_hostname=hostname
                )
        except TimeoutError as error:
            raise ConnectFailed(f"{self._origin}: no connection within {self._limits.connect_seconds:g} s") from error
        except OSError as error:
            raise _mapped(error, self._origin) from error
        return stream

    def _head(self, method: str, path: str, query: str, headers: Headers) -> bytes:
        target = self._prefix + path + ("?" + query if query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line break in a request's head")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that notices when nobody is at its other end any more."""
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # not every system has them all
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


async def _body(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, OSError) as error:
        raise BodyIncomplete("the answer broke off") from error
    finally:
        # Closed, not released: what is left of a watch would never end.
        answer.close()


def _mapped(error: Exception, origin: str) -> HttpError | OSError:
    if isinstance(error, TimeoutError):
        return error
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return ConnectFailed(f"{origin}: TLS: {error}")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return BodyIncomplete(f"{origin}: the server broke off: {type(error).__name__}")
    return ConnectFailed(f"{origin}: {error}")


async def _read_head(stream: SocketStream) -> tuple[bytes, bytes]:
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > HEAD_LIMIT_BYTES:
            raise ProtocolError("the head of the answer is too long")
        more = await stream.read()
        if not more:
            raise ConnectFailed("the server closed the connection instead of answering")
        data += more
    return data[:end], data[end + 4 :]


def _parse_head(head: bytes) -> tuple[int, Headers]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdecimal():
        raise ProtocolError("the answer is no HTTP/1.1")
    fields: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError("a malformed header in the answer")
        fields.append((name.strip(), value.strip()))
    return int(status), Headers(fields)


async def _read_refusal(stream: SocketStream, data: bytes, headers: Headers) -> bytes:
    """Read the body of an ordinary answer, as far as the limit."""
    length = headers.get("Content-Length")
    chunked = "chunked" in headers.get("Transfer-Encoding").lower()
    while len(data) < _REFUSAL_LIMIT_BYTES:
        if length.isdecimal() and len(data) >= int(length):
            return data[: int(length)]
        if chunked and data.endswith(b"0\r\n\r\n"):
            break
        more = await stream.read()
        if not more:
            break
        data += more
    return _unchunked(data) if chunked else data


def _unchunked(data: bytes) -> bytes:
    parts: list[bytes] = []
    while True:
        size_text, _, data = data.partition(b"\r\n")
        try:
            size = int(size_text.split(b";")[0], 16)
        except ValueError:
            size = 0
        if size == 0:
            return b"".join(parts)
        parts.append(data[:size])
        data = data[size + 2 :]
