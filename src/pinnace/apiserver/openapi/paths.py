"""The operations of an API server, free of either version of OpenAPI.

Identifiers are upstream's to the letter: client generators make method names of them (`readCoreV1NamespacedPod`). kubectl finds in
the parameters whether the server checks fields and takes dry runs. Upstream: apiserver `endpoints/installer.go` (routes and their
names), `endpoints/openapi/openapi.go` (identifiers and tags).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.resources import Resource, Subresource
from pinnace.apiserver.openapi import parameters
from pinnace.apiserver.openapi.parameters import Parameter
from pinnace.apiserver.registry.strategy import DEFAULT
from pinnace.apiserver.registry.table import STRATEGIES

PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
STATUS, PATCH, DELETE_OPTIONS, WATCH_EVENT = (
    f"{_META}.{name}" for name in ("Status", "Patch", "DeleteOptions", "WatchEvent")
)
# An answer that is text, not an object.
TEXT = "string"
_GET_METHODS, _STREAM_METHODS = ("get",), ("get", "post")
_PROXY_METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
_WATCH_ADVICE = "deprecated: use the 'watch' parameter with a list operation instead"


class Kind(Struct, frozen=True):
    """The kind that a body or an answer has; the schema's name is looked up by it."""

    group: str
    version: str
    kind: str


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. `body` and `answer` are a kind, or the name of a schema; no body is None."""

    path: str
    method: str
    id: str
    description: str
    tag: str
    action: str = ""
    kind: Kind | None = None
    parameters: tuple[Parameter, ...] = ()
    body: Kind | str | None = None
    body_required: bool = True
    answer: Kind | str = STATUS
    codes: tuple[int, ...] = (200,)


class PathItem(Struct, frozen=True):
    """One path. Parameters that all of its methods take stand with it, and no longer with them."""

    path: str
    shared: tuple[Parameter, ...]
    operations: tuple[Operation, ...]


def path_items(operations: Iterable[Operation]) -> Iterator[PathItem]:
    """Put operations together by path, in order of the paths."""
    found: dict[str, list[Operation]] = defaultdict(list)
    for one in operations:
        found[one.path].append(one)
    for path in sorted(found):
        keys = set.intersection(*(set(map(_key, one.parameters)) for one in found[path]))
        shared = tuple(sorted((one for one in found[path][0].parameters if _key(one) in keys), key=_key))
        own = (
            replace(one, parameters=tuple(mine for mine in one.parameters if _key(mine) not in keys))
            for one in found[path]
        )
        yield PathItem(path, shared, tuple(own))


def _key(parameter: Parameter) -> tuple[str, bool]:
    return parameter.name, not parameter.in_path


def operations(resources: Sequence[Resource]) -> Iterator[Operation]:
    """Return the operations on resources, with `{namespace}` and `{name}` in their paths."""
    for resource in resources:
        yield from _Described(resource).operations()


def camel(group: str) -> str:
    """Return a group as identifiers and tags have it: `rbacAuthorization` of `rbac.authorization.k8s.io`."""
    first, *rest = (group.removesuffix(".k8s.io") or "core").split(".")
    return first + "".join(part.capitalize() for part in rest)


class _Described:
    """One resource's operations."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._tag = f"{camel(resource.group)}_{resource.version}"
        name = camel(resource.group)
        # What every identifier has between its verb and its kind.
        self._place = name[0].upper() + name[1:] + resource.version.upper()
        self._scope = "Namespaced" if resource.namespaced else ""
        self._kind = Kind(resource.group, resource.version, resource.kind)
        self._list = Kind(resource.group, resource.version, f"{resource.kind}List")
        self._namespace = (parameters.NAMESPACE,) if resource.namespaced else ()
        self._name = (*self._namespace, parameters.name_of(resource.kind))
        self._collection = resource.path("{namespace}")
        self._single = resource.path("{namespace}", "{name}")

    def operations(self) -> Iterator[Operation]:
        verbs = self._resource.verbs
        if "list" in verbs:
            yield from self._lists()
        if "create" in verbs:
            yield self._create()
        if "deletecollection" in verbs:
            yield self._delete_collection()
        yield from self._on_one(verbs)
        if "watch" in verbs:
            yield from self._watches()
        for part in self._resource.subresources:
            yield from self._on_part(part)

    def _id(self, verb: str, suffix: str = "", *, before: str = "") -> str:
        return f"{verb}{self._place}{before}{self._scope}{self._resource.kind}{suffix}"

    def _operation(
        self,
        path: str,
        method: str,
        identifier: str,
        description: str,
        action: str,
        own: tuple[Parameter, ...],
        *,
        kind: Kind | None = None,
        body: Kind | str | None = None,
        body_required: bool = True,
        answer: Kind | str = STATUS,
        codes: tuple[int, ...] = (200,),
    ) -> Operation:
        return Operation(
            path=path,
            method=method,
            id=identifier,
            description=description,
            tag=self._tag,
            action=action,
            kind=kind or self._kind,
            parameters=own,
            body=body,
            body_required=body_required,
            answer=answer,
            codes=codes,
        )

    def _lists(self) -> Iterator[Operation]:
        text = f"list or watch objects of kind {self._resource.kind}"
        query = (*parameters.LIST, parameters.PRETTY)
        own = (*self._namespace, *query)
        yield self._operation(self._collection, "get", self._id("list"), text, "list", own, answer=self._list)
        if self._resource.namespaced:
            identifier = f"list{self._place}{self._resource.kind}ForAllNamespaces"
            yield self._operation(self._resource.path(), "get", identifier, text, "list", query, answer=self._list)

    def _create(self) -> Operation:
        own = (*self._namespace, *parameters.WRITE, parameters.PRETTY)
        text = f"create {_article(self._resource.kind)} {self._resource.kind}"
        codes = (200, 201, 202)
        return self._operation(
            self._collection,
            "post",
            self._id("create"),
            text,
            "post",
            own,
            body=self._kind,
            answer=self._kind,
            codes=codes,
        )

    def _delete_collection(self) -> Operation:
        own = (*self._namespace, *_merged(parameters.LIST[1:], parameters.DELETE), parameters.PRETTY)
        text = f"delete collection of {self._resource.kind}"
        identifier = self._id("delete", before="Collection")
        return self._operation(
            self._collection,
            "delete",
            identifier,
            text,
            "deletecollection",
            own,
            body=DELETE_OPTIONS,
            body_required=False,
        )

    def _on_one(self, verbs: Sequence[str]) -> Iterator[Operation]:
        kind, path = self._resource.kind, self._single
        if "get" in verbs:
            own = (*self._name, parameters.PRETTY)
            yield self._operation(
                path, "get", self._id("read"), f"read the specified {kind}", "get", own, answer=self._kind
            )
        if "update" in verbs:
            yield self._replace(path, self._id("replace"), f"replace the specified {kind}", self._kind)
        if "patch" in verbs:
            yield self._patch(path, self._id("patch"), f"partially update the specified {kind}", self._kind)
        if "delete" in verbs:
            strategy = STRATEGIES.get((self._resource.group, self._resource.plural), DEFAULT)
            answer: Kind | str = self._kind if strategy.delete_returns_object else STATUS
            own = (*self._name, *parameters.DELETE, parameters.PRETTY)
            text = f"delete {_article(kind)} {kind}"
            yield self._operation(
                path,
                "delete",
                self._id("delete"),
                text,
                "delete",
                own,
                body=DELETE_OPTIONS,
                body_required=False,
                answer=answer,
                codes=(200, 202),
            )

    def _replace(self, path: str, identifier: str, text: str, kind: Kind) -> Operation:
        own = (*self._name, *parameters.WRITE, parameters.PRETTY)
        return self._operation(
            path, "put", identifier, text, "put", own, kind=kind, body=kind, answer=kind, codes=(200, 201)
        )

    def _patch(self, path: str, identifier: str, text: str, kind: Kind) -> Operation:
        own = (*self._name, *parameters.WRITE, parameters.FORCE, parameters.PRETTY)
        return self._operation(
            path, "patch", identifier, text, "patch", own, kind=kind, body=PATCH, answer=kind, codes=(200, 201)
        )

    def _watches(self) -> Iterator[Operation]:
        """The paths under /watch/, which only old clients use."""
        kind, query = self._resource.kind, (*parameters.LIST, parameters.PRETTY)
        text = f"watch individual changes to a list of {kind}. {_WATCH_ADVICE}."
        places = [(self._collection, self._id("watch", "List"), self._namespace)]
        if self._resource.namespaced:
            places.append((self._resource.path(), f"watch{self._place}{kind}ListForAllNamespaces", ()))
        for path, identifier, own in places:
            yield self._operation(
                self._watched(path), "get", identifier, text, "watchlist", (*own, *query), answer=WATCH_EVENT
            )
        text = (
            f"watch changes to an object of kind {kind}. {_WATCH_ADVICE}, "
            "filtered to a single item with the 'fieldSelector' parameter."
        )
        own = (*self._name, *query)
        path = self._watched(self._single)
        yield self._operation(path, "get", self._id("watch"), text, "watch", own, answer=WATCH_EVENT)

    def _watched(self, path: str) -> str:
        version = f"/{self._resource.api_version}/"
        before, _, after = path.partition(version)
        return f"{before}{version}watch/{after}"

    def _on_part(self, part: Subresource) -> Iterator[Operation]:
        if part.name in parameters.CONNECT:
            yield from self._connects(part)
            return
        path = f"{self._single}/{part.name}"
        suffix = part.name.capitalize()
        owner, word = self._resource.kind, part.name
        group = self._resource.group if part.group is None else part.group
        kind = Kind(group, part.version or self._resource.version, part.kind)
        if word == "log":
            own = (*self._name, *parameters.LOG, parameters.PRETTY)
            text = f"read log of the specified {owner}"
            yield self._operation(path, "get", self._id("read", suffix), text, "get", own, answer=TEXT)
            return
        if "get" in part.verbs:
            own = (*self._name, parameters.PRETTY)
            text = f"read {word} of the specified {owner}"
            yield self._operation(path, "get", self._id("read", suffix), text, "get", own, kind=kind, answer=kind)
        if "create" in part.verbs:
            own = (*self._name, *parameters.WRITE, parameters.PRETTY)
            text, codes = f"create {word} of {_article(owner)} {owner}", (200, 201, 202)
            yield self._operation(
                path,
                "post",
                self._id("create", suffix),
                text,
                "post",
                own,
                kind=kind,
                body=kind,
                answer=kind,
                codes=codes,
            )
        if "update" in part.verbs:
            yield self._replace(path, self._id("replace", suffix), f"replace {word} of the specified {owner}", kind)
        if "patch" in part.verbs:
            yield self._patch(
                path, self._id("patch", suffix), f"partially update {word} of the specified {owner}", kind
            )

    def _connects(self, part: Subresource) -> Iterator[Operation]:
        kind = Kind(self._resource.group, self._resource.version, part.kind)
        path, suffix = f"{self._single}/{part.name}", part.name.capitalize()
        own = (*self._name, *parameters.CONNECT[part.name])
        methods = _PROXY_METHODS if part.name == "proxy" else _STREAM_METHODS
        for method in methods:
            text = f"connect {method.upper()} requests to {part.name} of {self._resource.kind}"
            identifier = f"connect{self._place}{method.capitalize()}{self._scope}{self._resource.kind}{suffix}"
            yield self._operation(path, method, identifier, text, "connect", own, kind=kind, answer=TEXT)
            if part.name == "proxy":
                deeper = (*own, parameters.PATH)
                identifier += "WithPath"
                yield self._operation(
                    f"{path}/{{path}}", method, identifier, text, "connect", deeper, kind=kind, answer=TEXT
                )


