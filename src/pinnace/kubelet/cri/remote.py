"""Bridges a client's command or connection to the runtime's own streaming server, which speaks SPDY.

Upstream: client-go `tools/remotecommand` version 4 of the protocol, `tools/portforward`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from pinnace.component.http import Headers
from pinnace.component.http.client import HttpClient
from pinnace.component.http.duplex import copy_until_answered
from pinnace.component.http.errors import HttpError
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.spdy import SpdyConnection, SpdyStream
from pinnace.component.http.streams import INTERNAL_ERROR, CommandFailed, CommandStreams, PortForwardFailed

_COMMAND_PROTOCOL, _PORT_PROTOCOL = "v4.channel.k8s.io", "portforward.k8s.io"


@asynccontextmanager
async def _connected(url: str, protocol: str) -> AsyncIterator[SpdyConnection]:
    parts = urlsplit(url)
    client = HttpClient(f"{parts.scheme}://{parts.netloc}")
    headers = Headers([
        ("Connection", "Upgrade"),
        ("Upgrade", "SPDY/3.1"),
        ("X-Stream-Protocol-Version", protocol),
    ])
    try:
        upgraded = await client.upgrade("POST", parts.path, query=parts.query, headers=headers)
        connection = SpdyConnection(upgraded.stream, server=False)
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(connection.run(), name="runtime streams")
            try:
                yield connection
            finally:
                pump.cancel()
                with suppress(OSError):
                    await connection.close()
                await upgraded.stream.close()
    finally:
        await client.close()


async def command(url: str, streams: CommandStreams) -> int:
    """Carry a command's streams to its end and return its exit code.

    Raises:
        CommandFailed: there is none.
    """
    options = streams.options
    try:
        async with _connected(url, _COMMAND_PROTOCOL) as connection:
            errors = await connection.open(Headers([("streamType", "error")]))
            stdin = await connection.open(Headers([("streamType", "stdin")])) if options.stdin else None
            stdout = await connection.open(Headers([("streamType", "stdout")])) if options.stdout else None
            stderr = (
                await connection.open(Headers([("streamType", "stderr")]))
                if options.stderr and not options.tty
                else None
            )
            resize = await connection.open(Headers([("streamType", "resize")])) if options.tty else None
            async with asyncio.TaskGroup() as group:
                inward = []
                if stdin is not None:
                    inward.append(group.create_task(_feed(streams, stdin), name="stdin"))
                if resize is not None:
                    inward.append(group.create_task(_sizes(streams, resize), name="resize"))
                if stdout is not None:
                    group.create_task(_drain(stdout, streams.write_stdout), name="stdout")
                if stderr is not None:
                    group.create_task(_drain(stderr, streams.write_stderr), name="stderr")
                told = await _all(errors)
                for task in inward:
                    task.cancel()
    except (HttpError, OSError, ExceptionGroup) as error:
        raise CommandFailed(f"error executing command in container: {error}") from error
    return _exit_code(told)


def _exit_code(told: bytes) -> int:
    if not told:
        return 0
    try:
        status = json.loads(told)
    except ValueError:
        raise CommandFailed(told.decode(errors="replace")) from None
    if status.get("status") == "Success":
        return 0
    for cause in status.get("details", {}).get("causes", ()):
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    # The text is that of an internal error; whoever tells the client says so again.
    raise CommandFailed(str(status.get("message", "the runtime gave no reason")).removeprefix(INTERNAL_ERROR))


async def _feed(streams: CommandStreams, sink: SpdyStream) -> None:
    with suppress(OSError):
        while data := await streams.read_stdin():
            await sink.write(data)
        await sink.write_eof()


async def _sizes(streams: CommandStreams, sink: SpdyStream) -> None:
    with suppress(OSError):
        async for size in streams.resizes():
            await sink.write(json.dumps({"Width": size.width, "Height": size.height}).encode())


async def _drain(source: SpdyStream, write: Callable[[bytes], Awaitable[None]]) -> None:
    with suppress(OSError):
        while data := await source.read():
            await write(data)


async def _all(source: SpdyStream) -> bytes:
    parts = []
    with suppress(OSError):
        while data := await source.read():
            parts.append(data)
    return b"".join(parts)


async def carry_port(url: str, port: int, ours: DuplexStream) -> None:
    """Carry one connection to a port of a pod until the port's side has ended.

    Raises:
        PortForwardFailed: the port cannot be reached; the text is the runtime's.
    """
    try:
        async with _connected(url, _PORT_PROTOCOL) as connection:
            fields = [("port", str(port)), ("requestID", "0")]
            errors = await connection.open(Headers([("streamType", "error"), *fields]))
            await errors.write_eof()
            data = await connection.open(Headers([("streamType", "data"), *fields]))
            await copy_until_answered(ours, data)
            told = await _all(errors)
    except (HttpError, OSError, ExceptionGroup) as error:
        raise PortForwardFailed(str(error)) from error
    if told:
        # The runtime's text begins with its own name of the pod, which is the sandbox's; whoever asked knows the pod's.
        text = told.decode(errors="replace")
        raise PortForwardFailed(text.partition(", uid : ")[2] or text)
