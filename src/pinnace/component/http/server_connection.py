"""One client's connection: the adapter between aiohttp's protocol machinery and a `Handler`.

aiohttp parses, keeps connections alive and paces bodies; this module turns what it parsed into a `Request`, one after the other in the
connection's own task, and has `answers.py` send what the handler says. Traps it is built around: aiohttp's own loop starts a task and
makes half a dozen objects for each request, its answer to a malformed one prints and logs the request line (tokens included), its limits
on heads are lower than Kubernetes' clients need, and it knows no upgrade but WebSocket.
Invariant: no byte of a request that could not be parsed is echoed or logged.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

from aiohttp import hdrs
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server as AiohttpServer
from msgspec import Struct

from pinnace.component.clock import Clock
from pinnace.component.http.answers import Line, fixed, hand_over, send
from pinnace.component.http.duplex import SocketStream
from pinnace.component.http.errors import BodyIncomplete
from pinnace.component.http.message import Connection, Handler, Headers, Request, Upgrade
from pinnace.component.logging import get_logger

# Bytes of a request's line and header fields together; the same as Go's default, which clients are used to.
HEAD_LIMIT_BYTES = 1024 * 1024
HEADER_COUNT_LIMIT = 1024
# Seconds in which the rest of an unread body (of a request refused for its size) is taken and thrown away.
LINGERING_SECONDS = 2.0

_MALFORMED = fixed(HTTPStatus.BAD_REQUEST)
_TOO_LARGE = fixed(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
_FAILED = fixed(HTTPStatus.INTERNAL_SERVER_ERROR)
_OTHER_VERSION = fixed(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
_OTHER_EXPECTATION = fixed(HTTPStatus.EXPECTATION_FAILED)
_CONTINUE = "100-continue"
_log = get_logger("http-server")


class Limits(Struct, frozen=True):
    """How long a client may take, in seconds."""

    # To complete the TLS handshake, and then its first request head.
    head_seconds: float = 10.0
    # Between requests. Longer than Go's clients keep connections (90 s), so that the client is the one to close.
    idle_seconds: float = 120.0
    # Without taking a single byte of an answer.
    stall_seconds: float = 60.0
    # For requests in flight when the server stops; streams are ended at once.
    drain_seconds: float = 10.0


class Connections(AiohttpServer):
    """The connections of one server: makes each, and ends them all."""

    def __init__(self, handler: Handler, clock: Clock, limits: Limits) -> None:
        # A handler whose client has gone works for nobody: watches and followed logs would wait for ever.
        super().__init__(cast("Any", handler), handler_cancellation=True)
        self.handler = handler
        self.limits = limits
        self._clock = clock
        self._streams: set[asyncio.Timeout] = set()
        self._date = (0, "")

    def __call__(self) -> "ServerConnection":
        return ServerConnection(self, loop=self._loop)

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
        second = int(self._clock.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


class _Exchange:
    """What aiohttp calls a request, reduced to what its protocol class touches: the body, which fails when the client goes."""

    __slots__ = ("_payload",)

    def __init__(self, payload: StreamReader) -> None:
        self._payload = payload

    def _cancel(self, error: BaseException) -> None:
        self._payload.set_exception(error)


class ServerConnection(RequestHandler, Line):
    """aiohttp's class with its limits set, and its loop and its error answers replaced."""

    __slots__ = ("_facts", "_first_head", "_head_bytes", "_length", "_payload", "_taken_over", "connections")

    def __init__(self, connections: Connections, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            connections,
            loop=loop,
            keepalive_timeout=connections.limits.idle_seconds,
            access_log=cast("Any", None),
            max_line_size=HEAD_LIMIT_BYTES,
            max_field_size=HEAD_LIMIT_BYTES,
            max_headers=HEADER_COUNT_LIMIT,
            auto_decompress=False,
        )
        self.connections = connections
        self._facts: Connection | None = None
        # The body of the newest request that has been handed on.
        self._payload: StreamReader | None = None
        # Its bytes, None when it says no number of them.
        self._length: int | None = None
        self._head_bytes = 0
        self._taken_over = False
        self._first_head: asyncio.TimerHandle | None = None

    # ── what the transport calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first_head = self._loop.call_later(self.connections.limits.head_seconds, self._check_first_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._first_head is not None:
            self._first_head.cancel()
        if self._taken_over:
            # The task that ran the stream is about to end by itself.
            self._task_handler = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if left := self._left_of_body(len(data)):
            # Also of a body that nobody wanted: what is left of it comes when its request has been answered.
            super().data_received(data[:left])
            data = data[left:]
            if not data:
                return
        seen = self._request_count
        if not self._head_bytes and not self._messages:
            data = _with_known_method(data)
        super().data_received(data)
        if self._request_count != seen or self._current_request is not None or self._messages:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES and not self._force_close:
            self.write(_TOO_LARGE)
            self.force_close()

    def _left_of_body(self, count: int) -> int:
        """Return how many of the bytes that come belong to the body that is being read; of one in chunks, all."""
        payload = self._payload
        if payload is None or payload.is_eof() or self._messages:
            return 0
        return count if self._length is None else min(self._length - payload.total_bytes, count)

    def _check_first_head(self) -> None:
        self._first_head = None
        if self._request_count == 0 and not self._taken_over:
            self.force_close()

    # ── requests ──

    async def start(self) -> None:
        """Answer request after request, until the client or the server wants no more."""
        try:
            while not self._force_close:
                message, payload = await self._next()
                self._keepalive = await self._serve(message, payload)
                self._decline_upgrade()
                if not payload.is_eof():
                    await self._linger(payload)
                if not self._keepalive or self._close or self._force_close:
                    break
                self._wait_idle()
        except ConnectionError:
            pass  # the client went away in the middle of an answer
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception:  # noqa: BLE001 - the top of a connection: log, close, and leave the others alone
            _log.exception("connection failed")
            self.force_close()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _next(self) -> tuple[Any, StreamReader]:
        if not self._messages:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return message, payload

    async def _serve(self, message: Any, payload: StreamReader) -> bool:
        """Answer one request, and tell whether there may be another."""
        if not isinstance(message, RawRequestMessage):
            self.write(_TOO_LARGE if isinstance(message.exc, LineTooLong) else _MALFORMED)
            return False
        if (refusal := _refusal(message)) is not None:
            self.write(refusal)
            return False
        self._payload = payload
        declared = message.headers.get(hdrs.CONTENT_LENGTH) if payload is not EMPTY_PAYLOAD else None
        self._length = int(declared) if declared is not None else None
        self._request_in_progress = True
        self._current_request = cast("Any", _Exchange(payload))
        try:
            try:
                answer = await self.connections.handler(self._request(message, payload))
            except Exception:  # noqa: BLE001 - a bug must cost one connection, not the server
                _log.exception("request handler failed")
                self.write(_FAILED)
                return False
            finally:
                self._current_request = None
            if isinstance(answer, Upgrade):
                await hand_over(self, answer)
                return False
            return await send(
                self,
                answer,
                keep_alive=not message.should_close and not self._has_lost_tail(message),
                only_head=message.method == hdrs.METH_HEAD,
                http_11=message.version >= HttpVersion11,
            )
        finally:
            self._request_in_progress = False
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)

    def _request(self, message: RawRequestMessage, payload: StreamReader) -> Request:
        target = message.path if message.path.startswith("/") else message.url.raw_path_qs
        path, _, query = target.partition("?")
        if self._facts is None:
            self._facts = _connection(self.transport)
        body = _body(self, message, payload)
        return Request(
            message.method, path, query=query, headers=Headers(message.headers), body=body, connection=self._facts
        )

    def _has_lost_tail(self, message: RawRequestMessage) -> bool:
        """Tell whether bytes behind a request may be lost: the parser keeps those behind a WebSocket's handshake only."""
        return hdrs.UPGRADE in message.headers and not self._upgraded

    def _decline_upgrade(self) -> None:
        """Go on with HTTP behind a request for an upgrade that was not granted."""
        if self._upgraded and not self._taken_over and not self._messages and self._parser is not None:
            self._parser.set_upgraded(False)
            self._upgraded = False
            tail, self._message_tail = self._message_tail, b""
            if tail:
                self.data_received(tail)
            if self._buffer_paused:
                self._resume_reading_if_drained()

    async def _linger(self, payload: StreamReader) -> None:
        """Take the rest of a body that the handler did not want, for a while; a client that still sends reads no answer."""
        try:
            async with asyncio.timeout(LINGERING_SECONDS):
                while not payload.is_eof() and not self._force_close:
                    await payload.readany()
        except TimeoutError:
            self.close()

    def _wait_idle(self) -> None:
        self._next_keepalive_close_time = self._loop.time() + self.connections.limits.idle_seconds
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    # ── what answers go out on ──

    @property
    def is_lost(self) -> bool:
        return self.transport is None

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def offer(self, data: bytes) -> bool:
        if self.transport is None or self._paused:
            return False
        self.transport.write(data)
        return True

    async def drain(self) -> None:
        if self.transport is None:
            raise ConnectionResetError("the client went away")
        if not self._paused:
            return
        try:
            async with asyncio.timeout(self.connections.limits.stall_seconds):
                await self._drain_helper()
        except TimeoutError as error:
            self.abort()
            raise ConnectionResetError("the client stopped reading") from error

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def take_over(self) -> SocketStream:
        assert self.transport is not None, "checked by the caller, with no await between"
        self._taken_over = True
        self.keep_alive(val=False)
        stream = SocketStream(bytes(self._message_tail))
        self._message_tail = b""
        stream.adopt(self.transport)
        return stream

    def give_up(self) -> None:
        self.connection_lost(None)

    def stream_scope(self) -> AbstractAsyncContextManager[None]:
        return self.connections.stream_scope()

    def date(self) -> str:
        return self.connections.date()


