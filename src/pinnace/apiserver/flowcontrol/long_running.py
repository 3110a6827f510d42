"""Which requests last as long as their client likes: they have no deadline and take no seat.

Upstream: pkg/controlplane/apiserver/config.go (`LongRunningFunc`).
"""

from pinnace.apiserver.endpoints.request_info import RequestInfo

_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})
_VERBS = frozenset({"watch", "proxy"})


def is_long_running(info: RequestInfo) -> bool:
    """Tell whether a request lasts as long as its client likes."""
    return info.verb in _VERBS or info.subresource in _SUBRESOURCES or info.path.startswith("/debug/pprof")
