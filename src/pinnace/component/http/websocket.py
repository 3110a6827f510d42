"""WebSocket (RFC 6455), both sides, over any byte stream; without extensions.

`accept` judges a handshake and makes the answer's headers, `request_headers` makes a client's; `WebSocket` frames messages. Pings
are answered and fragments joined inside `receive`, so somebody must be receiving for the connection to stay alive.
Invariant: a message is never larger than the limit, whatever its fragments; a client's frames are masked, a server's are not.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence

from msgspec import Struct

from pinnace.component.http.errors import ProtocolError
from pinnace.component.http.message import DuplexStream, Headers, Request, Response

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Bytes of one message; client-go sends 32 KiB, browsers' terminals far less.
MESSAGE_LIMIT_BYTES = 4 * 1024 * 1024

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL_CLOSURE = 1000
_PROTOCOL_ERROR = 1002
_NO_STATUS = 1005
_TOO_BIG = 1009


class Message(Struct, frozen=True):
    """One whole message; a text one's data is its UTF-8."""

    data: bytes
    text: bool = False


class Handshake(Struct, frozen=True):
    """An accepted handshake: the headers of the 101, and the subprotocol chosen (empty for none)."""

    headers: Headers
    protocol: str


def is_websocket(request: Request) -> bool:
    """Tell whether a request asks for a WebSocket."""
    headers = request.headers
    wants_upgrade = any(token.lower() == "upgrade" for token in headers.tokens("Connection"))
    return wants_upgrade and any(token.lower() == "websocket" for token in headers.tokens("Upgrade"))


def accept(request: Request, protocols: Sequence[str]) -> Handshake | Response:
    """Accept a handshake with the first offered subprotocol that is among `protocols`, or return the refusal.

    An empty text among `protocols` also takes a client that offers none.
    """
    headers = request.headers
    if headers.get("Sec-WebSocket-Version") != "13":
        return _refusal(400, "unsupported WebSocket version", ("Sec-WebSocket-Version", "13"))
    key = headers.get("Sec-WebSocket-Key")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        valid = False
    if request.method != "GET" or not valid:
        return _refusal(400, "bad WebSocket handshake")
    offered = headers.tokens("Sec-WebSocket-Protocol")
    protocol = next((name for name in offered if name in protocols), None)
    if protocol is None:
        if offered or "" not in protocols:
            return _refusal(403, f"requested protocol(s) are not supported: [{' '.join(offered)}]")
        protocol = ""
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_key(key)),
    ]
    if protocol:
        fields.append(("Sec-WebSocket-Protocol", protocol))
    return Handshake(Headers(fields), protocol)


def accept_key(key: str) -> str:
    """Return what a server answers to a client's `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def request_headers(nonce: bytes, protocols: Sequence[str] = ()) -> Headers:
    """Return a client's handshake headers; `nonce` are 16 random bytes."""
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(nonce).decode("ascii")),
    ]
    if protocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(protocols)))
    return Headers(fields)


def _refusal(status: int, text: str, *fields: tuple[str, str]) -> Response:
    return Response(status, Headers([("Content-Type", "text/plain; charset=utf-8"), *fields]), text.encode())


