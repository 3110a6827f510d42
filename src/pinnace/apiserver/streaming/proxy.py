"""Proxies: nodes/x/proxy to the kubelet, pods/x/proxy and services/x/proxy to the network, any method, upgrades included.

A name can carry a scheme and a port: `https:web:8443`. Redirects are handed to the client, never followed, and addresses of the machine
itself are refused. Upstream: `pkg/registry/core/{node,pod,service}`, apimachinery `util/proxy`.
"""

import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from pinnace.api.core_v1 import Node, Pod, Service
from pinnace.api.discovery_v1 import EndpointSlice
from pinnace.apiserver.authentication import without_credentials
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.streaming.kubelets import Kubelets, body_of, forward_to
from pinnace.component.http import Request, Response, Upgrade
from pinnace.component.http.client import HttpClient
from pinnace.component.tls import client_context
from pinnace.machinery import errors

_SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Target:
    """A name in a proxy's path, split: the port is empty when the object is to say it."""

    scheme: str
    name: str
    port: str


def parse_target(text: str) -> Target:
    """Split `[scheme:]name[:port]`.

    Raises:
        BadRequest: it is no such thing.
    """
    parts = text.split(":")
    if len(parts) == 1:
        return Target("http", parts[0], "")
    if len(parts) == 2:
        return Target("http", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in {"http", "https", ""}:
        return Target(parts[0] or "http", parts[1], parts[2])
    raise errors.BadRequest(f'invalid proxy target "{text}"')


class Proxies:
    """Handlers of the proxy subresources."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def node(self, scope: Scope) -> Response | Upgrade:
        """Pass a request to a node's kubelet."""
        target = parse_target(scope.info.name)
        node = await scope.services.objects.get(Node, target.name)
        if node is None:
            raise errors.not_found("", "nodes", target.name)
        return await self._kubelets.forward(node, _inner(scope))

    async def pod(self, scope: Scope) -> Response | Upgrade:
        """Pass a request to a pod's address."""
        target = parse_target(scope.info.name)
        pod = await scope.services.objects.get(Pod, target.name, scope.info.namespace)
        if pod is None:
            raise errors.not_found("", "pods", target.name)
        if not pod.status.pod_ip:
            raise errors.BadRequest(f"pod {target.name} has no address")
        return await _pass(scope, target.scheme, pod.status.pod_ip, target.port or _pod_port(pod))

    async def service(self, scope: Scope) -> Response | Upgrade:
        """Pass a request to a ready endpoint of a service."""
        target = parse_target(scope.info.name)
        objects = scope.services.objects
        service = await objects.get(Service, target.name, scope.info.namespace)
        if service is None:
            raise errors.not_found("", "services", target.name)
        slices = [
            one
            for one in await objects.list(EndpointSlice, scope.info.namespace)
            if one.metadata.labels.get(_SERVICE_LABEL) == target.name
        ]
        host, port = _endpoint(slices, _port_name(service, target), target.name)
        return await _pass(scope, target.scheme, host, port)


def _inner(scope: Scope) -> Request:
    request = scope.request
    return Request(
        request.method,
        "/" + scope.info.rest,
        query=request.query,
        headers=without_credentials(request.headers),
        body=body_of(request),
    )


async def _pass(scope: Scope, scheme: str, host: str, port: str) -> Response | Upgrade:
    address = ipaddress.ip_address(host)
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise errors.BadRequest("address not allowed")
    netloc = f"[{host}]:{port}" if address.version == 6 else f"{host}:{port}"
    # What a pod serves is signed by whoever it likes; upstream does not check it either.
    context = client_context(None, verify=False) if scheme == "https" else None
    client = HttpClient(f"{scheme}://{netloc}", context)
    try:
        answer = await forward_to(client, _inner(scope))
    except BaseException:
        await client.close()
        raise
    if isinstance(answer, Response) and not isinstance(answer.body, bytes):
        return Response(answer.status, answer.headers, _closing(answer.body, client))
    await client.close()
    return answer


async def _closing(body: AsyncIterator[bytes], client: HttpClient) -> AsyncGenerator[bytes, None]:
    """Yield a body and close the client that it comes from."""
    try:
        async for chunk in body:
            yield chunk
    finally:
        await client.close()


def _pod_port(pod: Pod) -> str:
    """Return the first port that the pod declares, else HTTP's."""
    ports = [port.container_port for container in pod.spec.containers for port in container.ports]
    return str(ports[0]) if ports else "80"


def _port_name(service: Service, target: Target) -> str:
    """Return the name of the service's port that is meant, by its name, its number, or as the only one."""
    ports = service.spec.ports
    for port in ports:
        if target.port and target.port in {port.name, str(port.port)}:
            return port.name
    if not target.port and len(ports) == 1:
        return ports[0].name
    raise errors.ServiceUnavailable(f'no service port "{target.port}" found for service "{target.name}"')


def _endpoint(slices: list[EndpointSlice], port_name: str, name: str) -> tuple[str, str]:
    """Return the address and port of the first ready endpoint."""
    for one in slices:
        port = next((port.port for port in one.ports or () if (port.name or "") == port_name), None)
        for endpoint in one.endpoints or ():
            if port is not None and endpoint.addresses and endpoint.conditions.ready is not False:
                return endpoint.addresses[0], str(port)
    raise errors.ServiceUnavailable(f'no endpoints available for service "{name}"')
