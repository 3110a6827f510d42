"""Port-forward, server side: TCP connections to a pod over SPDY/3.1, bare or inside a WebSocket, or over WebSocket channels.

Over SPDY each connection is a pair of streams with the same `requestID`: one for data, one for the text of an error. The caller gives
a function that carries one connection to its end. Upstream: k8s.io/kubelet `pkg/cri/streaming/portforward`, KEP-4006 (the tunnel).
Invariant: a connection that fails tells why on its own pair of streams, closes these and no other.
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pinnace.component.http import websocket
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.errors import ProtocolError
from pinnace.component.http.message import DuplexStream, Headers, Request, Response, Upgrade
from pinnace.component.http.spdy import SpdyConnection, SpdyStream
from pinnace.component.http.streams.remotecommand import is_spdy, negotiate_spdy
from pinnace.component.http.streams.spdy_command import STREAM_CREATION_SECONDS, take_frames
from pinnace.component.logging import get_logger

TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
SPDY_PROTOCOL = "portforward.k8s.io"
_BASE64_PROTOCOL = "v4.base64.channel.k8s.io"
_CHANNEL_PROTOCOLS = ("v4.channel.k8s.io", _BASE64_PROTOCOL, "")
_log = get_logger("port-forward")


class PortForwardFailed(Exception):
    """Raised by `forward` when a port cannot be reached; the text is shown to the user."""


# Carries one connection to a port of the pod until the port's side has ended; raises PortForwardFailed when it cannot be reached.
Forward: TypeAlias = Callable[[int, DuplexStream], Awaitable[None]]


async def serve_port_forward(request: Request, target: str, forward: Forward) -> Response | Upgrade:
    """Answer a port-forward request: an upgrade that calls `forward` for each connection, or a refusal.

    `target` is how error texts name the pod: `pod <name>, uid <uid>`.
    """
    if websocket.is_websocket(request):
        return _over_websocket(request, target, forward)
    if not is_spdy(request):
        return _text(400, "Upgrade request required")
    accepted = negotiate_spdy(request, (SPDY_PROTOCOL,))
    if isinstance(accepted, Response):
        return accepted

    async def run(stream: DuplexStream) -> None:
        await _run_spdy(stream, target, forward)

    return Upgrade(accepted, run)


def _over_websocket(request: Request, target: str, forward: Forward) -> Response | Upgrade:
    handshake = websocket.accept(request, (TUNNEL_PROTOCOL, *_CHANNEL_PROTOCOLS))
    if isinstance(handshake, Response):
        return handshake
    if handshake.protocol == TUNNEL_PROTOCOL:

        async def tunnel(stream: DuplexStream) -> None:
            inner = websocket.WebSocketStream(websocket.WebSocket(stream), stream)
            await _run_spdy(inner, target, forward)

        return Upgrade(handshake.headers, tunnel)
    try:
        ports = parse_ports(request.params.get("ports", request.params.get("port", ())))
    except ValueError as error:
        return _text(400, str(error))
    if not ports:
        return _text(400, 'query parameter "port" is required')

    async def channels(stream: DuplexStream) -> None:
        text = handshake.protocol == _BASE64_PROTOCOL
        await _Channels(websocket.WebSocket(stream), stream, ports, text=text).run(target, forward)

    return Upgrade(handshake.headers, channels)


def parse_ports(texts: Sequence[str]) -> list[int]:
    """Read the ports of a query, each value one or several with commas.

    Raises:
        ValueError: one is no port number.
    """
    ports: list[int] = []
    for part in ",".join(texts).split(","):
        if not part:
            continue
        if not (part.isascii() and part.isdecimal() and 1 <= int(part) <= 65535):
            raise ValueError(f"unable to parse {part!r} as a port")
        ports.append(int(part))
    return ports


async def _run_spdy(stream: DuplexStream, target: str, forward: Forward) -> None:
    connection = SpdyConnection(stream, server=True)
    halves = _Halves()
    forwards: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.TaskGroup() as group:
            frames = group.create_task(take_frames(connection), name="SPDY frames")
            while (opened := await connection.accept()) is not None:
                pair = await halves.join(opened)
                if pair is not None:
                    task = group.create_task(_forward(pair, target, forward), name="port-forward connection")
                    forwards.add(task)
                    task.add_done_callback(forwards.discard)
            # Whoever asked is gone, and a port may go on for ever.
            for task in (frames, *forwards):
                task.cancel()
    finally:
        halves.forget()
        await connection.close()


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two streams of one connection."""

    port: int
    data: SpdyStream
    error: SpdyStream


