"""A command's streams over SPDY/3.1: one SPDY stream for each, named by its `streamType` header.

The client opens them all, the error stream first; the command starts when the expected ones are there.
Upstream: k8s.io/kubelet `remotecommand/httpstream.go`.
"""

import asyncio
from collections.abc import AsyncIterator

from pinnace.component.http.errors import ProtocolError
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.spdy import SpdyConnection, SpdyStream
from pinnace.component.http.streams.command import (
    CommandOptions,
    CommandStreams,
    Outcome,
    ResizeQueue,
    Run,
    TerminalSize,
    run_command,
)
from pinnace.component.logging import get_logger

# Seconds in which a client has to open its streams.
STREAM_CREATION_SECONDS = 30.0
_WITH_RESIZE = frozenset({"v4.channel.k8s.io", "v3.channel.k8s.io"})
_log = get_logger("remote-command")


async def run_spdy(stream: DuplexStream, version: str, options: CommandOptions, run: Run) -> None:
    """Run a command over an accepted SPDY connection until it has ended or the client is gone."""
    connection = SpdyConnection(stream, server=True)
    try:
        async with asyncio.TaskGroup() as group:
            frames = group.create_task(take_frames(connection), name="SPDY frames")
            opened = await _open_streams(connection, _expected(version, options))
            if opened is not None:
                streams = _SpdyStreams(opened, version, options)
                resizing = group.create_task(streams.take_resizes(), name="SPDY terminal sizes")

                async def receive() -> None:
                    await asyncio.wait({frames})

                await run_command(run, streams, receive, streams.finish)
                resizing.cancel()
            frames.cancel()
    finally:
        await connection.close()


async def take_frames(connection: SpdyConnection) -> None:
    """Run a connection to its end; a peer that breaks the rules is an end too."""
    try:
        await connection.run()
    except ProtocolError as error:
        _log.info("SPDY peer broke the rules", reason=str(error))


def _expected(version: str, options: CommandOptions) -> frozenset[str]:
    wanted = {
        "error": True,
        "stdin": options.stdin,
        "stdout": options.stdout,
        "stderr": options.stderr,
        "resize": options.tty and version in _WITH_RESIZE,
    }
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


async def _open_streams(connection: SpdyConnection, expected: frozenset[str]) -> dict[str, SpdyStream] | None:
    """Wait for the client's streams; None when it does not open them all in time."""
    opened: dict[str, SpdyStream] = {}
    try:
        async with asyncio.timeout(STREAM_CREATION_SECONDS):
            while opened.keys() != expected:
                stream = await connection.accept()
                if stream is None:
                    return None
                kind = stream.headers.get("streamType")
                if kind not in expected or kind in opened:
                    _log.info("unexpected SPDY stream", stream_type=kind)
                    await stream.close()
                    continue
                opened[kind] = stream
    except TimeoutError:
        _log.info("client did not open its streams in time", missing=sorted(expected - opened.keys()))
        return None
    return opened


class _SpdyStreams(CommandStreams):
    def __init__(self, opened: dict[str, SpdyStream], version: str, options: CommandOptions) -> None:
        self.options = options
        self._opened = opened
        self._version = version
        self._resizes = ResizeQueue()

    async def read_stdin(self) -> bytes:
        stdin = self._opened.get("stdin")
        return await stdin.read() if stdin is not None else b""

    async def write_stdout(self, data: bytes) -> None:
        await self._write("stdout", data)

    async def write_stderr(self, data: bytes) -> None:
        await self._write("stderr", data)

    def resizes(self) -> AsyncIterator[TerminalSize]:
        return self._resizes.sizes()

    async def take_resizes(self) -> None:
        resize = self._opened.get("resize")
        try:
            while resize is not None and (data := await resize.read()):
                self._resizes.feed(data)
        except ProtocolError as error:
            _log.info("terminal size not understood", reason=str(error))
        finally:
            self._resizes.end()

    async def finish(self, outcome: Outcome) -> None:
        command = self.options.command
        has_status = self._version == "v4.channel.k8s.io"
        text = outcome.status_json(command) if has_status else outcome.status_text(command)
        error = self._opened["error"]
        if text:
            await error.write(text)
        for name, stream in self._opened.items():
            if name in {"stdout", "stderr", "error"}:
                await stream.write_eof()
            else:
                # What is still sent has no reader any more, and must not hold up the rest of the connection.
                stream.drop()

    async def _write(self, name: str, data: bytes) -> None:
        stream = self._opened.get(name)
        if stream is not None and data:
            await stream.write(data)
