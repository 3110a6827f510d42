"""Serving HTTP/1.1 over sockets: the adapter between aiohttp's protocol machinery and a `Handler`.

aiohttp parses, keeps connections alive and paces bodies; this module turns what it parsed into a `Request`, and writes the
answer itself, head and body in one piece. It bounds what a client may cost: size of a head, time to send one, time that a write may
stall. Traps it is built around: aiohttp's own answer to a malformed request prints and logs the request line (tokens included), its limits
on heads are lower than Kubernetes' clients need, and it knows no upgrade but WebSocket.
Invariant: no byte of a request that could not be parsed is echoed or logged.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server as AiohttpServer

from pinnace.component.clock import Clock
from pinnace.component.http.duplex import SocketStream, duplex_pair
from pinnace.component.http.errors import BodyIncomplete
from pinnace.component.http.message import Connection, Handler, Headers, Request, Response, Upgrade
from pinnace.component.logging import get_logger

# Bytes of a request's line and header fields together; the same as Go's default, which clients are used to.
HEAD_LIMIT_BYTES = 1024 * 1024
HEADER_COUNT_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may take, in seconds."""

    # To complete the TLS handshake, and then its first request head.
    head_seconds: float = 10.0
    # Between requests. Longer than Go's clients keep connections (90 s), so that the client is the one to close.
    idle_seconds: float = 120.0
    # Without taking a single byte of an answer.
    stall_seconds: float = 60.0
    # For requests in flight when the server stops; streams are ended at once.
    drain_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    host: str
    port: int


@asynccontextmanager
async def serve(
    handler: Handler,
    host: str | None,
    port: int,
    *,
    ssl_context: ssl.SSLContext | None = None,
    clock: Clock,
    limits: Limits | None = None,
) -> AsyncIterator[Server]:
    """Answer requests by `handler` within the block; `host` None means every address, port 0 a free one.

    On leaving, listening stops, streams and upgraded connections end, and requests in flight get `drain_seconds`.

    Raises:
        OSError: the address cannot be listened on.
    """
    limits = limits or Limits()
    adapter = _Adapter(handler, clock, limits)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        adapter,
        host,
        port,
        ssl=ssl_context,
        backlog=1024,
        reuse_address=True,
        ssl_handshake_timeout=limits.head_seconds if ssl_context is not None else None,
    )
    try:
        address = listener.sockets[0].getsockname()
        yield Server(str(address[0]), int(address[1]))
    finally:
        listener.close()
        adapter.end_streams()
        adapter.pre_shutdown()
        await adapter.shutdown(limits.drain_seconds)
        await listener.wait_closed()


class _Exchange:
    """What aiohttp calls a request, reduced to what its protocol class touches."""

    __slots__ = ("_task", "message", "payload", "protocol")

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: "_Protocol",
        task: "asyncio.Task[None] | None",
    ) -> None:
        self.message = message
        self.payload = payload
        self.protocol = protocol
        self._task = task

    def _cancel(self, error: BaseException) -> None:
        self.payload.set_exception(error)

    def _finish(self) -> None:
        pass


