"""Byte streams both ways: over a socket that has left HTTP behind, and over memory.

Invariant: neither side buffers without bound. A reader that does not read stops the sender, by TCP or by a full pipe.
"""

import asyncio
import collections
from typing import cast

from pinnace.component.http.message import DuplexStream

# Bytes kept for a reader before the sender is stopped; a few SPDY windows or WebSocket messages.
READ_BUFFER_BYTES = 256 * 1024


class _Buffer:
    """What has arrived and not been read; shared by both kinds of stream."""

    def __init__(self, initial: bytes = b"") -> None:
        self._chunks: collections.deque[bytes] = collections.deque([initial] if initial else [])
        self.size = len(initial)
        self.ended = False
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self.size += len(data)
        self._wake()

    def feed_front(self, data: bytes) -> None:
        self._chunks.appendleft(data)
        self.size += len(data)

    def end(self) -> None:
        self.ended = True
        self._wake()

    async def take(self, limit_bytes: int) -> bytes:
        """Return up to that many bytes, waiting for the first; empty after the end."""
        while not self._chunks and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        if len(chunk) > limit_bytes:
            self._chunks.appendleft(chunk[limit_bytes:])
            chunk = chunk[:limit_bytes]
        self.size -= len(chunk)
        return chunk

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class SocketStream(asyncio.Protocol, DuplexStream):
    """A transport's bytes; also the protocol that the transport is switched to."""

    def __init__(self, initial: bytes = b"") -> None:
        """Start with bytes that had arrived before the switch."""
        self._buffer = _Buffer(initial)
        self._transport: asyncio.Transport | None = None
        # Asked while the connection stands: one that has ended no longer knows.
        self._is_tls = False
        self._reading_paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()

    def adopt(self, transport: asyncio.Transport) -> None:
        """Take over a connection that another protocol had."""
        transport.set_protocol(self)
        self._begin(transport)
        transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._begin(cast("asyncio.Transport", transport))

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_tls = transport.get_extra_info("sslcontext") is not None

    def data_received(self, data: bytes) -> None:
        self._buffer.feed(bytes(data))
        if self._buffer.size > READ_BUFFER_BYTES and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._buffer.end()
        # Over plain TCP the other direction stays open, as half-closed tunnels need; TLS closes whatever is answered here.
        return self._transport is not None and not self._is_tls

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._buffer.end()
        self._lost.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def read(self, limit_bytes: int = 65536) -> bytes:
        data = await self._buffer.take(limit_bytes)
        if self._reading_paused and self._buffer.size <= READ_BUFFER_BYTES // 2 and self._transport is not None:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._transport is None or self._lost.is_set() or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()
            if self._lost.is_set():
                raise ConnectionResetError("the peer went away")

    async def write_eof(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    async def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def unread(self, data: bytes) -> None:
        """Put back what was read too much; the next read returns it first."""
        if data:
            self._buffer.feed_front(data)

    def abort(self) -> None:
        """Drop the connection with what is still unsent."""
        if self._transport is not None:
            self._transport.abort()


class _MemoryStream(DuplexStream):
    """One end of a pair; `_incoming` is what the other end wrote."""

    def __init__(self, incoming: _Buffer, outgoing: _Buffer) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.closed = False
        self.room = asyncio.Event()
        self.room.set()
        self.peer: _MemoryStream | None = None

    async def read(self, limit_bytes: int = 65536) -> bytes:
        data = await self._incoming.take(limit_bytes)
        if self.peer is not None and self._incoming.size <= READ_BUFFER_BYTES:
            self.peer.room.set()
        return data

    async def write(self, data: bytes) -> None:
        if self.closed or self._outgoing.ended or self.peer is None or self.peer.closed:
            raise ConnectionResetError("the connection is closed")
        if not data:
            return
        self._outgoing.feed(bytes(data))
        if self._outgoing.size > READ_BUFFER_BYTES:
            self.room.clear()
            await self.room.wait()
            if self.peer.closed:
                raise ConnectionResetError("the peer went away")

    async def write_eof(self) -> None:
        self._outgoing.end()

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._outgoing.end()
        self._incoming.end()
        if self.peer is not None:
            self.peer.room.set()
        self.room.set()


def duplex_pair() -> tuple[DuplexStream, DuplexStream]:
    """Return two ends of a byte stream in memory; closing one ends both directions, as with a socket."""
    there, back = _Buffer(), _Buffer()
    one, two = _MemoryStream(back, there), _MemoryStream(there, back)
    one.peer, two.peer = two, one
    return one, two


async def copy_both_ways(one: DuplexStream, two: DuplexStream) -> None:
    """Carry bytes between two streams until either is finished, then close both."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(one, two), name="tunnel to the server")
            group.create_task(_copy(two, one), name="tunnel to the client")
    finally:
        await one.close()
        await two.close()


async def copy_until_answered(asking: DuplexStream, answering: DuplexStream) -> None:
    """Carry bytes between two streams until the answering side has ended, then close that one.

    The asking side may stay open: older kubectls keep theirs so until they are told that all is over, and waiting for both would be
    for ever.
    """
    try:
        async with asyncio.TaskGroup() as group:
            upwards = group.create_task(_copy(asking, answering), name="to the answering side")
            await _copy(answering, asking)
            upwards.cancel()
    finally:
        await answering.close()


async def _copy(source: DuplexStream, sink: DuplexStream) -> None:
    """Carry bytes one way; the end of one side ends the other, and a side that is gone ends both."""
    try:
        while data := await source.read():
            await sink.write(data)
        await sink.write_eof()
    except ConnectionError:
        await source.close()
        await sink.close()
