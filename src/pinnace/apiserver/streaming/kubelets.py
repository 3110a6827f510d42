"""The way to a node's kubelet: its HTTPS API, or the kubelet itself where it runs in this process.

Invariant: the API server shows a client certificate of its own and trusts the kubelets' authority only; no credential of a user is
passed on; an upgrade whose client has gone leaves no connection to the kubelet. Upstream: `pkg/kubelet/client`, apiserver `util/proxy`.
"""

import ssl
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from pinnace.api.core_v1 import Node
from pinnace.component.http import (
    BodyIncomplete,
    ConnectFailed,
    Connection,
    DuplexStream,
    Handler,
    Headers,
    ProtocolError,
    Request,
    Response,
    Upgrade,
    UpgradeRefused,
    UserInfo,
)
from pinnace.component.http.client import ClientLimits, HttpClient
from pinnace.component.http.duplex import copy_both_ways
from pinnace.machinery import errors

DEFAULT_PORT = 10250
# The first address of the first type that a node has; host names of nodes need not resolve anywhere else.
ADDRESS_TYPES = ("InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS", "Hostname")
# Characters by which a node could make another URL of its address.
_OTHER_IN_URLS = frozenset("@/?#[]\\ ")
_CONNECT_SECONDS = 5.0
# Kubelets to whom connections are kept: more than a cluster has nodes.
_CLIENTS_LIMIT = 8192
# Headers that belong to one connection; not passed on, unless the connection is to be upgraded.
_HOP_BY_HOP = (
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Host",
    "Content-Length",
    "Expect",
)
_APISERVER = UserInfo("kube-apiserver-kubelet-client", groups=("system:masters",))


class Kubelets(Protocol):
    """Passes requests to the kubelets of nodes."""

    @abstractmethod
    async def forward(self, node: Node, request: Request) -> Response | Upgrade:
        """Return a kubelet's answer; an upgrade tunnels the bytes both ways.

        `request` has the kubelet's path and only such headers as may be passed on.

        Raises:
            ApiError: the kubelet cannot be reached.
        """


class InProcessKubelets(Kubelets):
    """Kubelets that live in this process, each by its handler; nodes that have none are left to `others`."""

    def __init__(self, find: Callable[[str], Handler | None], others: Kubelets | None = None) -> None:
        self._find = find
        self._others = others

    async def forward(self, node: Node, request: Request) -> Response | Upgrade:
        handler = self._find(node.metadata.name)
        if handler is None:
            if self._others is None:
                raise errors.internal(f"error dialing backend: node {node.metadata.name} has no kubelet")
            return await self._others.forward(node, request)
        inner = Request(
            request.method,
            request.path,
            query=request.query,
            # As over a socket: a kubelet must not see an upgrade where this server saw none.
            headers=end_to_end(request.headers, upgrade=wants_upgrade(request)),
            body=body_of(request),
            connection=Connection(user=_APISERVER),
        )
        return await handler(inner)


class HttpsKubelets(Kubelets):
    """Kubelets over their HTTPS API; close it in the end."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        """Use a context with the API server's client certificate and the kubelets' authority."""
        self._ssl = ssl_context
        self._clients: dict[str, HttpClient] = {}

    async def forward(self, node: Node, request: Request) -> Response | Upgrade:
        return await forward_to(await self._client(kubelet_url(node)), request)

    async def close(self) -> None:
        """Close kept connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def _client(self, url: str) -> HttpClient:
        client = self._clients.pop(url, None)
        if client is None:
            # A node says where it is, and may say so anew again and again: whoever was called least lately gives way.
            while len(self._clients) >= _CLIENTS_LIMIT:
                await self._clients.pop(next(iter(self._clients))).close()
            client = HttpClient(url, self._ssl, limits=ClientLimits(connect_seconds=_CONNECT_SECONDS))
        self._clients[url] = client
        return client


