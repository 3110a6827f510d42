"""GET on a kind: one object, a list, a watch.

Upstream: apiserver `endpoints/handlers/get.go`, `watch.go`. What a resourceVersion means is the storage's business.
"""

from typing import Any

from pinnace.apiserver.endpoints.options import ListOptions, bad_version_message, list_options, parse_version
from pinnace.apiserver.endpoints.present import present, present_page
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.storage import Page
from pinnace.component.http import Response
from pinnace.machinery.errors import BadRequest
from pinnace.machinery.numbers import parse_uint

# Objects in a list from which on rendering it takes long enough to be done in turns.
WIDE_OBJECTS = 500


async def get(scope: Scope) -> Response:
    """Answer with one object."""
    storage = scope.registry.storage
    if scope.request.query:
        wanted = parse_version(scope.request.param("resourceVersion"))
        if wanted:
            await storage.wait_fresh(wanted)
    entry = storage.get(scope.info.name, scope.info.namespace)
    if entry is None:
        raise scope.registry.not_found(scope.info.name)
    return present(scope, entry)


async def list_(scope: Scope) -> Response:
    """Answer with a list or a page of one."""
    options = list_options(scope.request, scope.convert_label, watch=False)
    page = await list_page(scope, options)
    if len(page.entries) < WIDE_OBJECTS:
        return present_page(scope, page)
    async with scope.services.turns.turn():
        return present_page(scope, page)


async def list_page(scope: Scope, options: ListOptions) -> Page[Any]:
    """Read what a list selects."""
    version = options.resource_version
    if version and not options.continue_:
        try:
            parse_uint(version)
        except ValueError as error:
            raise BadRequest(bad_version_message(version, error)) from error
    return await scope.registry.storage.list(
        scope.info.namespace,
        labels=options.labels,
        fields=options.fields,
        limit=options.limit,
        continue_=options.continue_,
        resource_version=version,
        match=options.match,
    )
