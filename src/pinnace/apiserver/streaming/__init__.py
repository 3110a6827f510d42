"""Streaming: logs, commands, forwarded ports and proxies, by way of the kubelets."""

from collections.abc import Awaitable, Callable, Mapping

from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.streaming.kubelets import HttpsKubelets, InProcessKubelets, Kubelets
from pinnace.apiserver.streaming.pods import PodStreams
from pinnace.apiserver.streaming.proxy import Proxies
from pinnace.component.http import Response, Upgrade

__all__ = ["HttpsKubelets", "InProcessKubelets", "Kubelets", "streaming_handlers"]


def streaming_handlers(
    kubelets: Kubelets,
) -> Mapping[tuple[str, str], Callable[[Scope], Awaitable[Response | Upgrade]]]:
    """Return what answers the streaming subresources, by (resource, subresource)."""
    pods, proxies = PodStreams(kubelets), Proxies(kubelets)
    return {
        ("pods", "log"): pods.log,
        ("pods", "exec"): pods.exec,
        ("pods", "attach"): pods.attach,
        ("pods", "portforward"): pods.portforward,
        ("pods", "proxy"): proxies.pod,
        ("services", "proxy"): proxies.service,
        ("nodes", "proxy"): proxies.node,
    }
