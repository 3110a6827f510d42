"""Subresources that are no part of their object but an action on it: binding, eviction.

Log, exec, attach, port-forward and proxy are in `streaming/`, scale in `scale.py`, tokens in `tokens.py`.
"""

from typing import Any

from pinnace.api import resources
from pinnace.api.core_v1 import Binding, Pod
from pinnace.api.policy_v1 import Eviction
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints.binding import bind
from pinnace.apiserver.endpoints.eviction import evict
from pinnace.apiserver.endpoints.options import write_options
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.write import check_namespace
from pinnace.apiserver.registry.store import Registry
from pinnace.component.http import Response


def _pods(scope: Scope) -> Registry[Any]:
    return scope.services.registry(resources.by_type(Pod))


async def pod_binding(scope: Scope) -> Response:
    """Answer a POST to a pod's binding."""
    options = write_options(scope.request, "CreateOptions")
    binding = await bodies.read_object(scope, Binding, "v1", validation=options.field_validation)
    check_namespace(scope, binding)
    return await bind(scope, _pods(scope), scope.info.name, binding, dry_run=options.dry_run)


async def create_binding(scope: Scope) -> Response:
    """Answer a POST to the old collection of bindings, where the body names the pod."""
    options = write_options(scope.request, "CreateOptions")
    binding = await bodies.read_object(scope, Binding, "v1", validation=options.field_validation)
    check_namespace(scope, binding)
    return await bind(scope, _pods(scope), binding.metadata.name, binding, dry_run=options.dry_run)


async def pod_eviction(scope: Scope) -> Response:
    """Answer a POST to a pod's eviction."""
    options = write_options(scope.request, "CreateOptions")
    eviction = await bodies.read_object(scope, Eviction, "policy/v1", validation=options.field_validation)
    check_namespace(scope, eviction)
    return await evict(scope, _pods(scope), scope.info.name, eviction, dry_run=options.dry_run)