def _with_known_method(data: bytes) -> bytes:
    """Return the beginning of a request with a method that the parser lets through.

    The parser takes a fixed list of methods and drops the connection at any other; for a handler, one that nobody answers is like another.
    Only what is a whole request line is touched: where a client sends ahead, a read may begin in the middle of a head.
    """
    if data[: data.find(b" ")] in _METHODS or (line := _REQUEST_LINE.match(data)) is None:
        return data
    return b"TRACE" + data[line.end("method") :]


# What a handler may answer, and how a method may be spelt (RFC 9110).
_METHODS = frozenset(method.encode() for method in hdrs.METH_ALL)
_REQUEST_LINE = re.compile(rb"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) [^ \r\n]+ HTTP/1\.[01]\r\n")


def _refusal(message: RawRequestMessage) -> bytes | None:
    """Return what answers fields that are no text, a version that is not spoken, or an expectation that cannot be met.

    The parser lets all of them through.
    """
    if not all(value.isascii() or _is_text(value) for _, value in message.raw_headers):
        return _MALFORMED
    if message.version.major != 1:
        return _MALFORMED if message.version.major < 1 else _OTHER_VERSION
    if message.headers.get(hdrs.EXPECT, _CONTINUE).lower() != _CONTINUE:
        return _OTHER_EXPECTATION
    return None


def _is_text(value: bytes) -> bool:
    """Tell whether a field's value is UTF-8; what is not could be put into no answer, log or object."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _body(line: Line, message: RawRequestMessage, payload: StreamReader) -> bytes | AsyncIterator[bytes]:
    """Return a body that has come with its head as bytes: most do, and an iterator costs as much as reading a small object."""
    if payload is EMPTY_PAYLOAD:
        return b""
    arrived = payload.is_eof() and payload.exception() is None
    return payload.read_nowait() if arrived else _read_body(line, message, payload)


async def _read_body(line: Line, message: RawRequestMessage, payload: StreamReader) -> AsyncIterator[bytes]:
    if message.headers.get(hdrs.EXPECT, "").lower() == _CONTINUE:
        line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async for chunk in payload.iter_any():
            yield chunk
    except asyncio.CancelledError:
        raise
    except Exception as error:
        # aiohttp has half a dozen errors here, all of which say that the rest of the body will not come.
        raise BodyIncomplete("the request's body ended early") from error


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