class _Adapter(AiohttpServer):
    """Makes a protocol for each connection, and answers what they parse."""

    def __init__(self, handler: Handler, clock: Clock, limits: Limits) -> None:
        super().__init__(
            cast("Any", self._answer),
            request_factory=cast("Any", self._make_exchange),
            # A handler whose client has gone works for nobody: watches and followed logs would wait for ever.
            handler_cancellation=True,
        )
        self.clock = clock
        self.limits = limits
        self.log = get_logger("http-server")
        self._handler = handler
        self._streams: set[asyncio.Timeout] = set()
        self._date = (0, "")

    def __call__(self) -> "_Protocol":
        return _Protocol(self, loop=self._loop)

    @staticmethod
    def _make_exchange(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: "_Protocol",
        _writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> _Exchange:
        protocol.payload = payload
        return _Exchange(message, payload, protocol, task)

    def end_streams(self) -> None:
        """End every streamed answer and upgraded connection now."""
        for scope in tuple(self._streams):
            scope.reschedule(self._loop.time())

    @asynccontextmanager
    async def stream_scope(self) -> AsyncIterator[None]:
        """Run a stream so that `end_streams` can end it; the end is an ordinary one for the code behind the block."""
        try:
            async with asyncio.timeout(None) as scope:
                self._streams.add(scope)
                try:
                    yield
                finally:
                    self._streams.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise

    def date(self) -> str:
        """Return the Date field, formatted once a second."""
        second = int(self.clock.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    async def _answer(self, exchange: _Exchange) -> "_Answer":
        message, protocol = exchange.message, exchange.protocol
        target = message.path if message.path.startswith("/") else message.url.raw_path_qs
        path, _, query = target.partition("?")
        request = Request(
            message.method,
            path,
            query=query,
            headers=Headers(message.headers),
            body=_body(exchange),
            connection=protocol.facts(),
        )
        answer = await self._handler(request)
        keep_alive = not message.should_close
        http_11 = message.version >= HttpVersion11
        if isinstance(answer, Upgrade):
            return _UpgradeAnswer(self, protocol, answer)
        return _ResponseAnswer(
            self, protocol, answer, keep_alive=keep_alive, head=message.method == "HEAD", http_11=http_11
        )


def _body(exchange: _Exchange) -> bytes | AsyncIterator[bytes]:
    """Return a body that has come with its head as bytes: most do, and an iterator costs as much as reading a small object."""
    payload = exchange.payload
    if payload is EMPTY_PAYLOAD:
        return b""
    arrived = payload.is_eof() and payload.exception() is None
    return payload.read_nowait() if arrived else _read_body(exchange)


async def _read_body(exchange: _Exchange) -> AsyncIterator[bytes]:
    if exchange.message.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        exchange.protocol.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async for chunk in exchange.payload.iter_any():
            yield chunk
    except asyncio.CancelledError:
        raise
    except Exception as error:
        # aiohttp has half a dozen errors here, all of which say that the rest of the body will not come.
        raise BodyIncomplete("the request's body ended early") from error


class _Protocol(RequestHandler):
    """One connection; aiohttp's class with its limits set and its error answers replaced."""

    __slots__ = ("_facts", "_first_head", "_head_bytes", "_taken_over", "adapter", "payload")

    def __init__(self, adapter: _Adapter, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            adapter,
            loop=loop,
            keepalive_timeout=adapter.limits.idle_seconds,
            access_log=cast("Any", None),
            max_line_size=HEAD_LIMIT_BYTES,
            max_field_size=HEAD_LIMIT_BYTES,
            max_headers=HEADER_COUNT_LIMIT,
            # Seconds in which the rest of an unread body (of a request refused for its size) is taken and thrown away.
            lingering_time=2.0,
            auto_decompress=False,
        )
        self.adapter = adapter
        # The body of the newest request that has been handed on.
        self.payload: StreamReader | None = None
        self._facts: Connection | None = None
        self._head_bytes = 0
        self._taken_over = False
        self._first_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first_head = self._loop.call_later(self.adapter.limits.head_seconds, self._check_first_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._first_head is not None:
            self._first_head.cancel()
        if self._taken_over:
            # The task that ran the stream is about to end by itself.
            self._task_handler = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        seen = self._request_count
        if self._is_between_requests():
            data = _with_known_method(data)
        super().data_received(data)
        if self._request_count != seen or self._current_request is not None or self._messages:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES and not self._force_close:
            self.write(_TOO_LARGE)
            self.force_close()

    def _is_between_requests(self) -> bool:
        """Tell whether the next bytes begin a head: nothing of one has come, and the body before it is complete."""
        return not self._head_bytes and not self._messages and (self.payload is None or self.payload.is_eof())

    def handle_error(
        self,
        request: BaseRequest,  # noqa: ARG002
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> StreamResponse:
        if status == HTTPStatus.BAD_REQUEST:
            head = _TOO_LARGE if isinstance(exc, LineTooLong) else _MALFORMED
        else:
            self.adapter.log.error("request handler failed", exc_info=exc)
            head = _FAILED
        return cast("StreamResponse", _FixedAnswer(self, head))

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002 - the arguments hold the request
        self.adapter.log.error("connection failed", exc_info=kw.get("exc_info"))

    def facts(self) -> Connection:
        """Return what is known of the connection, read from the transport once."""
        if self._facts is None:
            self._facts = _connection(self.transport)
        return self._facts

    def write(self, data: bytes) -> None:
        """Send; silently nothing when the connection is gone, which the next drain reports."""
        if self.transport is not None:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client takes more.

        Raises:
            ConnectionResetError: it is gone, or took nothing for too long.
        """
        if self.transport is None:
            raise ConnectionResetError("the client went away")
        if not self._paused:
            return
        try:
            async with asyncio.timeout(self.adapter.limits.stall_seconds):
                await self._drain_helper()
        except TimeoutError as error:
            self.abort()
            raise ConnectionResetError("the client stopped reading") from error

    def abort(self) -> None:
        """Drop the connection with what is unsent, so that the client sees that an answer is not complete."""
        if self.transport is not None:
            self.transport.abort()

    def take_over(self) -> SocketStream:
        """Turn the connection into a byte stream; HTTP never gets it back."""
        assert self.transport is not None, "checked by the caller, with no await between"
        self._taken_over = True
        self.keep_alive(val=False)
        stream = SocketStream(bytes(self._message_tail))
        self._message_tail = b""
        stream.adopt(self.transport)
        return stream

    def _check_first_head(self) -> None:
        self._first_head = None
        if self._request_count == 0 and not self._taken_over:
            self.force_close()


def _with_known_method(data: bytes) -> bytes:
    """Return the beginning of a request with a method that the parser lets through.

    The parser takes a fixed list of methods and drops the connection at any other; for a handler, one that nobody answers is like another.
    """
    method, space, rest = data.partition(b" ")
    if not space or method in _METHODS or _TOKEN.fullmatch(method) is None:
        return data
    return b"TRACE " + rest


# What a handler may answer, and how a method may be spelt (RFC 9110).
_METHODS = frozenset(method.encode() for method in hdrs.METH_ALL)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


def _connection(transport: asyncio.Transport | None) -> Connection:
    if transport is None:
        return Connection()
    tls = transport.get_extra_info("ssl_object")
    return Connection(
        peer=_address(transport.get_extra_info("peername")),
        local=_address(transport.get_extra_info("sockname")),
        secure=tls is not None,
        certificate=tls.getpeercert(binary_form=True) if tls is not None else None,
    )


def _address(name: object) -> tuple[str, int] | None:
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return None


def _fixed(status: HTTPStatus) -> bytes:
    text = f"{status.value} {status.phrase}"
    return (
        f"HTTP/1.1 {text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode("ascii")


_MALFORMED = _fixed(HTTPStatus.BAD_REQUEST)
_TOO_LARGE = _fixed(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
_FAILED = _fixed(HTTPStatus.INTERNAL_SERVER_ERROR)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class _Answer:
    """What aiohttp's protocol asks of a response object: `prepare`, `write_eof` and `keep_alive`."""

    __slots__ = ("keep_alive", "protocol")

    def __init__(self, protocol: _Protocol, *, keep_alive: bool) -> None:
        self.protocol = protocol
        self.keep_alive = keep_alive

    async def prepare(self, exchange: object) -> None:
        raise NotImplementedError

    async def write_eof(self) -> None:
        pass


class _FixedAnswer(_Answer):
    __slots__ = ("_data",)

    def __init__(self, protocol: _Protocol, data: bytes) -> None:
        super().__init__(protocol, keep_alive=False)
        self._data = data

    async def prepare(self, exchange: object) -> None:  # noqa: ARG002
        self.protocol.write(self._data)


class _ResponseAnswer(_Answer):
    __slots__ = ("_adapter", "_head", "_http_11", "_response")

    def __init__(
        self, adapter: _Adapter, protocol: _Protocol, response: Response, *, keep_alive: bool, head: bool, http_11: bool
    ) -> None:
        super().__init__(protocol, keep_alive=keep_alive)
        self._adapter = adapter
        self._response = response
        self._head = head
        self._http_11 = http_11

    async def prepare(self, exchange: object) -> None:  # noqa: ARG002
        response = self._response
        body = response.body
        if not isinstance(body, bytes):
            await self._stream(body)
            return
        if response.status in {204, 304}:
            self.protocol.write(self._head_bytes(response, ""))
        else:
            length = "" if hdrs.CONTENT_LENGTH in response.headers else f"Content-Length: {len(body)}\r\n"
            head = self._head_bytes(response, length)
            self.protocol.write(head if self._head else head + body)
        await self.protocol.drain()

    async def _stream(self, body: AsyncIterator[bytes]) -> None:
        response = self._response
        sized = hdrs.CONTENT_LENGTH in response.headers
        chunked = self._http_11 and not sized
        if not chunked and not sized:
            self.keep_alive = False
        complete = False
        try:
            self.protocol.write(self._head_bytes(response, "Transfer-Encoding: chunked\r\n" if chunked else ""))
            if not self._head:
                async with self._adapter.stream_scope():
                    async for data in body:
                        if data:
                            self.protocol.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
                            await self.protocol.drain()
                if chunked:
                    self.protocol.write(b"0\r\n\r\n")
            complete = True
        except ConnectionError:
            raise
        except Exception:
            # The head is out: all that is left is to cut the answer short, visibly.
            self._adapter.log.exception("streamed answer failed")
            self.keep_alive = False
        finally:
            if not complete:
                self.protocol.abort()
            if (close := getattr(body, "aclose", None)) is not None:
                await close()

    def _head_bytes(self, response: Response, framing: str) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
        fields = "".join(lines)
        # A line break inside a value would start a header, or an answer, of somebody else's choosing.
        if fields.count("\n") != len(lines) or fields.count("\r") != len(lines):
            raise ValueError("a header value of an answer holds a line break")
        connection = "" if self.keep_alive else "Connection: close\r\n"
        phrase = _PHRASES.get(response.status, "")
        return (
            f"HTTP/1.1 {response.status} {phrase}\r\n{fields}Date: {self._adapter.date()}\r\n{framing}{connection}\r\n"
        ).encode("utf-8", "surrogateescape")


class _UpgradeAnswer(_Answer):
    __slots__ = ("_adapter", "_upgrade")

    def __init__(self, adapter: _Adapter, protocol: _Protocol, upgrade: Upgrade) -> None:
        super().__init__(protocol, keep_alive=False)
        self._adapter = adapter
        self._upgrade = upgrade

    async def prepare(self, exchange: object) -> None:  # noqa: ARG002
        protocol = self.protocol
        if protocol.transport is None:
            # Whatever the handler has opened for the stream ends with it: here with one that is over already.
            gone, stream_end = duplex_pair()
            await stream_end.close()
            await self._upgrade.run(gone)
            return
        fields = "".join(f"{name}: {value}\r\n" for name, value in self._upgrade.headers.items())
        phrase = _PHRASES.get(self._upgrade.status, "")
        protocol.write(f"HTTP/1.1 {self._upgrade.status} {phrase}\r\n{fields}\r\n".encode())
        stream = protocol.take_over()
        try:
            async with self._adapter.stream_scope():
                await self._upgrade.run(stream)
        except ConnectionError:
            pass
        except Exception:
            # The top of a connection: log, close, and leave the others alone.
            self._adapter.log.exception("upgraded connection failed")
        finally:
            await stream.close()
            protocol.connection_lost(None)
