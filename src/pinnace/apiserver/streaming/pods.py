"""Log, exec, attach and port-forward of pods: found, checked, and passed to the kubelet of the pod's node.

The API server looks at what is asked for and refuses what cannot be; the bytes of an upgraded connection pass through untouched, so that
whatever protocol client and kubelet agree on is spoken between them. Upstream: `pkg/registry/core/pod/{rest/subresources,strategy}.go`.
"""

from collections.abc import AsyncGenerator
from urllib.parse import quote, urlencode

from pinnace.api.core_v1 import Node, Pod
from pinnace.apiserver.authentication import without_credentials
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.streaming.kubelets import Kubelets, wants_upgrade
from pinnace.apiserver.streaming.log_options import log_query, log_stream
from pinnace.component.http import Headers, Request, Response, Upgrade
from pinnace.component.http.websocket import is_websocket
from pinnace.machinery import errors

# Bytes of a kubelet's error text that are passed on.
_ERROR_TEXT_BYTES = 2048
# How a kubelet begins to say that a WebSocket's client offers nothing that it speaks: the client's mistake, not the API server's.
_NO_PROTOCOL = "requested protocol(s) are not supported"
# The kubelet's names for the streams that a client asks for.
_STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}


class PodStreams:
    """Handlers of the pods' streaming subresources."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def log(self, scope: Scope) -> Response | Upgrade:
        """Answer GET pods/x/log."""
        request = scope.request
        query = log_query(request, scope.info.name)
        pod = await _pod(scope)
        container = _container(pod, request.param("container"))
        if not pod.spec.node_name:
            return Response(204)
        path = f"/containerLogs/{_place(pod)}/{quote(container, safe='')}"
        inner = Request("GET", path, query=query, headers=Headers())
        answer = await self._kubelets.forward(await _node(scope, pod), inner)
        if isinstance(answer, Upgrade):
            raise errors.internal("the kubelet upgraded a request for logs")
        if not 200 <= answer.status <= 206:
            raise _kubelet_error(answer.status, await _text(answer), pod.metadata.name)
        if is_websocket(request):
            return log_stream(request, _chunks(answer))
        return Response(200, Headers({"Content-Type": "text/plain"}), _chunks(answer))

    async def exec(self, scope: Scope) -> Response | Upgrade:
        """Answer GET and POST pods/x/exec."""
        return await self._command(scope, "exec")

    async def attach(self, scope: Scope) -> Response | Upgrade:
        """Answer GET and POST pods/x/attach."""
        return await self._command(scope, "attach")

    async def portforward(self, scope: Scope) -> Response | Upgrade:
        """Answer GET and POST pods/x/portforward."""
        await _require_create(scope)
        pod = await _pod(scope)
        node = await _host(scope, pod)
        ports = [("ports", port) for port in scope.request.params.get("ports", ())]
        return await self._upgrade(scope, node, f"/portForward/{_place(pod)}", urlencode(ports))

    async def _command(self, scope: Scope, action: str) -> Response | Upgrade:
        await _require_create(scope)
        request = scope.request
        pod = await _pod(scope)
        container = _container(pod, request.param("container"))
        node = await _host(scope, pod)
        wanted = [(there, "1") for here, there in _STREAMS.items() if request.flag(here)]
        if not any(name != "tty" for name, _ in wanted):
            raise errors.BadRequest("you must specify at least one of stdin, stdout, stderr")
        command = request.params.get("command", []) if action == "exec" else []
        if action == "exec" and not command:
            raise errors.BadRequest("you must specify at least one command")
        query = urlencode([*wanted, *(("command", word) for word in command)])
        return await self._upgrade(scope, node, f"/{action}/{_place(pod)}/{quote(container, safe='')}", query)

    async def _upgrade(self, scope: Scope, node: Node, path: str, query: str) -> Response | Upgrade:
        request = scope.request
        if not wants_upgrade(request):
            raise errors.BadRequest("Upgrade request required")
        inner = Request(request.method, path, query=query, headers=without_credentials(request.headers))
        answer = await self._kubelets.forward(node, inner)
        if isinstance(answer, Response) and answer.status >= 400 and not _is_negotiation(answer):
            raise _kubelet_error(answer.status, await _text(answer), scope.info.name)
        return answer


async def _require_create(scope: Scope) -> None:
    """Check `create` also for a WebSocket's GET: what it does is no reading."""
    if scope.request.method == "GET":
        await scope.services.require(scope, "create")