def _article(kind: str) -> str:
    return "an" if kind[0] in "AEIOU" else "a"


def _merged(*groups: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Return parameters of several groups by name, without those that make no sense for a deletion."""
    found = {one.name: one for group in groups for one in group}
    found.pop("watch", None)
    return tuple(found[name] for name in sorted(found))


def discovery_operations(resources: Sequence[Resource]) -> Iterator[Operation]:
    """Return the operations of discovery, and of the few paths beside the API that generators know."""
    versions = {(resource.group, resource.version): None for resource in resources}
    groups = dict.fromkeys(group for group, _ in versions)
    for group in groups:
        name = camel(group)
        upper = name[0].upper() + name[1:]
        if group:
            yield _read(f"/apis/{group}/", f"get{upper}APIGroup", "get information of a group", name, "APIGroup")
        else:
            yield _read("/api/", "getCoreAPIVersions", "get available API versions", "core", "APIVersions")
    for group, version in versions:
        name = camel(group)
        path = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
        identifier = f"get{name[0].upper()}{name[1:]}{version.upper()}APIResources"
        yield _read(path, identifier, "get available resources", f"{name}_{version}", "APIResourceList")
    yield _read("/apis/", "getAPIVersions", "get available API versions", "apis", "APIGroupList")
    version_info = "io.k8s.apimachinery.pkg.version.Info"
    yield _plain("/version/", "getCodeVersion", "get the version information for this server", "version", version_info)
    words = "get service account issuer OpenID"
    name = "getServiceAccountIssuerOpenID"
    yield _plain(
        "/.well-known/openid-configuration/", f"{name}Configuration", f"{words} configuration", "WellKnown", TEXT
    )
    yield _plain(
        "/openid/v1/jwks/",
        f"{name}Keyset",
        f"{words} JSON Web Key Set (contains public token verification keys)",
        "openid",
        TEXT,
    )


def _read(path: str, identifier: str, text: str, tag: str, kind: str) -> Operation:
    return _plain(path, identifier, text, tag, f"{_META}.{kind}")


def _plain(path: str, identifier: str, text: str, tag: str, answer: str) -> Operation:
    return Operation(path=path, method="get", id=identifier, description=text, tag=tag, answer=answer)
