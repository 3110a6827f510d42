"""What a request is about, read from its method and path alone: verb, resource, namespace, name, subresource.

Authorization, admission, metrics and routing all start from this value. The path is taken as sent and split before it is
percent-decoded, so that an encoded slash never makes a segment. Upstream: apiserver `endpoints/request/requestinfo.go`.
"""

from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from pinnace.component.http import Request
from pinnace.machinery.memo import remember_short

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Below a namespace's own path, these are subresources of the namespace; anything else is a namespaced resource.
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


class RequestInfo(Struct, frozen=True, gc=False):
    """Where a request goes; the fields after `path` are empty when it is not for a resource."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    # What follows the subresource: the path behind .../proxy/, with its leading segments still encoded.
    rest: str = ""
    # A legacy /watch/ path.
    legacy_watch: bool = False


def parse(request: Request) -> RequestInfo:
    """Read a request's method, path and the query parameters that change its verb."""
    info = _parse(request.path, request.method)
    if info.verb == "list" and request.query and request.flag("watch"):
        return replace(info, verb="watch")
    return info


# Clients ask for the same few paths again and again: their objects' and their collections'.
@remember_short
def _parse(path: str, method: str) -> RequestInfo:
    segments = path.split("/")
    while len(segments) > 2 and not segments[-1]:
        segments.pop()  # slashes at the end say nothing
    if len(segments) < 4 or segments[0]:
        return RequestInfo(method.lower(), path)
    if segments[1] == "api":
        group, version, parts = "", segments[2], segments[3:]
    elif segments[1] == "apis" and len(segments) > 4:
        group, version, parts = segments[2], segments[3], segments[4:]
    else:
        return RequestInfo(method.lower(), path)
    return _resource(method, path, group, version, parts)


def _resource(method: str, path: str, group: str, version: str, parts: list[str]) -> RequestInfo:
    # A method that stands for no verb has an empty one, which only a rule for all verbs allows.
    verb = _VERBS.get(method, "")
    legacy_watch = parts[0] == "watch" and len(parts) > 1
    if legacy_watch:
        parts = parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = unquote(parts[1])
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource = unquote(parts[0])
    name = unquote(parts[1]) if len(parts) > 1 else ""
    subresource = unquote(parts[2]) if len(parts) > 2 else ""
    rest = "/".join(parts[3:])
    if verb == "get" and (legacy_watch or not name):
        verb = "watch" if legacy_watch else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    return RequestInfo(verb, path, True, group, version, namespace, resource, subresource, name, rest, legacy_watch)