async def _pod(scope: Scope) -> Pod:
    pod = await scope.services.objects.get(Pod, scope.info.name, scope.info.namespace)
    if pod is None:
        raise errors.not_found("", "pods", scope.info.name)
    return pod


async def _host(scope: Scope, pod: Pod) -> Node:
    if not pod.spec.node_name:
        raise errors.BadRequest(f"pod {pod.metadata.name} does not have a host assigned")
    return await _node(scope, pod)


async def _node(scope: Scope, pod: Pod) -> Node:
    node = await scope.services.objects.get(Node, pod.spec.node_name)
    if node is None:
        raise errors.not_found("", "nodes", pod.spec.node_name)
    return node


def _container(pod: Pod, wanted: str) -> str:
    """Return the container that is meant: the one asked for, or the only one."""
    name = pod.metadata.name
    containers = [container.name for container in pod.spec.containers]
    inits = [container.name for container in pod.spec.init_containers]
    ephemerals = [container.name for container in pod.spec.ephemeral_containers]
    if wanted:
        if wanted not in {*containers, *inits, *ephemerals}:
            raise errors.BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(containers) == 1:
        return containers[0]
    if not containers:
        raise errors.BadRequest(f"a container name must be specified for pod {name}")
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
    if inits:
        text += f" or one of the init containers: [{' '.join(inits)}]"
    if ephemerals:
        text += f" or one of the ephemeral containers: [{' '.join(ephemerals)}]"
    raise errors.BadRequest(text)


def _place(pod: Pod) -> str:
    return f"{quote(pod.metadata.namespace, safe='')}/{quote(pod.metadata.name, safe='')}"


async def _chunks(answer: Response) -> AsyncGenerator[bytes, None]:
    if isinstance(answer.body, bytes):
        if answer.body:
            yield answer.body
        return
    try:
        async for chunk in answer.body:
            yield chunk
    finally:
        if (close := getattr(answer.body, "aclose", None)) is not None:
            await close()


async def _text(answer: Response) -> str:
    data = b""
    chunks = _chunks(answer)
    try:
        async for chunk in chunks:
            data += chunk
            if len(data) >= _ERROR_TEXT_BYTES:
                break
    finally:
        await chunks.aclose()
    return data[:_ERROR_TEXT_BYTES].decode("utf-8", "replace").rstrip("\n")


def _is_negotiation(answer: Response) -> bool:
    """Tell whether an answer is about the protocol, which the client reads from its headers."""
    return "X-Accepted-Stream-Protocol-Versions" in answer.headers


def _kubelet_error(status: int, text: str, name: str) -> errors.ApiError:
    """Return a kubelet's plain-text refusal as the Status that upstream makes of it."""
    if 300 <= status < 400:
        # Where it leads would be called, or shown to the client, in the API server's name.
        return errors.ApiError(500, "", f"unknown (get pods {name}): redirects forbidden", None)
    if status == 400:
        return errors.BadRequest(text)
    if status == 500:
        return errors.internal(text)
    if status == 404:
        return errors.NotFound(
            f"the server could not find the requested resource ( pods {name})", errors.Details(name=name, kind="pods")
        )
    if status == 403 and text.startswith(_NO_PROTOCOL):
        return errors.ApiError(403, "Forbidden", text, None)
    if status in {401, 403}:
        return errors.internal(f"the kubelet refused the API server: {text}")
    if status == 503:
        return errors.ServiceUnavailable(text or "the server is currently unable to handle the request")
    return errors.ApiError(
        status, "Unknown", f"unknown (get pods {name}): {text}", errors.Details(name=name, kind="pods")
    )
