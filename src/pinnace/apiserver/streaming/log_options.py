"""What is asked of a container's log: PodLogOptions, checked and put in the kubelet's words.

Upstream: `pkg/apis/core/validation` (ValidatePodLogOptions), `pkg/registry/core/pod/strategy.go` (LogLocation).
"""

import base64
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlencode

from pinnace.component.http import DuplexStream, Request, Response, Upgrade, websocket
from pinnace.machinery import errors, timestamps
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported
from pinnace.machinery.numbers import parse_int

_STREAMS = ("All", "Stdout", "Stderr")
_BINARY, _BASE64 = "binary.k8s.io", "base64.binary.k8s.io"


def log_query(request: Request, name: str) -> str:
    """Return the kubelet's query for a request's options.

    Raises:
        ApiError: BadRequest for what is no number, Invalid for what makes no sense.
    """
    numbers = {key: _number(request, key) for key in ("sinceSeconds", "tailLines", "limitBytes")}
    since_time = request.param("sinceTime")
    stream = request.param("stream")
    found = list(_faults(numbers, since_time, stream))
    if found:
        raise errors.invalid("", "PodLogOptions", name, found)
    query = [(key, "true") for key in ("follow", "previous", "timestamps") if request.flag(key)]
    query += [(key, str(value)) for key, value in numbers.items() if value is not None]
    if since_time:
        query.append(("sinceTime", since_time))
    if stream and stream != "All":
        query.append(("stream", stream))
    return urlencode(query)


def log_stream(request: Request, chunks: AsyncIterator[bytes]) -> Response | Upgrade:
    """Answer a client that wants the log over a WebSocket: messages of bytes, or of base64."""
    handshake = websocket.accept(request, ("", _BINARY, _BASE64))
    if isinstance(handshake, Response):
        return handshake
    as_text = handshake.protocol == _BASE64

    async def run(stream: DuplexStream) -> None:
        socket = websocket.WebSocket(stream)
        async for chunk in chunks:
            await socket.send(base64.b64encode(chunk) if as_text else chunk, text=as_text)
        await socket.close()

    return Upgrade(handshake.headers, run)


def _number(request: Request, key: str) -> int | None:
    text = request.param(key)
    if not text:
        return None
    try:
        return parse_int(text)
    except ValueError as error:
        raise errors.BadRequest(str(error)) from error


def _faults(numbers: dict[str, int | None], since_time: str, stream: str) -> Iterator[FieldError]:
    tail, limit, since = numbers["tailLines"], numbers["limitBytes"], numbers["sinceSeconds"]
    if tail is not None and tail < 0:
        yield invalid(Path("tailLines"), tail, "must be greater than or equal to 0")
    if limit is not None and limit < 1:
        yield invalid(Path("limitBytes"), limit, "must be greater than 0")
    if since is not None and since_time:
        yield forbidden(Path(), "at most one of `sinceTime` or `sinceSeconds` may be specified")
    elif since is not None and since < 1:
        yield invalid(Path("sinceSeconds"), since, "must be greater than 0")
    if since_time:
        try:
            timestamps.parse(since_time)
        except ValueError:
            yield invalid(Path("sinceTime"), since_time, "must be a time in RFC 3339")
    if stream and stream not in _STREAMS:
        yield not_supported(Path("stream"), stream, _STREAMS)
    elif stream in {"Stdout", "Stderr"} and tail is not None:
        yield forbidden(Path(), "`tailLines` and specific `stream` are mutually exclusive for now")
