"""SPDY/3.1, both sides, over any byte stream: what kubectl's exec, attach and port-forward speak below WebSocket.

A connection carries streams, each with headers and two directions that end separately. As upstream's library does (and its
peers rely on), no flow-control windows are kept: WINDOW_UPDATE is neither sent nor heeded, and a stream whose reader is slow holds up
the connection, which holds up the peer through TCP.
Invariant: header blocks are compressed in the order in which they are sent, since both sides keep one zlib state per direction.
Source: the SPDY/3.1 draft (the dictionary is its section 2.6.10.1).
"""

import asyncio
import contextlib
import itertools
import zlib
from collections.abc import Iterable
from enum import IntEnum

from pinnace.component.http.errors import ProtocolError
from pinnace.component.http.message import DuplexStream, Headers

_VERSION = 3
_FIN = 0x01
# Bytes of one frame that a peer may send; peers send at most 32 KiB of data in one.
FRAME_LIMIT_BYTES = 1024 * 1024
# Bytes of one header block, decompressed.
HEADERS_LIMIT_BYTES = 64 * 1024
# Bytes that a stream keeps for its reader before the connection waits for it.
STREAM_BUFFER_BYTES = 1024 * 1024
# Streams that a peer may have open at once; port-forward uses two a connection.
STREAMS_LIMIT = 2000
_DATA_CHUNK_BYTES = 32 * 1024


