"""Proxies: nodes/x/proxy to the kubelet, pods/x/proxy and services/x/proxy to the network, any method, upgrades included.

A name can carry a scheme and a port: `https:web:8443`. Redirects are handed to the client with the proxy's own path put before
theirs, never followed; addresses of the machine itself are refused. A path that ends with `proxy` is sent to the one with a slash, so
that relative links work. Upstream: `pkg/registry/core/{node,pod,service}`, apimachinery `util/proxy/{upgradeaware,transport}.go`.
"""

import ipaddress
import posixpath
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from urllib.parse import urlsplit

from msgspec import Struct

from pinnace.api.core_v1 import Node, Pod, Service
from pinnace.api.discovery_v1 import EndpointSlice
from pinnace.apiserver.authentication import without_credentials
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.streaming.kubelets import (
    DEFAULT_PORT,
    Kubelets,
    body_of,
    forward_to,
    node_host,
    service_unreachable,
    wants_upgrade,
)
from pinnace.component.http import Headers, Request, Response, Upgrade
from pinnace.component.http.client import HttpClient
from pinnace.component.tls import client_context
from pinnace.machinery import errors

_SERVICE_LABEL = "kubernetes.io/service-name"
_SCHEMES = frozenset({"http", "https", ""})
_LARGEST_PORT, _PORT_DIGITS = 65535, 6
# What a backend says to browsers about other sites would be said in the API server's name.
_CORS = tuple(f"Access-Control-Allow-{what}" for what in ("Credentials", "Headers", "Methods", "Origin"))


class Target(Struct, frozen=True):
    """A name in a proxy's path, split: scheme and port are empty when the object is to say them."""

    scheme: str
    name: str
    port: str


def parse_target(text: str, kind: str) -> Target:
    """Split `[scheme:]name[:port]`; `kind` is the word for what is named.

    Raises:
        BadRequest: it is no such thing.
    """
    parts = text.split(":")
    if len(parts) == 1:
        target = Target("", text, "")
    elif len(parts) == 2:
        target = Target("", *parts)
    else:
        target = Target(*parts[:3])
    if len(parts) > 3 or not target.name or target.scheme not in _SCHEMES:
        raise errors.BadRequest(f'invalid {kind} request "{text}"')
    return target


class Proxies:
    """Handlers of the proxy subresources."""

    def __init__(self, kubelets: Kubelets, check_address: Callable[[str], None] | None = None) -> None:
        """Pass on to kubelets, and to addresses that `check_address` has nothing against."""
        self._kubelets = kubelets
        self._check_address = check_address or refuse_local

    async def node(self, scope: Scope) -> Response | Upgrade:
        """Pass a request to a node's kubelet, or to another port of the node."""
        target = parse_target(scope.info.name, "node")
        node = await scope.services.objects.get(Node, target.name)
        if node is None:
            raise errors.not_found("", "nodes", target.name)
        kubelet_port = node.status.daemon_endpoints.kubelet_endpoint.port or DEFAULT_PORT
        if target.port not in {"", str(kubelet_port)}:
            return await self._pass(scope, target.scheme, node_host(node), target.port)
        if wants_upgrade(scope.request):
            # What a kubelet upgrades for runs commands in its pods, which is no reading, whatever the method.
            await scope.services.require(scope, "create")
        redirect = _redirect_to_root(scope)
        return redirect or _shown(scope, await self._kubelets.forward(node, _inner(scope)))

    async def pod(self, scope: Scope) -> Response | Upgrade:
        """Pass a request to a pod's address."""
        target = parse_target(scope.info.name, "pod")
        pod = await scope.services.objects.get(Pod, target.name, scope.info.namespace)
        if pod is None:
            raise errors.not_found("", "pods", target.name)
        return await self._pass(scope, target.scheme, pod.status.pod_ip, target.port or _pod_port(pod))

    async def service(self, scope: Scope) -> Response | Upgrade:
        """Pass a request to a ready endpoint of a service."""
        target = parse_target(scope.info.name, "service")
        objects = scope.services.objects
        service = await objects.get(Service, target.name, scope.info.namespace)
        if service is None:
            raise errors.not_found("", "services", target.name)
        slices = [
            one
            for one in await objects.list(EndpointSlice, scope.info.namespace)
            if one.metadata.labels.get(_SERVICE_LABEL) == target.name
        ]
        host, port = _endpoint(slices, _port_name(service, target), scope.info.name)
        return await self._pass(scope, target.scheme, host, port)

    async def _pass(self, scope: Scope, scheme: str, host: str, port: str) -> Response | Upgrade:
        self._check_address(host)
        _check_port(port)
        redirect = _redirect_to_root(scope)
        if redirect is not None:
            return redirect
        name = f"[{host}]" if ":" in host else host
        # What a pod serves is signed by whoever it likes; upstream does not check it either.
        context = client_context(None, verify=False) if scheme == "https" else None
        backend = f"{name}:{port}" if port else name
        client = HttpClient(f"{scheme or 'http'}://{backend}", context)
        try:
            answer = _shown(scope, await forward_to(client, _inner(scope), service_unreachable), backend)
        except BaseException:
            await client.close()
            raise
        if isinstance(answer, Response) and not isinstance(answer.body, bytes):
            return Response(answer.status, answer.headers, _closing(answer.body, client))
        await client.close()
        return answer