def kubelet_url(node: Node) -> str:
    """Return where a node's kubelet listens.

    Raises:
        ApiError: the node says no address.
    """
    host = node_host(node)
    port = node.status.daemon_endpoints.kubelet_endpoint.port or DEFAULT_PORT
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def node_host(node: Node) -> str:
    """Return the address by which a node is reached.

    Raises:
        ApiError: the node says none.
    """
    by_type = {address.type: address.address for address in reversed(node.status.addresses)}
    host = next((by_type[kind] for kind in ADDRESS_TYPES if by_type.get(kind)), "")
    if not host:
        raise errors.internal(f"no preferred addresses found; known addresses: {sorted(by_type)}")
    if not _OTHER_IN_URLS.isdisjoint(host):
        raise errors.internal(f"error dialing backend: dial tcp: lookup {host}: no such host")
    return host


def kubelet_unreachable(error: Exception) -> errors.ApiError:
    """Say that a kubelet could not be reached."""
    return errors.internal(f"error dialing backend: {error}")


def service_unreachable(error: Exception) -> errors.ApiError:
    """Say that what is proxied to could not be reached."""
    return errors.ServiceUnavailable(f"error trying to reach service: {error}")


def wants_upgrade(request: Request) -> bool:
    """Tell whether a request asks to leave HTTP."""
    return any(token.lower() == "upgrade" for token in request.headers.tokens("Connection"))


def end_to_end(headers: Headers, *, upgrade: bool = False) -> Headers:
    """Return headers less those that belong to one connection; an upgrade keeps the two that ask for it."""
    kept = headers.without(*_HOP_BY_HOP)
    if upgrade:
        kept = kept.extended(("Connection", "Upgrade"), ("Upgrade", headers.get("Upgrade")))
    return kept


def body_of(request: Request) -> bytes | AsyncIterator[bytes]:
    """Return a request's body to pass on: nothing, or a stream of what comes."""
    return request.stream() if "Content-Length" in request.headers or "Transfer-Encoding" in request.headers else b""


async def forward_to(
    client: HttpClient, request: Request, unreachable: Callable[[Exception], errors.ApiError] = kubelet_unreachable
) -> Response | Upgrade:
    """Send a request on and return the answer.

    Raises:
        ApiError: there is no answer; what `unreachable` makes of the reason.
    """
    upgrade = wants_upgrade(request)
    headers = end_to_end(request.headers, upgrade=upgrade)
    try:
        if upgrade:
            return await _forward_upgrade(client, request, headers)
        response = await client.request(
            request.method, request.path, query=request.query, headers=headers, body=body_of(request), stream=True
        )
    except (ConnectFailed, BodyIncomplete, ProtocolError) as error:
        raise unreachable(error) from error
    except TimeoutError as error:
        raise errors.ServiceUnavailable("error trying to reach service: the backend did not answer in time") from error
    return Response(response.status, _answer_headers(response.headers), response.body)


async def _forward_upgrade(client: HttpClient, request: Request, headers: Headers) -> Response | Upgrade:
    try:
        upgraded = await client.upgrade(request.method, request.path, query=request.query, headers=headers)
    except UpgradeRefused as refused:
        if refused.status < 400:
            # Neither the protocol asked for nor a refusal: a redirect, above all, is not to be followed.
            message = f"invalid upgrade response: status code {refused.status}"
            raise errors.ApiError(500, "", message, None) from refused
        return Response(
            refused.status, _answer_headers(Headers(refused.fields)).without("Content-Length"), refused.body
        )

    async def tunnel(stream: DuplexStream) -> None:
        # Closes both in the end, however it ends.
        await copy_both_ways(stream, upgraded.stream)

    return Upgrade(upgraded.headers, tunnel)


def _answer_headers(headers: Headers) -> Headers:
    length = headers.get("Content-Length")
    kept = headers.without(*_HOP_BY_HOP, "Date")
    return kept.extended(("Content-Length", length)) if length else kept
