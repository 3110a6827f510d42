"""Answers on their way out: head and body in one piece, chunk by chunk, or a connection handed over.

Invariant: an answer that is not complete is never ended as if it were: the connection is dropped, and no header of an answer can begin
another one. Whoever sends says whether the connection may carry a further request.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Protocol

from aiohttp import hdrs

from pinnace.component.http.duplex import SocketStream, duplex_pair
from pinnace.component.http.message import Divertible, Part, Response, Upgrade, chunk
from pinnace.component.logging import get_logger

_log = get_logger("http-server")
# Bytes of a body from which a second send costs less than a copy.
_APART_BYTES = 64 * 1024
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Line(Protocol):
    """The connection that an answer goes out on."""

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Whether the client is gone."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send; silently nothing when the connection is gone, which the next drain reports."""

    @abstractmethod
    def offer(self, data: bytes) -> bool:
        """Send if the client takes it at once, and tell whether it was sent."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the client takes more.

        Raises:
            ConnectionResetError: it is gone, or took nothing for too long.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection with what is unsent, so that the client sees that an answer is not complete."""

    @abstractmethod
    def take_over(self) -> SocketStream:
        """Turn the connection into a byte stream; HTTP never gets it back."""

    @abstractmethod
    def give_up(self) -> None:
        """Forget a connection that was taken over, when its stream has ended."""

    @abstractmethod
    def stream_scope(self) -> AbstractAsyncContextManager[None]:
        """Run a stream so that the server's end ends it; the end is an ordinary one for the code behind the block."""

    @abstractmethod
    def date(self) -> str:
        """Return the value of the Date field."""


async def send(line: Line, response: Response, *, keep_alive: bool, only_head: bool, http_11: bool) -> bool:
    """Send an answer, and tell whether the connection can be used further.

    Raises:
        ConnectionError: the client is gone.
    """
    body = response.body
    if not isinstance(body, bytes):
        return await _stream(line, response, body, keep_alive=keep_alive, only_head=only_head, http_11=http_11)
    if response.status in {204, 304}:
        line.write(_head(line, response, "", keep_alive=keep_alive))
    else:
        length = "" if hdrs.CONTENT_LENGTH in response.headers else f"Content-Length: {len(body)}\r\n"
        head = _head(line, response, length, keep_alive=keep_alive)
        if only_head:
            line.write(head)
        elif len(body) < _APART_BYTES:
            line.write(head + body)
        else:
            line.write(head)
            line.write(body)
    await line.drain()
    return keep_alive


async def _stream(
    line: Line, response: Response, body: AsyncIterator[bytes], *, keep_alive: bool, only_head: bool, http_11: bool
) -> bool:
    sized = hdrs.CONTENT_LENGTH in response.headers
    chunked = http_11 and not sized
    keep_alive = keep_alive and (chunked or sized)
    complete = False
    try:
        framing = "Transfer-Encoding: chunked\r\n" if chunked else ""
        line.write(_head(line, response, framing, keep_alive=keep_alive))
        if not only_head:
            async with line.stream_scope():
                if isinstance(body, Divertible):
                    body.divert(_taking(line, chunked=chunked))
                async for data in body:
                    if data:
                        line.write(chunk(data) if chunked else data)
                        await line.drain()
            if chunked:
                line.write(b"0\r\n\r\n")
        complete = True
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - the head is out: all that is left is to cut the answer short, visibly
        _log.exception("streamed answer failed")
        keep_alive = False
    finally:
        if not complete:
            line.abort()
        if (close := getattr(body, "aclose", None)) is not None:
            await close()
    return keep_alive


async def hand_over(line: Line, upgrade: Upgrade) -> None:
    """Send the head of an upgrade and give the connection to whoever speaks on it, until that ends."""
    if line.is_lost:
        # Whatever the handler has opened for the stream ends with it: here with one that is over already.
        gone, stream_end = duplex_pair()
        await stream_end.close()
        await upgrade.run(gone)
        return
    fields = "".join(f"{name}: {value}\r\n" for name, value in upgrade.headers.items())
    line.write(f"HTTP/1.1 {upgrade.status} {_PHRASES.get(upgrade.status, '')}\r\n{fields}\r\n".encode())
    stream = line.take_over()
    try:
        async with line.stream_scope():
            await upgrade.run(stream)
    except ConnectionError:
        pass
    except Exception:  # noqa: BLE001 - the top of a connection: log, close, and leave the others alone
        _log.exception("upgraded connection failed")
    finally:
        await stream.close()
        line.give_up()


def _taking(line: Line, *, chunked: bool) -> Callable[[Part], bool]:
    offer = line.offer
    return (lambda part: offer(part.chunk)) if chunked else (lambda part: offer(part.data))


def _head(line: Line, response: Response, framing: str, *, keep_alive: bool) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    fields = "".join(lines)
    # A line break inside a value would start a header, or an answer, of somebody else's choosing.
    if fields.count("\n") != len(lines) or fields.count("\r") != len(lines):
        raise ValueError("a header value of an answer holds a line break")
    connection = "" if keep_alive else "Connection: close\r\n"
    phrase = _PHRASES.get(response.status, "")
    return (f"HTTP/1.1 {response.status} {phrase}\r\n{fields}Date: {line.date()}\r\n{framing}{connection}\r\n").encode(
        "utf-8", "surrogateescape"
    )


def fixed(status: HTTPStatus) -> bytes:
    """Return a whole answer of few words, behind which the connection ends."""
    text = f"{status.value} {status.phrase}"
    return (
        f"HTTP/1.1 {text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode("ascii")