def _inner(scope: Scope) -> Request:
    request = scope.request
    headers = without_credentials(request.headers).without("X-Forwarded-Uri")
    forwarded = [("X-Forwarded-Uri", request.path)]
    if request.connection.peer is not None:
        before = (*headers.tokens("X-Forwarded-For"), request.connection.peer[0])
        headers = headers.without("X-Forwarded-For")
        forwarded.append(("X-Forwarded-For", ", ".join(before)))
    return Request(
        request.method,
        _path_behind(scope),
        query=request.query,
        headers=headers.extended(*forwarded),
        body=body_of(request),
    )


def _path_behind(scope: Scope) -> str:
    """Return the path that the backend is asked for: what follows `proxy`, with a slash before it and, if it had any, one behind."""
    rest = scope.info.rest
    path = rest if rest.startswith("/") else "/" + rest
    return path + "/" if rest and scope.request.path.endswith("/") else path


def _redirect_to_root(scope: Scope) -> Response | None:
    """Return the redirect of a reading request whose path ends with `proxy`, None for any other."""
    request = scope.request
    if scope.info.rest or request.path.endswith("/") or request.method not in {"GET", "HEAD"} or wants_upgrade(request):
        return None
    query = f"?{request.query}" if request.query else ""
    return Response(301, Headers({"Location": f"{request.path}/{query}"}))


def refuse_local(host: str) -> None:
    """Refuse to call the machine itself, its neighbours by chance, or nobody."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise errors.BadRequest("address not allowed") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        # The kernel calls the address inside, and Python asks about the one outside.
        address = address.ipv4_mapped
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise errors.BadRequest("address not allowed")


def _check_port(port: str) -> None:
    """Refuse a port that is no number: written behind an address it could make another one of it (`10.0.0.1:80@127.0.0.1`)."""
    if port and not (port.isascii() and port.isdecimal()):
        raise errors.ServiceUnavailable(f"error trying to reach service: dial tcp: lookup tcp/{port}: unknown port")
    if port and int(port[:_PORT_DIGITS]) > _LARGEST_PORT:
        raise errors.ServiceUnavailable(f"error trying to reach service: dial tcp: address {port}: invalid port")


def _shown(scope: Scope, answer: Response | Upgrade, backend: str = "") -> Response | Upgrade:
    """Return a backend's answer as the client is to see it."""
    if isinstance(answer, Upgrade):
        return answer
    headers = answer.headers.without(*_CORS)
    location = headers.get("Location")
    if location:
        moved = _moved(scope, location, backend)
        headers = headers.without("Location").extended(("Location", moved))
    return Response(answer.status, headers, answer.body)


def _moved(scope: Scope, location: str, backend: str) -> str:
    """Return where a redirect leads by way of the proxy; one to somewhere else, or a relative one, stays as it is."""
    url = urlsplit(location)
    if not url.path.startswith("/") or url.netloc not in {"", backend, scope.request.headers.get("Host")}:
        return location
    rest = scope.info.rest
    own = scope.request.path.rstrip("/").removesuffix(f"/{rest}" if rest else "")
    path = url.path
    if not path.startswith(own):
        path = posixpath.normpath(own + path) + ("/" if path.endswith("/") else "")
    return path + (f"?{url.query}" if url.query else "") + (f"#{url.fragment}" if url.fragment else "")


async def _closing(body: AsyncIterator[bytes], client: HttpClient) -> AsyncGenerator[bytes, None]:
    """Yield a body and close the client that it comes from."""
    try:
        async for chunk in body:
            yield chunk
    finally:
        await client.close()


def _pod_port(pod: Pod) -> str:
    """Return the first port that the pod declares; empty, which means the scheme's, when it declares none."""
    ports = [port.container_port for container in pod.spec.containers for port in container.ports]
    return str(ports[0]) if ports else ""


def _port_name(service: Service, target: Target) -> str:
    """Return the name of the service's port that is meant: what was said, unless that is a number."""
    if not target.port.isdecimal():
        return target.port
    number = target.port.lstrip("0") or "0"
    for port in service.spec.ports:
        if str(port.port) == number:
            return port.name
    raise errors.ServiceUnavailable(f'no service port {number} found for service "{target.name}"')


def _endpoint(slices: list[EndpointSlice], port_name: str, asked: str) -> tuple[str, str]:
    """Return the address and port of the first ready endpoint; `asked` is the name in the request."""
    for one in slices:
        port = next((port.port for port in one.ports or () if (port.name or "") == port_name), None)
        for endpoint in one.endpoints or ():
            if port is not None and endpoint.addresses and endpoint.conditions.ready is not False:
                return endpoint.addresses[0], str(port)
    raise errors.ServiceUnavailable(f'no endpoints available for service "{asked}"')
