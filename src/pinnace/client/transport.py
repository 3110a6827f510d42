"""How a client reaches the API server: over a socket, or straight into its handler.

Both carry the same bytes; nothing above this module knows which it is. The in-process transport vouches for its user, as a
client certificate would.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from pinnace.component.http import ConnectFailed, Connection, Handler, Headers, Request, Response, UserInfo
from pinnace.component.http.client import HttpClient
from pinnace.component.kubeconfig import Access
from pinnace.component.tls import KeyPair, client_context


class Transport(Protocol):
    """One way to one API server."""

    @abstractmethod
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
        stream: bool = False,
    ) -> Response:
        """Send a request and return the answer, whatever its status.

        With `stream` the body is an async iterator, to be closed by the caller; else it is bytes.

        Raises:
            HttpError: no answer came.
        """

    @abstractmethod
    async def close(self) -> None:
        """Give up what is kept open."""


class InProcessTransport(Transport):
    """Requests handed to a handler in this process, as a user it vouches for."""

    def __init__(self, handler: Handler, user: UserInfo) -> None:
        self._handler = handler
        self._connection = Connection(user=user, secure=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
        stream: bool = False,
    ) -> Response:
        request = Request(method, path, query=query, headers=Headers(headers), body=body, connection=self._connection)
        response = await self._handler(request)
        if not isinstance(response, Response):
            raise TypeError("an upgrade is no answer to a plain request")
        if isinstance(response.body, bytes) or stream:
            return response
        return Response(response.status, response.headers, b"".join([chunk async for chunk in response.body]))

    async def close(self) -> None:
        """Nothing is kept open."""


class HttpTransport(Transport):
    """Requests over TLS."""

    def __init__(self, http: HttpClient, *, token: str = "") -> None:
        self._http = http
        self._fixed = {"Authorization": f"Bearer {token}"} if token else {}

    @classmethod
    def to(cls, access: Access) -> "HttpTransport":
        """Return the way that a kubeconfig describes."""
        pair = KeyPair(access.certificate_pem, access.key_pem) if access.certificate_pem else None
        return cls(HttpClient(access.server, client_context(access.ca_pem, pair)), token=access.token)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
        stream: bool = False,
    ) -> Response:
        sent = Headers({**self._fixed, **headers})
        try:
            return await self._http.request(method, path, query=query, headers=sent, body=body, stream=stream)
        except TimeoutError as error:
            # Whoever calls in process meets no such thing; nobody has to tell the two apart.
            raise ConnectFailed(f"{method} {path}: no answer in time") from error

    async def close(self) -> None:
        await self._http.close()