class WebSocket:
    """Messages over a byte stream; one task receives, any number send."""

    def __init__(
        self,
        stream: DuplexStream,
        *,
        mask: Callable[[], bytes] | None = None,
        limit_bytes: int = MESSAGE_LIMIT_BYTES,
    ) -> None:
        """Speak as a server, or as a client when `mask` gives the four random bytes that each frame needs."""
        self._stream = stream
        self._mask = mask
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._sending = asyncio.Lock()
        self._close_sent = False
        # The peer's reason for closing, once it has: RFC 6455, section 7.4.
        self.close_code: int | None = None

    async def receive(self) -> Message | None:
        """Return the next message; None when the peer has closed or is gone.

        Raises:
            ProtocolError: the peer broke the rules; it has been told, and the connection is closed.
        """
        try:
            return await self._receive()
        except ProtocolError as error:
            await self.close(_TOO_BIG if isinstance(error, _MessageTooBig) else _PROTOCOL_ERROR)
            await self._stream.close()
            raise

    async def send(self, data: bytes, *, text: bool = False) -> None:
        """Send one message.

        Raises:
            ConnectionResetError: the connection is closed.
        """
        if self._close_sent:
            raise ConnectionResetError("the WebSocket is closed")
        await self._send_frame(_TEXT if text else _BINARY, data)

    async def ping(self) -> None:
        """Ask for a sign of life; the pong is taken by `receive`."""
        await self._send_frame(_PING, b"")

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye once; the stream is left to its owner, who may wait for the peer's goodbye by receiving."""
        if self._close_sent:
            return
        self._close_sent = True
        try:
            await self._send_frame(_CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])
        except ConnectionError:
            # The peer has gone without one; there is nobody to say it to.
            return

    async def _receive(self) -> Message | None:
        parts: list[bytes] = []
        size = 0
        text: bool | None = None
        while (frame := await self._read_frame(self._limit_bytes - size)) is not None:
            if frame.opcode == _CLOSE:
                await self._closed_by_peer(frame.data)
                return None
            if frame.opcode == _PING:
                await self._send_frame(_PONG, frame.data)
                continue
            if frame.opcode == _PONG:
                continue
            if (frame.opcode == _CONTINUATION) is (text is None):
                raise ProtocolError("a WebSocket fragment out of order")
            if text is None:
                if frame.final:
                    return Message(frame.data, text=frame.opcode == _TEXT)
                text = frame.opcode == _TEXT
            parts.append(frame.data)
            size += len(frame.data)
            if frame.final:
                return Message(b"".join(parts), text=text)
        return None

    async def _closed_by_peer(self, data: bytes) -> None:
        self.close_code = int.from_bytes(data[:2], "big") if len(data) >= 2 else _NO_STATUS
        await self.close(NORMAL_CLOSURE if self.close_code == _NO_STATUS else self.close_code)

    async def _read_frame(self, limit_bytes: int) -> "_Frame | None":
        """Read one frame; None at the end of the stream, even in the middle of a frame."""
        head = await self._take(2)
        if head is None:
            return None
        opcode = head[0] & 0x0F
        length = head[1] & 0x7F
        if head[0] & 0x70 or opcode not in {_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG}:
            raise ProtocolError("a WebSocket frame of an unknown kind")
        if bool(head[1] & 0x80) is (self._mask is not None):
            raise ProtocolError("a WebSocket frame is masked the wrong way")
        if opcode >= _CLOSE and (length > 125 or not head[0] & 0x80):
            raise ProtocolError("a WebSocket control frame is too long or in fragments")
        if length >= 126:
            extended = await self._take(2 if length == 126 else 8)
            if extended is None:
                return None
            length = int.from_bytes(extended, "big")
        if length > limit_bytes:
            raise _MessageTooBig("a WebSocket message is too long")
        mask = b""
        if head[1] & 0x80:
            taken = await self._take(4)
            if taken is None:
                return None
            mask = taken
        data = await self._take(length)
        if data is None:
            return None
        return _Frame(opcode, bool(head[0] & 0x80), _masked(data, mask) if mask else data)

    async def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            data = await self._stream.read()
            if not data:
                return None
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _send_frame(self, opcode: int, data: bytes) -> None:
        flag = 0x80 if self._mask is not None else 0
        if len(data) < 126:
            head = bytes((0x80 | opcode, flag | len(data)))
        elif len(data) < 65536:
            head = bytes((0x80 | opcode, flag | 126)) + len(data).to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, flag | 127)) + len(data).to_bytes(8, "big")
        if self._mask is not None:
            mask = self._mask()
            head += mask
            data = _masked(data, mask)
        async with self._sending:
            await self._stream.write(head + data)


class WebSocketStream(DuplexStream):
    """A byte stream inside a WebSocket's binary messages, their bounds without meaning."""

    def __init__(self, socket: WebSocket, stream: DuplexStream) -> None:
        """Wrap `socket`, which runs over `stream`."""
        self._socket = socket
        self._stream = stream
        self._rest = b""

    async def read(self, limit_bytes: int = 65536) -> bytes:
        while not self._rest:
            message = await self._socket.receive()
            if message is None:
                return b""
            self._rest = message.data
        data, self._rest = self._rest[:limit_bytes], self._rest[limit_bytes:]
        return data

    async def write(self, data: bytes) -> None:
        await self._socket.send(data)

    async def write_eof(self) -> None:
        await self._socket.close()

    async def close(self) -> None:
        await self._socket.close()
        await self._stream.close()


class _Frame(Struct, frozen=True):
    opcode: int
    final: bool
    data: bytes


class _MessageTooBig(ProtocolError):
    """Raised for a message over the limit."""


def _masked(data: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, as one large number: some hundred times quicker than byte by byte."""
    count = len(data)
    repeated = (mask * (count // 4 + 1))[:count]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(count, "big")