class _Halves:
    """The streams whose other half has not come yet; one that never gets it is given up."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[SpdyStream, asyncio.TimerHandle]] = {}

    async def join(self, opened: SpdyStream) -> _Pair | None:
        """Return the pair that a new stream completes; one that fits nothing is closed."""
        fault = _fault(opened.headers)
        if fault:
            _log.info("port-forward stream refused", reason=fault)
            await opened.close()
            return None
        request_id = opened.headers.get("requestID") or _implied_id(opened)
        found = self._waiting.pop(request_id, None)
        if found is None:
            # What waits here is bounded by how many streams a connection may have.
            timer = asyncio.get_running_loop().call_later(STREAM_CREATION_SECONDS, self._waiting.pop, request_id, None)
            self._waiting[request_id] = (opened, timer)
            return None
        partner, timer = found
        timer.cancel()
        pair = {one.headers.get("streamType"): one for one in (opened, partner)}
        if pair.keys() != {"data", "error"}:
            _log.info("port-forward streams do not make a pair", request_id=request_id)
            await opened.close()
            await partner.close()
            return None
        return _Pair(int(pair["data"].headers.get("port")), pair["data"], pair["error"])

    def forget(self) -> None:
        """Stop the timers."""
        for _, timer in self._waiting.values():
            timer.cancel()


def _fault(headers: Headers) -> str:
    """Return what is wrong with a stream's headers, empty when nothing is."""
    if headers.get("streamType") not in {"data", "error"}:
        return f"invalid stream type {headers.get('streamType')!r}"
    port = headers.get("port")
    if not port:
        return '"port" header is required'
    try:
        parse_ports([port])
    except ValueError as error:
        return str(error)
    return ""


def _implied_id(stream: SpdyStream) -> str:
    """Return the pair's key for clients that send no requestID: they open the error stream, then the data stream."""
    return str(stream.id if stream.headers.get("streamType") == "error" else stream.id - 2)


async def _forward(pair: _Pair, target: str, forward: Forward) -> None:
    try:
        await forward(pair.port, pair.data)
    except PortForwardFailed as failure:
        # A client that is gone needs no text.
        with contextlib.suppress(ConnectionError):
            await pair.error.write(_text_of(failure, pair.port, target))
    finally:
        with contextlib.suppress(ConnectionError):
            await pair.error.write_eof()
            await pair.data.write_eof()
        pair.data.drop()


def _text_of(failure: PortForwardFailed, port: int, target: str) -> bytes:
    _log.info("port not forwarded", port=port, target=target, reason=str(failure))
    return f"error forwarding port {port} to {target}: {failure}".encode()


class _Channels:
    """The older WebSocket way: for the i-th port, channel 2i carries data and 2i+1 the text of an error."""

    def __init__(self, socket: websocket.WebSocket, stream: DuplexStream, ports: list[int], *, text: bool) -> None:
        self._socket = socket
        self._stream = stream
        self._ports = ports
        self._text = text
        self._pipes = [duplex_pair() for _ in ports]

    async def run(self, target: str, forward: Forward) -> None:
        try:
            for index, port in enumerate(self._ports):
                for channel in (2 * index, 2 * index + 1):
                    await self._send(channel, port.to_bytes(2, "little"))
            async with asyncio.TaskGroup() as group:
                forwards = group.create_task(self._forward_all(target, forward), name="port-forward connections")
                await self._receive()
                forwards.cancel()
        finally:
            await self._stream.close()

    async def _forward_all(self, target: str, forward: Forward) -> None:
        """Carry each port's one connection, and end the whole with the last of them: there is no other sign of an end."""
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._ports)):
                group.create_task(self._forward(index, target, forward), name="port-forward connection")
        await self._socket.close()

    async def _receive(self) -> None:
        try:
            while (message := await self._socket.receive()) is not None:
                if not message.data:
                    continue
                channel, data = self._split(message.data)
                if channel % 2 == 0 and channel // 2 < len(self._ports):
                    with contextlib.suppress(ConnectionError):
                        await self._pipes[channel // 2][0].write(data)
        except (ProtocolError, ConnectionError) as error:
            _log.info("port-forward client broke off", reason=str(error))

    async def _forward(self, index: int, target: str, forward: Forward) -> None:
        port, far = self._ports[index], self._pipes[index][1]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_output(index), name="port-forward output")
            try:
                await forward(port, far)
            except PortForwardFailed as failure:
                with contextlib.suppress(ConnectionError):
                    await self._send(2 * index + 1, _text_of(failure, port, target))
            finally:
                await far.close()

    async def _send_output(self, index: int) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._pipes[index][0].read():
                await self._send(2 * index, data)

    async def _send(self, channel: int, data: bytes) -> None:
        if self._text:
            await self._socket.send(b"%d%b" % (channel, base64.b64encode(data)), text=True)
        else:
            await self._socket.send(bytes((channel,)) + data)

    def _split(self, data: bytes) -> tuple[int, bytes]:
        if not self._text:
            return data[0], data[1:]
        try:
            return int(data[:1]), base64.b64decode(data[1:], validate=True)
        except (ValueError, binascii.Error) as error:
            raise ProtocolError("a message is no digit and base64") from error


def _text(status: int, text: str) -> Response:
    return Response(status, Headers({"Content-Type": "text/plain; charset=utf-8"}), text.encode() + b"\n")
