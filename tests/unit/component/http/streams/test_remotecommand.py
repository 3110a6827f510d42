import asyncio
import base64
import json
from contextlib import asynccontextmanager

import pytest

from pinnace.component.http import Headers, Request, Response, Upgrade
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.spdy import SpdyConnection
from pinnace.component.http.streams import (
    CommandFailed,
    CommandOptions,
    TerminalSize,
    parse_options,
    serve_remote_command,
)
from pinnace.component.http.websocket import WebSocket

EVERYTHING = CommandOptions(command=("cat", "-n"), stdin=True, stdout=True, stderr=True)
TERMINAL = CommandOptions(command=("sh",), stdin=True, stdout=True, tty=True)


def websocket_request(*protocols: str) -> Request:
    fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    return Request("GET", "/exec", headers=Headers(fields + [("Sec-WebSocket-Protocol", name) for name in protocols]))


def spdy_request(*protocols: str) -> Request:
    fields = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
    return Request(
        "POST", "/exec", headers=Headers(fields + [("X-Stream-Protocol-Version", name) for name in protocols])
    )


async def cat(streams) -> int:
    """Echo input, say goodbye on stderr, exit with 3."""
    while data := await streams.read_stdin():
        await streams.write_stdout(data)
    await streams.write_stderr(b"bye")
    return 3


@asynccontextmanager
async def upgraded(request, options, run):
    answer = await serve_remote_command(request, options, run)
    assert isinstance(answer, Upgrade)
    client, server = duplex_pair()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer.run(server))
        yield client, answer.headers
        await client.close()
        await task


@asynccontextmanager
async def spdy_client(version, options, run):
    async with upgraded(spdy_request(version), options, run) as (stream, _headers), asyncio.TaskGroup() as group:
        connection = SpdyConnection(stream, server=False)
        frames = group.create_task(connection.run())
        yield connection
        await connection.close()
        await frames


async def test_websocket_v5_half_close_ends_stdin_and_the_status_tells_the_exit_code():
    """Output, error output and the exit code follow the end of input, then the connection closes."""
    async with upgraded(websocket_request("v5.channel.k8s.io"), EVERYTHING, cat) as (stream, headers):
        assert headers.get("Sec-WebSocket-Protocol") == "v5.channel.k8s.io"
        socket = WebSocket(stream, mask=lambda: b"abcd")
        assert (await socket.receive()).data == b"\x01"
        await socket.send(b"\x00hello")
        assert (await socket.receive()).data == b"\x01hello"
        await socket.send(b"\xff\x00")
        assert (await socket.receive()).data == b"\x02bye"
        status = (await socket.receive()).data
        assert status[0] == 3
        assert json.loads(status[1:]) == {
            "metadata": {},
            "status": "Failure",
            "message": "command terminated with non-zero exit code: command terminated with exit code 3",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        }
        assert await socket.receive() is None
        assert socket.close_code == 1000


async def test_websocket_base64_frames_are_text():
    """In the base64 protocols a digit and base64 go both ways."""

    async def once(streams) -> int:
        await streams.write_stdout(await streams.read_stdin())
        return 0

    async with upgraded(websocket_request("v4.base64.channel.k8s.io"), EVERYTHING, once) as (stream, _):
        socket = WebSocket(stream, mask=lambda: b"abcd")
        assert (await socket.receive()).data == b"1"
        await socket.send(b"0" + base64.b64encode(b"hi"), text=True)
        message = await socket.receive()
        assert (message.text, message.data) == (True, b"1" + base64.b64encode(b"hi"))
        status = await socket.receive()
        assert json.loads(base64.b64decode(status.data[1:])) == {"metadata": {}, "status": "Success"}


async def test_websocket_first_version_tells_failures_as_text():
    """Before version 4 the error channel carries plain text, and nothing after success."""

    async def fail(streams) -> int:
        raise CommandFailed("no such file")

    async with upgraded(websocket_request(), EVERYTHING, fail) as (stream, _):
        socket = WebSocket(stream, mask=lambda: b"abcd")
        assert (await socket.receive()).data == b"\x01"
        assert (await socket.receive()).data == b"\x03no such file"


@pytest.mark.parametrize(
    ("protocol", "failed", "ended"),
    [
        pytest.param(
            "v4.channel.k8s.io",
            "Internal error occurred: no such file",
            "command terminated with non-zero exit code: error executing command [cat -n], exit code 3",
            id="v4",
        ),
        pytest.param(
            "v5.channel.k8s.io",
            "Internal error occurred: Internal error occurred: no such file",
            "command terminated with non-zero exit code: command terminated with exit code 3",
            id="v5",
        ),
    ],
)
async def test_websocket_versions_word_the_end_as_upstream_does(protocol, failed, ended):
    """What was translated on the way to upstream's runtime is wrapped once more, and reads so here, too."""

    async def fail(_streams) -> int:
        raise CommandFailed("no such file")

    async def end(_streams) -> int:
        return 3

    for run, message in ((fail, failed), (end, ended)):
        async with upgraded(websocket_request(protocol), EVERYTHING, run) as (stream, _):
            socket = WebSocket(stream, mask=lambda: b"abcd")
            await socket.receive()
            status = json.loads((await socket.receive()).data[1:])
            assert status["message"] == message


