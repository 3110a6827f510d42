"""From a request on a resource to the handler that answers it.

The order in which upstream refuses is kept: an unknown group is no path at all, then an unknown resource (404), then a method
that the path does not take (405), then what the handler finds. Upstream: apiserver `endpoints/installer.go`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from pinnace.api import resources
from pinnace.api.resources import Resource, Subresource
from pinnace.apiserver.endpoints import patch, read, watch, write
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.component.http import Response, Upgrade
from pinnace.machinery.errors import method_not_allowed, route_not_found

Verb: TypeAlias = Callable[[Scope], Awaitable[Response | Upgrade]]
# What answers a subresource that is no part of the object, by (resource, subresource), the resource empty for any; and, with the
# subresource empty, whatever may be done with a kind that is not stored.
Specials: TypeAlias = Mapping[tuple[str, str], Verb]

_COLLECTION: dict[str, tuple[str, Verb]] = {
    "list": ("list", read.list_),
    "watch": ("watch", watch.watch),
    "create": ("create", write.create),
    "deletecollection": ("deletecollection", write.delete_collection),
}
_OBJECT: dict[str, tuple[str, Verb]] = {
    "get": ("get", read.get),
    "watch": ("watch", watch.watch),
    "update": ("update", write.update),
    "patch": ("patch", patch.patch),
    "delete": ("delete", write.delete),
}
PROXY_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Parts of the object that are read and written like the object itself.
_PARTS: dict[str, Verb] = {"get": read.get, "update": write.update, "patch": patch.patch}


def is_served_group(group: str) -> bool:
    """Tell whether a group has paths of its own."""
    return not group or group in resources.GROUPS


def find_resource(info: RequestInfo) -> Resource:
    """Return the resource a path names.

    Raises:
        ApiError: there is none, or not in this place.
    """
    resource = resources.by_path(info.group, info.version, info.resource)
    # A proxy's path may have empty segments behind it; no other path has any but at its end.
    if resource is None or "//" in info.path.rstrip("/").removesuffix(info.rest):
        raise route_not_found()
    # A right to a namespace is a right to what lies in it; of all that does not, its path holds the namespace itself alone.
    if info.namespace and not resource.namespaced and (resource.plural != "namespaces" or info.name != info.namespace):
        raise route_not_found()
    if resource.namespaced and not info.namespace and info.name:
        raise route_not_found()
    if info.rest and info.subresource != "proxy":
        raise route_not_found()
    return resource


def find_handler(resource: Resource, info: RequestInfo, method: str, specials: Specials) -> Verb:
    """Return what answers a request on a resource.

    Raises:
        ApiError: the path has no such subresource, or does not take the method.
    """
    if info.legacy_watch and info.subresource:
        raise route_not_found()
    if info.legacy_watch and info.verb != "watch":
        raise method_not_allowed()
    if info.subresource:
        part = resource.subresource(info.subresource)
        if part is None:
            raise route_not_found()
        return _part_handler(resource, part, info, method, specials)
    table = _OBJECT if info.name else _COLLECTION
    found = table.get(info.verb)
    if found is None or found[0] not in resource.verbs or method in {"HEAD", "OPTIONS"}:
        raise method_not_allowed()
    if resource.namespaced and not info.namespace and info.verb in {"create", "deletecollection"}:
        raise method_not_allowed()
    if not resource.is_stored:
        special = specials.get((resource.plural, ""))
        if special is None:
            raise method_not_allowed()
        return special
    return found[1]


def _part_handler(resource: Resource, part: Subresource, info: RequestInfo, method: str, specials: Specials) -> Verb:
    name, verbs = part.name, part.verbs
    special = specials.get((resource.plural, name)) or specials.get(("", name))
    verb = "get" if info.verb == "watch" else info.verb
    if special is not None:
        # A proxy takes every method: it is for what lies behind it to judge.
        if not (method in PROXY_METHODS if name == "proxy" else verb in verbs and method != "HEAD"):
            raise method_not_allowed()
        return special
    handler = _PARTS.get(verb) if part.kind == resource.kind and verb in verbs and method != "HEAD" else None
    if handler is None:
        raise method_not_allowed()
    return handler
