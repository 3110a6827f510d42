"""The operations of a resource, with the parameters that clients look for.

kubectl finds in them whether the server checks fields and takes dry runs (`fieldValidation` and `dryRun` of PATCH); generators find
names, bodies and answers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pinnace.api.resources import Resource

Body = Callable[[str], dict[str, Any]]

_TEXT = {"type": "string", "uniqueItems": True}
_NUMBER = {"type": "integer", "uniqueItems": True}
_FLAG = {"type": "boolean", "uniqueItems": True}
WRITE_PARAMETERS: Mapping[str, Mapping[str, Any]] = {"dryRun": _TEXT, "fieldManager": _TEXT, "fieldValidation": _TEXT}
LIST_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "allowWatchBookmarks": _FLAG,
    "continue": _TEXT,
    "fieldSelector": _TEXT,
    "labelSelector": _TEXT,
    "limit": _NUMBER,
    "resourceVersion": _TEXT,
    "resourceVersionMatch": _TEXT,
    "sendInitialEvents": _FLAG,
    "timeoutSeconds": _NUMBER,
    "watch": _FLAG,
}
DELETE_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "dryRun": _TEXT,
    "gracePeriodSeconds": _NUMBER,
    "orphanDependents": _FLAG,
    "propagationPolicy": _TEXT,
}
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)

# verb → (HTTP method, action, parameters, whether it is an operation on the collection)
_VERBS: Mapping[str, tuple[str, str, Mapping[str, Mapping[str, Any]], bool]] = {
    "list": ("get", "list", LIST_PARAMETERS, True),
    "create": ("post", "post", WRITE_PARAMETERS, True),
    "deletecollection": ("delete", "deletecollection", {**LIST_PARAMETERS, **DELETE_PARAMETERS}, True),
    "get": ("get", "get", {}, False),
    "update": ("put", "put", WRITE_PARAMETERS, False),
    "patch": ("patch", "patch", {**WRITE_PARAMETERS, "force": _FLAG}, False),
    "delete": ("delete", "delete", DELETE_PARAMETERS, False),
}


class Operation:
    """One method of one path, free of either version's form."""

    __slots__ = ("action", "has_body", "id", "is_list", "method", "parameters", "resource")

    def __init__(
        self, resource: Resource, verb: str, *, method: str, action: str, parameters: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.resource = resource
        self.method = method
        self.action = action
        self.parameters = parameters
        self.has_body = verb in {"create", "update", "patch"}
        self.is_list = verb == "list"
        scope = "Namespaced" if resource.namespaced else ""
        group = resource.group.partition(".")[0].capitalize() or "Core"
        self.id = f"{verb}{group}{resource.version.upper()}{scope}{resource.kind}"


def operations(resources: Sequence[Resource]) -> dict[str, list[Operation]]:
    """Return path → operations, with `{namespace}` and `{name}` in the paths."""
    found: dict[str, list[Operation]] = {}
    for resource in resources:
        collection = resource.path("{namespace}")
        single = resource.path("{namespace}", "{name}")
        for verb in resource.verbs:
            if verb not in _VERBS:
                continue
            method, action, parameters, is_collection = _VERBS[verb]
            operation = Operation(resource, verb, method=method, action=action, parameters=parameters)
            found.setdefault(collection if is_collection else single, []).append(operation)
        if resource.namespaced and "list" in resource.verbs:
            method, action, parameters, _ = _VERBS["list"]
            everywhere = Operation(resource, "list", method=method, action=action, parameters=parameters)
            everywhere.id += "ForAllNamespaces"
            found.setdefault(resource.path(), []).append(everywhere)
    return found


def path_parameters(path: str) -> list[str]:
    """Return the names in braces, in order."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