async def test_websocket_terminal_sizes_reach_the_command():
    """Resize messages arrive as sizes; there is no error output with a terminal."""
    seen: list[TerminalSize] = []

    async def shell(streams) -> int:
        async for size in streams.resizes():
            seen.append(size)
            await streams.write_stderr(b"never sent")
            if len(seen) == 2:
                break
            await streams.write_stdout(b"next")
        return 0

    async with upgraded(websocket_request("v4.channel.k8s.io"), TERMINAL, shell) as (stream, _):
        socket = WebSocket(stream, mask=lambda: b"abcd")
        assert (await socket.receive()).data == b"\x01"
        await socket.send(b'\x04{"Width":80,"Height":24}')
        assert (await socket.receive()).data == b"\x01next"
        await socket.send(b'\x04{"Width":100,')
        await socket.send(b'\x04"Height":30}\n')
        assert (await socket.receive()).data[0] == 3
    assert seen == [TerminalSize(80, 24), TerminalSize(100, 30)]


@pytest.mark.parametrize("protocol", ["websocket", "spdy"])
async def test_command_is_cancelled_when_the_client_goes_away(protocol):
    """A command whose client is gone works for nobody."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_streams) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 0

    options = CommandOptions(stdout=True)
    if protocol == "websocket":
        async with upgraded(websocket_request("v4.channel.k8s.io"), options, wait):
            await started.wait()
    else:
        async with spdy_client("v4.channel.k8s.io", options, wait) as connection:
            for kind in ("error", "stdout"):
                await connection.open(Headers({"streamType": kind}))
            await started.wait()
    assert cancelled.is_set()


async def test_spdy_v4_round_trip():
    """Streams opened by type carry input and output; the status is JSON and every stream ends."""
    async with spdy_client("v4.channel.k8s.io", EVERYTHING, cat) as connection:
        streams = {
            kind: await connection.open(Headers({"streamType": kind}))
            for kind in ("error", "stdin", "stdout", "stderr")
        }
        await streams["stdin"].write(b"hello")
        assert await streams["stdout"].read() == b"hello"
        await streams["stdin"].write_eof()
        assert await streams["stderr"].read() == b"bye"
        assert json.loads(await streams["error"].read())["details"]["causes"][0]["message"] == "3"
        for kind in ("stdout", "stderr", "error"):
            assert await streams[kind].read() == b""


async def test_spdy_terminal_opens_a_resize_stream():
    """From version 3 on, sizes come on a stream of their own."""

    async def shell(streams) -> int:
        async for size in streams.resizes():
            await streams.write_stdout(b"%dx%d" % (size.width, size.height))
            break
        return 0

    async with spdy_client("v3.channel.k8s.io", TERMINAL, shell) as connection:
        streams = {
            kind: await connection.open(Headers({"streamType": kind}))
            for kind in ("error", "stdin", "stdout", "resize")
        }
        await streams["resize"].write(b'{"Width":1,"Height":2}\n')
        assert await streams["stdout"].read() == b"1x2"
        assert await streams["error"].read() == b""


async def test_command_that_breaks_is_told_without_details():
    """An unexpected failure reaches the client as an internal error that hides its text."""

    async def broken(_streams) -> int:
        raise ValueError("a secret")

    async with upgraded(websocket_request("v4.channel.k8s.io"), CommandOptions(stderr=True), broken) as (stream, _):
        socket = WebSocket(stream, mask=lambda: b"abcd")
        assert (await socket.receive()).data == b"\x02"
        status = json.loads((await socket.receive()).data[1:])
        assert (status["reason"], status["code"]) == ("InternalError", 500)
        assert "a secret" not in json.dumps(status)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(Request("POST", "/exec"), 400, id="no upgrade"),
        pytest.param(spdy_request(), 400, id="no version"),
        pytest.param(spdy_request("v9.channel.k8s.io"), 403, id="unknown version"),
        pytest.param(websocket_request("v9.channel.k8s.io"), 403, id="unknown subprotocol"),
    ],
)
async def test_remote_command_refuses(request_, status):
    """What cannot be negotiated is answered without an upgrade."""
    answer = await serve_remote_command(request_, EVERYTHING, cat)
    assert isinstance(answer, Response)
    assert answer.status == status
    if status == 403 and "SPDY/3.1" in request_.headers.get("Upgrade"):
        assert "v4.channel.k8s.io" in answer.headers.get_all("X-Accepted-Stream-Protocol-Versions")


def test_options_of_a_terminal_have_no_error_output():
    """The kubelet's parameters are read; a terminal merges the outputs."""
    request = Request("POST", "/exec", query="command=sh&command=-c&input=1&output=1&error=1&tty=1")
    assert parse_options(request) == CommandOptions(("sh", "-c"), stdin=True, stdout=True, tty=True)


def test_options_without_any_stream_are_refused():
    """A command nobody reads or writes is a mistake."""
    answer = parse_options(Request("POST", "/exec", query="command=sh"))
    assert isinstance(answer, Response)
    assert answer.status == 400
