"""A command's streams over WebSocket: each message is one channel number and data.

Channels: 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize, 255 half-close (version 5). In the base64 protocols messages are text: a digit
and base64. Upstream: k8s.io/kubelet `remotecommand/websocket.go`, apiserver `util/wsstream`.
"""

import base64
import binascii
from collections.abc import AsyncIterator

from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.errors import ProtocolError
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams.command import (
    CommandOptions,
    CommandStreams,
    Outcome,
    ResizeQueue,
    Run,
    TerminalSize,
    run_command,
)
from pinnace.component.http.websocket import WebSocket

V5 = "v5.channel.k8s.io"
_BASE64 = frozenset({"v4.base64.channel.k8s.io", "base64.channel.k8s.io"})
_WITH_STATUS = frozenset({V5, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"})
WEBSOCKET_PROTOCOLS = (
    V5,
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
)

_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255


async def run_websocket(stream: DuplexStream, protocol: str, options: CommandOptions, run: Run) -> None:
    """Run a command over an accepted WebSocket until it has ended or the client is gone."""
    streams = _WebSocketStreams(WebSocket(stream), protocol, options)
    try:
        # Clients wait for a sign that the command is about to start: an empty message on the first channel they can read.
        await streams.send(_STDOUT if options.stdout else _STDERR if options.stderr else _ERROR, b"")
        await run_command(run, streams, streams.receive, streams.finish)
    finally:
        await stream.close()


class _WebSocketStreams(CommandStreams):
    def __init__(self, socket: WebSocket, protocol: str, options: CommandOptions) -> None:
        self.options = options
        self._socket = socket
        self._protocol = protocol
        self._resizes = ResizeQueue()
        # Bounded in between: a command that does not read holds up the client.
        self._stdin_in, self._stdin_out = duplex_pair()

    async def read_stdin(self) -> bytes:
        return await self._stdin_out.read() if self.options.stdin else b""

    async def write_stdout(self, data: bytes) -> None:
        if self.options.stdout:
            await self.send(_STDOUT, data)

    async def write_stderr(self, data: bytes) -> None:
        if self.options.stderr:
            await self.send(_STDERR, data)

    def resizes(self) -> AsyncIterator[TerminalSize]:
        return self._resizes.sizes()

    async def send(self, channel: int, data: bytes) -> None:
        if self._protocol in _BASE64:
            await self._socket.send(b"%d%b" % (channel, base64.b64encode(data)), text=True)
        else:
            await self._socket.send(bytes((channel,)) + data)

    async def receive(self) -> None:
        """Sort what the client sends until it is gone."""
        try:
            while (message := await self._socket.receive()) is not None:
                if message.data:
                    await self._take(*self._split(message.data))
        finally:
            await self._stdin_in.write_eof()
            self._resizes.end()

    async def finish(self, outcome: Outcome) -> None:
        command = self.options.command
        if self._protocol in _WITH_STATUS:
            await self.send(_ERROR, outcome.status_json(command, translated=self._protocol == V5))
        elif text := outcome.status_text(command):
            await self.send(_ERROR, text)
        await self._socket.close()
        # What is still sent has no reader any more, and must not hold up the client's goodbye.
        await self._stdin_out.close()

    def _split(self, data: bytes) -> tuple[int, bytes]:
        if self._protocol not in _BASE64:
            return data[0], data[1:]
        try:
            return int(data[:1]), base64.b64decode(data[1:], validate=True)
        except (ValueError, binascii.Error) as error:
            raise ProtocolError("a message is no digit and base64") from error

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == _STDIN and self.options.stdin:
            try:
                await self._stdin_in.write(data)
            except ConnectionError:
                # The command has ended its input; upstream drops the rest as well.
                return
        elif channel == _RESIZE and self.options.tty:
            self._resizes.feed(data)
        elif channel == _CLOSE and self._protocol == V5:
            if len(data) != 1:
                raise ProtocolError("a half-close names one channel")
            if data[0] == _STDIN:
                await self._stdin_in.write_eof()
