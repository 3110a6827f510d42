"""Port-forward, server side: TCP connections to a pod over SPDY/3.1, bare or inside a WebSocket, or over WebSocket channels.

Over SPDY each connection is a pair of streams with the same `requestID`: one for data, one for the text of an error. The caller gives
a function that connects to a port. Upstream: k8s.io/kubelet `pkg/cri/streaming/portforward`, KEP-4006 (the tunnel).
Invariant: a connection that fails closes its own pair of streams and no other.
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Awaitable, Callable, Sequence
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
    """Raised by `connect` when a port cannot be reached; the text is shown to the user."""


# Connects to a port of the pod.
Connect: TypeAlias = Callable[[int], Awaitable[DuplexStream]]


async def serve_port_forward(request: Request, target: str, connect: Connect) -> Response | Upgrade:
    """Answer a port-forward request: an upgrade that calls `connect` for each connection, or a refusal.

    `target` is how error texts name the pod: `pod <name>, uid <uid>`.
    """
    if websocket.is_websocket(request):
        return _over_websocket(request, target, connect)
    if not is_spdy(request):
        return _text(400, "Upgrade request required")
    accepted = negotiate_spdy(request, (SPDY_PROTOCOL,))
    if isinstance(accepted, Response):
        return accepted

    async def run(stream: DuplexStream) -> None:
        await _run_spdy(stream, target, connect)

    return Upgrade(accepted, run)


def _over_websocket(request: Request, target: str, connect: Connect) -> Response | Upgrade:
    handshake = websocket.accept(request, (TUNNEL_PROTOCOL, *_CHANNEL_PROTOCOLS))
    if isinstance(handshake, Response):
        return handshake
    if handshake.protocol == TUNNEL_PROTOCOL:

        async def tunnel(stream: DuplexStream) -> None:
            inner = websocket.WebSocketStream(websocket.WebSocket(stream), stream)
            await _run_spdy(inner, target, connect)

        return Upgrade(handshake.headers, tunnel)
    try:
        ports = parse_ports(request.params.get("ports", request.params.get("port", ())))
    except ValueError as error:
        return _text(400, str(error))
    if not ports:
        return _text(400, 'query parameter "port" is required')

    async def channels(stream: DuplexStream) -> None:
        text = handshake.protocol == _BASE64_PROTOCOL
        await _Channels(websocket.WebSocket(stream), stream, ports, text=text).run(target, connect)

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


async def _run_spdy(stream: DuplexStream, target: str, connect: Connect) -> None:
    connection = SpdyConnection(stream, server=True)
    waiting: dict[str, tuple[SpdyStream, asyncio.TimerHandle]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            frames = group.create_task(take_frames(connection), name="SPDY frames")
            while (opened := await connection.accept()) is not None:
                fault = _fault(opened.headers)
                if fault:
                    _log.info("port-forward stream refused", reason=fault)
                    await opened.close()
                    continue
                request_id = opened.headers.get("requestID") or _implied_id(opened)
                partner = waiting.pop(request_id, None)
                if partner is None:
                    # A stream whose other half never comes is given up; what it holds is bounded by the connection.
                    timer = asyncio.get_running_loop().call_later(
                        STREAM_CREATION_SECONDS, waiting.pop, request_id, None
                    )
                    waiting[request_id] = (opened, timer)
                    continue
                partner[1].cancel()
                pair = {one.headers.get("streamType"): one for one in (opened, partner[0])}
                if pair.keys() != {"data", "error"}:
                    _log.info("port-forward streams do not make a pair", request_id=request_id)
                    await opened.close()
                    await partner[0].close()
                    continue
                group.create_task(
                    _forward(pair["data"], pair["error"], target, connect), name="port-forward connection"
                )
            frames.cancel()
    finally:
        for _, timer in waiting.values():
            timer.cancel()
        await connection.close()


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


async def _forward(data: SpdyStream, error: SpdyStream, target: str, connect: Connect) -> None:
    port = int(data.headers.get("port"))
    try:
        await _carry(data, port, connect)
    except PortForwardFailed as failure:
        # A client that is gone needs no text.
        with contextlib.suppress(ConnectionError):
            await error.write(f"error forwarding port {port} to {target}: {failure}".encode())
    finally:
        with contextlib.suppress(ConnectionError):
            await error.write_eof()
            await data.write_eof()
        data.drop()


async def _carry(data: DuplexStream, port: int, connect: Connect) -> None:
    """Connect and carry bytes until the port's side has ended.

    Older kubectls keep their side open until they are told that all is over, so that waiting for both would be for ever.

    Raises:
        PortForwardFailed: the port cannot be reached.
    """
    try:
        remote = await connect(port)
    except PortForwardFailed:
        raise
    except OSError as failure:
        raise PortForwardFailed(failure.strerror or str(failure)) from failure
    try:
        async with asyncio.TaskGroup() as group:
            upwards = group.create_task(_copy(data, remote), name="to the port")
            await _copy(remote, data)
            upwards.cancel()
    finally:
        await remote.close()


async def _copy(source: DuplexStream, sink: DuplexStream) -> None:
    """Carry bytes one way; the end of one side ends the other, and a side that is gone ends both."""
    try:
        while data := await source.read():
            await sink.write(data)
        await sink.write_eof()
    except ConnectionError:
        await source.close()
        await sink.close()


class _Channels:
    """The older WebSocket way: for the i-th port, channel 2i carries data and 2i+1 the text of an error."""

    def __init__(self, socket: websocket.WebSocket, stream: DuplexStream, ports: list[int], *, text: bool) -> None:
        self._socket = socket
        self._stream = stream
        self._ports = ports
        self._text = text
        self._pipes = [duplex_pair() for _ in ports]

    async def run(self, target: str, connect: Connect) -> None:
        try:
            for index, port in enumerate(self._ports):
                for channel in (2 * index, 2 * index + 1):
                    await self._send(channel, port.to_bytes(2, "little"))
            async with asyncio.TaskGroup() as group:
                carriers = [
                    group.create_task(self._carry(index, target, connect), name="port-forward connection")
                    for index in range(len(self._ports))
                ]
                carriers += [
                    group.create_task(self._send_output(index), name="port-forward output")
                    for index in range(len(self._ports))
                ]
                await self._receive()
                for carrier in carriers:
                    carrier.cancel()
        finally:
            await self._stream.close()

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

    async def _carry(self, index: int, target: str, connect: Connect) -> None:
        port = self._ports[index]
        try:
            await _carry(self._pipes[index][1], port, connect)
        except PortForwardFailed as failure:
            with contextlib.suppress(ConnectionError):
                await self._send(2 * index + 1, f"error forwarding port {port} to {target}: {failure}".encode())

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
