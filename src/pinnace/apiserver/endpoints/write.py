"""POST, PUT and DELETE on a kind: from the request to the registry and back.

Upstream: apiserver `endpoints/handlers/{create,update,delete}.go`.
"""

from functools import partial
from typing import Any

from msgspec.structs import replace

from pinnace.api.meta_v1 import DeleteOptions, ObjectMeta
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints.negotiation import input_type
from pinnace.apiserver.endpoints.options import (
    check_delete_options,
    delete_options_from_query,
    list_options,
    write_options,
)
from pinnace.apiserver.endpoints.present import present, present_page
from pinnace.apiserver.endpoints.read import list_page
from pinnace.apiserver.endpoints.responses import respond, success
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.registry import deletion
from pinnace.apiserver.registry.store import Written
from pinnace.apiserver.storage import Entry
from pinnace.component.http import Response
from pinnace.machinery.errors import ApiError, BadRequest

NAMESPACE_MISMATCH = "the namespace of the provided object does not match the namespace sent on the request"


def check_namespace(scope: Scope, obj: Any) -> Any:
    """Return the object with the path's namespace; one in the body must be the same."""
    meta: ObjectMeta = obj.metadata
    wanted = scope.info.namespace if scope.resource.namespaced else ""
    if meta.namespace == wanted:
        return obj
    if meta.namespace and scope.resource.namespaced:
        raise BadRequest(NAMESPACE_MISMATCH)
    return replace(obj, metadata=replace(meta, namespace=wanted or meta.namespace)) if wanted else obj


def check_name(scope: Scope, obj: Any) -> None:
    """Compare the name in the body with the path's."""
    name: str = obj.metadata.name
    if not name:
        raise BadRequest(
            f"the name of the object ({scope.info.name} based on URL) was undeterminable: name must be provided"
        )
    if name != scope.info.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({scope.info.name})")


async def create(scope: Scope) -> Response:
    """Answer a POST to a collection."""
    options = write_options(scope.request, "CreateOptions")
    obj = await bodies.read_object(
        scope, scope.resource.type, scope.resource.api_version, validation=options.field_validation
    )
    obj = await scope.compute(partial(scope.registry.sent, check_namespace(scope, obj)))
    call = scope.call("CREATE", dry_run=options.dry_run, options=options)
    scope.manage(call, options)
    return _written(scope, await scope.registry.create(call, obj))


async def update(scope: Scope) -> Response:
    """Answer a PUT to an object or to a subresource that is a part of it."""
    options = write_options(scope.request, "UpdateOptions")
    obj = await bodies.read_object(
        scope, scope.resource.type, scope.resource.api_version, validation=options.field_validation
    )
    check_name(scope, obj)
    obj = await scope.compute(partial(scope.registry.sent, check_namespace(scope, obj)))
    call = scope.call("UPDATE", dry_run=options.dry_run, options=options)
    call.uid_is_precondition = True
    scope.manage(call, options)

    async def build(entry: Entry[Any]) -> Any:  # noqa: ARG001
        return obj

    async def create_instead() -> Any:
        await scope.services.require(scope, "create")
        call.admit = scope.services.admit(scope, "CREATE", dry_run=options.dry_run, options=options)
        return obj

    may_create = scope.registry.strategy.allow_create_on_update and not scope.info.subresource
    written = await scope.registry.update(
        call,
        scope.info.name,
        scope.info.namespace,
        build,
        subresource=scope.info.subresource,
        create=create_instead if may_create else None,
    )
    return _written(scope, written)


def _written(scope: Scope, written: Written[Any]) -> Response:
    return present(scope, written, status=201 if written.created else 200)


async def _delete_options(scope: Scope) -> DeleteOptions:
    data = await bodies.read(scope.request)
    if not data:
        options = delete_options_from_query(scope.request)
    else:
        media = input_type(scope.request)
        scope.cost_bytes = bodies.cost_of(data, media)
        options = await scope.compute(partial(bodies.decode_options, data, media))
    check_delete_options(options)
    warning = scope.registry.strategy.propagation_warning
    if warning and options.propagation_policy is None and options.orphan_dependents is None:
        scope.warnings.append(warning)
    return options


async def delete(scope: Scope) -> Response:
    """Answer a DELETE of an object."""
    options = await _delete_options(scope)
    registry = scope.registry
    call = scope.call("DELETE", dry_run=bool(options.dry_run), options=options)
    written = await deletion.delete(registry, call, scope.info.name, scope.info.namespace, options)
    status = 202 if options.orphan_dependents is False and not written.deleted else 200
    if not written.deleted or registry.strategy.delete_returns_object:
        return present(scope, written, status=status)
    meta: ObjectMeta = written.object.metadata
    details = {"name": meta.name}
    if registry.resource.group:
        details["group"] = registry.resource.group
    details |= {"kind": registry.resource.plural, "uid": meta.uid}
    return respond(scope.request, success(details=details), scope.output, status=status, warnings=scope.warnings)


async def delete_collection(scope: Scope) -> Response:
    """Answer a DELETE of a collection: every object that the selectors let through, one by one."""
    options = await _delete_options(scope)
    selection = list_options(scope.request, scope.convert_label, watch=False)
    page = await list_page(scope, selection)
    for entry in page.entries:
        call = scope.call("DELETE", dry_run=bool(options.dry_run), options=options)
        try:
            await deletion.delete(scope.registry, call, entry.name, entry.namespace, options)
        except ApiError as error:
            if error.code != 404:  # somebody else's delete came first, which is as good
                raise
    return present_page(scope, page)
