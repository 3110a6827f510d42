"""One object or a page of objects, in the form the client asked for.

An object that is wanted as it is leaves as the bytes the storage keeps; only transforms and small print cost more. Upstream:
apiserver `endpoints/handlers/response.go`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from pinnace.api import codec
from pinnace.apiserver.endpoints.responses import respond, tree_bytes
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.table import META, check_include, partial, table
from pinnace.apiserver.registry.store import Shown
from pinnace.apiserver.storage import Page
from pinnace.component.http import Response
from pinnace.machinery.errors import NotAcceptable


def present(scope: Scope, shown: Shown[Any], *, status: int = 200) -> Response:
    """Answer with one object."""
    output = scope.output
    body = tree_bytes(_transformed(scope, shown.object)) if output.transform else scope.registry.shown(shown).body
    return respond(scope.request, body, output, status=status, warnings=scope.warnings)


def _internal_name(scope: Scope, suffix: str = "") -> str:
    package = scope.resource.group.partition(".")[0] or "core"
    return f"*{package}.{scope.kind}{suffix}"


def _transformed(scope: Scope, obj: Struct) -> Any:
    output = scope.output
    if output.transform == "Table":
        include = scope.request.param("includeObject")
        check_include(include)
        meta: dict[str, Any] = {}
        version: str = obj.metadata.resource_version  # type: ignore[attr-defined]
        if version:
            meta["resourceVersion"] = version
        return table(
            scope.registry,
            (obj,),
            meta,
            now=scope.services.clock.time(),
            include=include,
            version=output.transform_version,
        )
    if output.transform == "PartialObjectMetadataList":
        raise NotAcceptable(
            f"you requested PartialObjectMetadataList, but the requested object is not a list ({_internal_name(scope)})"
        )
    return partial(obj, output.transform_version, scope.registry.strategy)


def list_meta(page: Page[Any]) -> dict[str, Any]:
    """Return the metadata of a list."""
    meta: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.continue_:
        meta["continue"] = page.continue_
    if page.remaining:
        meta["remainingItemCount"] = page.remaining
    return meta


def present_page(scope: Scope, page: Page[Any]) -> Response:
    """Answer with a page of a list."""
    if not scope.output.transform:
        return _plain_list(scope, list_meta(page), _items(scope, page))
    return _transformed_list(scope, list_meta(page), [entry.object for entry in page.entries])


def present_objects(scope: Scope, objects: Sequence[Struct]) -> Response:
    """Answer with a list of objects that are not stored."""
    if scope.output.transform:
        return _transformed_list(scope, {}, objects)
    return _plain_list(scope, {}, map(codec.encode, objects))


def _plain_list(scope: Scope, meta: dict[str, Any], items: Iterable[bytes]) -> Response:
    body = list_bytes(scope.resource.kind, scope.resource.api_version, tree_bytes(meta), items)
    return respond(scope.request, body, scope.output, warnings=scope.warnings)


def _transformed_list(scope: Scope, meta: dict[str, Any], objects: Sequence[Struct]) -> Response:
    output = scope.output
    if output.transform == "Table":
        include = scope.request.param("includeObject")
        check_include(include)
        tree: Any = table(
            scope.registry,
            objects,
            meta,
            now=scope.services.clock.time(),
            include=include,
            version=output.transform_version,
        )
    elif output.transform == "PartialObjectMetadata":
        name = _internal_name(scope, "List")
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({name})")
    else:
        tree = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": META + output.transform_version,
            "metadata": meta,
            # Upstream's list has no items at all where there are none.
            "items": [partial(obj, output.transform_version, scope.registry.strategy) for obj in objects] or None,
        }
    return respond(scope.request, tree_bytes(tree), output, warnings=scope.warnings)


def _items(scope: Scope, page: Page[Any]) -> Iterable[bytes]:
    if scope.registry.version is None:
        return (entry.item for entry in page.entries)
    return map(scope.registry.item, page.entries)


def list_bytes(kind: str, api_version: str, meta: bytes, items: Iterable[bytes]) -> bytes:
    """Join encoded items, which have neither kind nor apiVersion, into an encoded list."""
    head = f'{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":'.encode()
    return b"".join((head, meta, b',"items":[', b",".join(items), b"]}"))