class _Frame(IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class _Reset(IntEnum):
    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    CANCEL = 5


def _dictionary() -> bytes:
    names = [
        "options",
        "head",
        "post",
        "put",
        "delete",
        "trace",
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "accept-ranges",
        "age",
        "allow",
        "authorization",
        "cache-control",
        "connection",
        "content-base",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expect",
        "expires",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "referer",
        "retry-after",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "method",
        "get",
        "status",
    ]
    words = [*names, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    tail = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    return b"".join(len(word).to_bytes(4, "big") + word.encode("ascii") for word in words) + tail.encode("ascii")


DICTIONARY = _dictionary()


class StreamReset(ConnectionResetError):
    """Raised to a reader or writer of a stream that the peer has reset."""


class SpdyStream(DuplexStream):
    """One stream of a connection; `headers` are those it was opened with."""

    def __init__(self, connection: "SpdyConnection", stream_id: int, headers: Headers) -> None:
        self.id = stream_id
        self.headers = headers
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.remote_ended = False
        self.local_ended = False
        self.was_reset = False
        self.replied = asyncio.Event()

    async def read(self, limit_bytes: int = 65536) -> bytes:
        while not self._chunks:
            if self.was_reset or self.remote_ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.pop(0)
        if len(chunk) > limit_bytes:
            self._chunks.insert(0, chunk[limit_bytes:])
            chunk = chunk[:limit_bytes]
        self._size -= len(chunk)
        if self._size < STREAM_BUFFER_BYTES:
            self._room.set()
        return chunk

    async def write(self, data: bytes) -> None:
        if self.was_reset or self.local_ended:
            raise StreamReset("the stream is closed")
        for start in range(0, len(data), _DATA_CHUNK_BYTES):
            await self._connection.send_data(self.id, data[start : start + _DATA_CHUNK_BYTES])

    async def write_eof(self) -> None:
        if self.local_ended or self.was_reset:
            return
        self.local_ended = True
        await self._connection.send_data(self.id, b"", fin=True)
        self._connection.forget_when_done(self)

    async def close(self) -> None:
        """Give the stream up in both directions; one that is not ended yet is reset."""
        if not (self.local_ended and self.remote_ended) and not self.was_reset:
            await self._connection.reset(self)

    async def wait_replied(self) -> None:
        """Wait until the peer has accepted the stream.

        Raises:
            StreamReset: it has not.
        """
        await self.replied.wait()
        if self.was_reset:
            raise StreamReset("the peer refused the stream")

    async def deliver(self, data: bytes) -> None:
        """Take data from the connection, waiting while the reader is too far behind."""
        if self.was_reset:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._changed.set()
        if self._size >= STREAM_BUFFER_BYTES:
            self._room.clear()
            await self._room.wait()

    def end_remote(self) -> None:
        self.remote_ended = True
        self._changed.set()

    def drop(self) -> None:
        """Note that the stream is no more."""
        self.was_reset = True
        self.replied.set()
        self._changed.set()
        self._room.set()


class SpdyConnection:
    """The streams of one byte stream. `run` must run for anything to arrive; any number of tasks use the rest."""

    def __init__(self, stream: DuplexStream, *, server: bool) -> None:
        """Speak as the server, who opens streams of even numbers, or as the client."""
        self._stream = stream
        self._ids = itertools.count(2 if server else 1, 2)
        self._last_remote_id = 0
        self._remote_parity = 1 if server else 0
        self._streams: dict[int, SpdyStream] = {}
        self._accepted: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._compress = zlib.compressobj(zdict=DICTIONARY)
        self._decompress = zlib.decompressobj(zdict=DICTIONARY)
        self._sending = asyncio.Lock()
        self._buffer = bytearray()
        self._ended = False

    async def run(self) -> None:
        """Take frames until the peer is gone; then every stream is at its end.

        Raises:
            ProtocolError: the peer broke the rules; the connection is closed.
        """
        try:
            while (head := await self._take(8)) is not None:
                length = int.from_bytes(head[5:8], "big")
                if length > FRAME_LIMIT_BYTES:
                    raise ProtocolError("a SPDY frame is too long")
                payload = await self._take(length)
                if payload is None:
                    break
                if head[0] & 0x80:
                    await self._take_control(head, payload)
                else:
                    await self._take_data(int.from_bytes(head[:4], "big"), head[4], payload)
        except ConnectionError:
            # The peer left while it was being answered: the same end as a read of nothing.
            pass
        finally:
            self._ended = True
            for stream in tuple(self._streams.values()):
                stream.drop()
            self._streams.clear()
            self._accepted.put_nowait(None)
            await self._stream.close()

    async def accept(self) -> SpdyStream | None:
        """Return the next stream that the peer opens (already answered), None when the connection has ended."""
        stream = await self._accepted.get()
        if stream is None:
            self._accepted.put_nowait(None)
        return stream

    async def open(self, headers: Headers) -> SpdyStream:
        """Open a stream; `wait_replied` on it tells whether the peer takes it.

        Raises:
            ConnectionResetError: the connection has ended.
        """
        if self._ended:
            raise ConnectionResetError("the SPDY connection is closed")
        stream = SpdyStream(self, next(self._ids), headers)
        self._streams[stream.id] = stream
        async with self._sending:
            block = self._pack(headers.items())
            await self._write_control(_Frame.SYN_STREAM, 0, stream.id.to_bytes(4, "big") + bytes(6) + block)
        return stream

    async def close(self) -> None:
        """Say goodbye and close; safe to repeat."""
        if not self._ended:
            self._ended = True
            try:
                async with self._sending:
                    await self._write_control(_Frame.GOAWAY, 0, self._last_remote_id.to_bytes(4, "big") + bytes(4))
            except ConnectionError:
                # Gone already: no goodbye needed.
                pass
        await self._stream.close()

    async def ping(self) -> None:
        """Ask for a sign of life."""
        async with self._sending:
            await self._write_control(_Frame.PING, 0, next(self._ids).to_bytes(4, "big"))

    async def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """Send a data frame; `SpdyStream` is the way to call it."""
        head = stream_id.to_bytes(4, "big") + bytes((_FIN if fin else 0,)) + len(data).to_bytes(3, "big")
        async with self._sending:
            await self._stream.write(head + data)

    async def reset(self, stream: SpdyStream, status: int = _Reset.CANCEL) -> None:
        """Give up a stream and tell the peer."""
        stream.drop()
        self._streams.pop(stream.id, None)
        if not self._ended:
            # When the whole connection is gone, the stream is gone with it.
            with contextlib.suppress(ConnectionError):
                await self._send_reset(stream.id, status)

    def forget_when_done(self, stream: SpdyStream) -> None:
        if stream.local_ended and stream.remote_ended:
            self._streams.pop(stream.id, None)

    async def _take_control(self, head: bytes, payload: bytes) -> None:
        if int.from_bytes(head[:2], "big") & 0x7FFF != _VERSION:
            raise ProtocolError("a SPDY frame of another version")
        kind, flags = int.from_bytes(head[2:4], "big"), head[4]
        if kind == _Frame.SYN_STREAM:
            await self._take_syn(flags, payload)
        elif kind == _Frame.SYN_REPLY:
            self._unpack(payload[4:])
            if (stream := self._stream_of(payload)) is not None:
                stream.replied.set()
                self._end_remote_if(stream, flags)
        elif kind == _Frame.RST_STREAM:
            if (stream := self._stream_of(payload)) is not None:
                self._streams.pop(stream.id, None)
                stream.drop()
        elif kind == _Frame.PING:
            # Our own pings come back with our parity; the peer's are to be echoed.
            if len(payload) == 4 and payload[3] & 1 == self._remote_parity:
                async with self._sending:
                    await self._write_control(_Frame.PING, 0, payload)
        elif kind == _Frame.HEADERS:
            self._unpack(payload[4:])
            if (stream := self._stream_of(payload)) is not None:
                self._end_remote_if(stream, flags)
        # SETTINGS and WINDOW_UPDATE change nothing without windows; after GOAWAY the peer ends the connection itself.

    async def _take_syn(self, flags: int, payload: bytes) -> None:
        if len(payload) < 10:
            raise ProtocolError("a SPDY stream's opening is too short")
        stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        headers = self._unpack(payload[10:])
        if stream_id & 1 != self._remote_parity or stream_id <= self._last_remote_id:
            raise ProtocolError("a SPDY stream's number is out of order")
        self._last_remote_id = stream_id
        if len(self._streams) >= STREAMS_LIMIT:
            await self._send_reset(stream_id, _Reset.REFUSED_STREAM)
            return
        stream = SpdyStream(self, stream_id, headers)
        stream.replied.set()
        self._streams[stream_id] = stream
        self._end_remote_if(stream, flags)
        async with self._sending:
            await self._write_control(_Frame.SYN_REPLY, 0, payload[:4] + self._pack(()))
        self._accepted.put_nowait(stream)

    async def _take_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            # Frames that crossed our reset on the way; an answer to each would only add to the traffic.
            return
        if payload and not stream.remote_ended:
            await stream.deliver(payload)
        self._end_remote_if(stream, flags)

    def _end_remote_if(self, stream: SpdyStream, flags: int) -> None:
        if flags & _FIN:
            stream.end_remote()
            self.forget_when_done(stream)

    def _stream_of(self, payload: bytes) -> SpdyStream | None:
        return self._streams.get(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF)

    async def _send_reset(self, stream_id: int, status: int) -> None:
        async with self._sending:
            await self._write_control(_Frame.RST_STREAM, 0, stream_id.to_bytes(4, "big") + status.to_bytes(4, "big"))

    async def _write_control(self, kind: _Frame, flags: int, payload: bytes) -> None:
        """Send a control frame; the caller holds the lock, under which it has also packed the headers."""
        head = (0x8000 | _VERSION).to_bytes(2, "big") + kind.to_bytes(2, "big") + bytes((flags,))
        await self._stream.write(head + len(payload).to_bytes(3, "big") + payload)

    def _pack(self, fields: Iterable[tuple[str, str]]) -> bytes:
        values: dict[str, list[str]] = {}
        for name, value in fields:
            values.setdefault(name.lower(), []).append(value)
        block = bytearray(len(values).to_bytes(4, "big"))
        for name, several in values.items():
            for text in (name.encode(), "\0".join(several).encode()):
                block += len(text).to_bytes(4, "big") + text
        return self._compress.compress(bytes(block)) + self._compress.flush(zlib.Z_SYNC_FLUSH)

    def _unpack(self, data: bytes) -> Headers:
        try:
            block = self._decompress.decompress(data, HEADERS_LIMIT_BYTES)
        except zlib.error as error:
            raise ProtocolError("a SPDY header block cannot be decompressed") from error
        if self._decompress.unconsumed_tail:
            raise ProtocolError("a SPDY header block is too long")
        position = 4
        fields: list[tuple[str, str]] = []

        def text() -> str:
            nonlocal position
            length = int.from_bytes(block[position : position + 4], "big")
            start, position = position + 4, position + 4 + length
            if position > len(block):
                raise ProtocolError("a SPDY header block is cut short")
            return block[start:position].decode("utf-8", "replace")

        for _ in range(int.from_bytes(block[:4], "big")):
            name = text()
            fields.extend((name, value) for value in text().split("\0"))
        return Headers(fields)

    async def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            data = await self._stream.read()
            if not data:
                return None
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
