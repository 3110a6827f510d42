"""HTTP messages as values: what a server's handler is given and what it gives back, with no socket in sight.

One handler serves a socket (`server.py`) and callers in the same process alike. Invariant: `Connection.user` is set by the
in-process transport only, never from anything that came over a wire; `Connection.certificate` is there only when the TLS layer
has verified it.
"""

from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

from pinnace.component.http.errors import BodyTooLarge
from pinnace.machinery.memo import remember_short


class Headers:
    """Header fields in order, names without regard to case, a name as often as it was sent; immutable."""

    __slots__ = ("_fields",)

    def __init__(self, fields: "Mapping[str, str] | Iterable[tuple[str, str]] | CIMultiDictProxy[str]" = ()) -> None:
        self._fields: CIMultiDictProxy[str] = (
            fields if isinstance(fields, CIMultiDictProxy) else CIMultiDictProxy(CIMultiDict(fields))
        )

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a field, `default` when it was not sent."""
        return self._fields.get(name, default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field, in order, one for each time it was sent (commas are not split)."""
        return tuple(self._fields.getall(name, ()))

    def tokens(self, name: str) -> tuple[str, ...]:
        """Return the comma-separated elements of a field over all the times it was sent, stripped, empty ones dropped."""
        return tuple(
            token for value in self._fields.getall(name, ()) for part in value.split(",") if (token := part.strip())
        )

    def items(self) -> Iterable[tuple[str, str]]:
        return self._fields.items()

    def extended(self, *fields: tuple[str, str]) -> "Headers":
        """Return these headers with further fields behind."""
        copy = CIMultiDict(self._fields)
        copy.extend(fields)
        return Headers(CIMultiDictProxy(copy))

    def without(self, *names: str) -> "Headers":
        """Return these headers less every field of these names."""
        copy = CIMultiDict(self._fields)
        for name in names:
            copy.popall(name, None)
        return Headers(CIMultiDictProxy(copy))

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and list(self.items()) == list(other.items())

    def __hash__(self) -> int:
        return hash(tuple(self._fields.items()))

    def __repr__(self) -> str:
        # Values stay out: one of them may be a bearer token, and a repr ends in logs.
        return f"Headers({sorted(set(self._fields))})"


NO_HEADERS = Headers()


class UserInfo(Struct, frozen=True, gc=False):
    """Who makes a request, after authentication."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class Connection(Struct, frozen=True):
    """What is known of a request's way in."""

    peer: tuple[str, int] | None = None
    local: tuple[str, int] | None = None
    secure: bool = False
    # The peer's certificate in DER, verified by the TLS layer against the server's client CA.
    certificate: bytes | None = None
    # Set by the in-process transport, which vouches for the caller.
    user: UserInfo | None = None


IN_PROCESS = Connection()


_OFF = frozenset({"0", "false"})


class Request:
    """One request; its body is read at most once."""

    __slots__ = ("_body", "_params", "connection", "headers", "method", "path", "query")

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Headers = NO_HEADERS,
        body: bytes | AsyncIterable[bytes] = b"",
        connection: Connection = IN_PROCESS,
    ) -> None:
        """Make a request; `path` is as sent, percent-encoded, and holds no query."""
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.connection = connection
        self._body = body
        self._params: Mapping[str, Sequence[str]] | None = None

    @property
    def params(self) -> Mapping[str, Sequence[str]]:
        """The query, decoded: name → values in order. Malformed escapes are kept as they are."""
        if self._params is None:
            self._params = _params(self.query)
        return self._params

    def param(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter, `default` when it is absent."""
        values = self.params.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool | None:
        """Tell whether a query parameter is on, None when it is absent: as Kubernetes reads it, every value is but `0` and `false`."""
        values = self.params.get(name)
        return values[0].lower() not in _OFF if values else None

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLarge: it has more bytes than that; no more than the limit was buffered.
            BodyIncomplete: the client went away in the middle of it.
        """
        if isinstance(self._body, bytes):
            if len(self._body) > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            return self._body
        declared = self.headers.get("Content-Length")
        if declared.isdecimal() and int(declared) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        chunks: list[bytes] = []
        size = 0
        async for chunk in self._body:
            size += len(chunk)
            if size > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        if isinstance(self._body, bytes):
            if self._body:
                yield self._body
            return
        async for chunk in self._body:
            yield chunk

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"


@remember_short
def _params(query: str) -> Mapping[str, Sequence[str]]:
    params: dict[str, list[str]] = {}
    if query:
        for name, value in parse_qsl(query, keep_blank_values=True):
            params.setdefault(name, []).append(value)
    return params


def chunk(data: bytes) -> bytes:
    """Return a part of a streamed body, which must not be empty, as it goes out in chunks."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Part:
    """A part of many streamed bodies at once, framed once for all of them."""

    __slots__ = ("chunk", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.chunk = chunk(data)


@runtime_checkable
class Divertible(Protocol):
    """A streamed body that can hand over what comes late by itself: waking a task for each of a thousand readers is most of its cost."""

    @abstractmethod
    def divert(self, take: Callable[[Part], bool]) -> None:
        """Offer what comes to `take` whenever everything before it has been iterated; iterate what `take` does not take.

        Each part is either taken or iterated, in order.
        """


class Response(Struct, frozen=True):
    """An answer; a body that is an iterator is sent chunk by chunk, each flushed, the iterator closed in the end.

    It may be `Divertible` as well.
    """

    status: int = 200
    headers: Headers = NO_HEADERS
    body: bytes | AsyncIterator[bytes] = b""


class DuplexStream(Protocol):
    """Bytes both ways, as after a 101; the ends close separately."""

    @abstractmethod
    async def read(self, limit_bytes: int = 65536) -> bytes:
        """Return the next bytes, at most this many; empty means that the peer has ended its side or is gone."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Send bytes and wait until the peer has room for more.

        Raises:
            ConnectionResetError: the peer is gone, or this side has been closed.
        """

    @abstractmethod
    async def write_eof(self) -> None:
        """End this side; the peer can still send. Over TLS, which cannot, this closes both."""

    @abstractmethod
    async def close(self) -> None:
        """Drop the connection; safe to repeat."""


class Upgrade(Struct, frozen=True):
    """An answer that turns the connection into a byte stream, given to `run` once the headers are out.

    The connection is closed when `run` ends, in whatever way.
    """

    headers: Headers
    run: Callable[[DuplexStream], Awaitable[None]]
    status: int = 101


Handler: TypeAlias = Callable[[Request], Awaitable[Response | Upgrade]]
