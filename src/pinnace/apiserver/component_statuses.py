"""How the parts of the control plane are, for the clients that still ask for `componentstatuses`.

Upstream knocks at the ports where scheduler and controller manager of the same machine would listen; here whoever composes the process
says how to ask its parts. A part that nobody composed is shown as one that does not answer, which is the truth. Upstream:
pkg/registry/core/componentstatus.
"""

from collections.abc import Iterable

from pinnace.api.core_v1 import ComponentCondition, ComponentStatus
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints.options import list_options
from pinnace.apiserver.endpoints.present import present, present_objects
from pinnace.apiserver.endpoints.router import Verb
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.registry.core.component_status import HEALTHY
from pinnace.apiserver.registry.store import Unstored
from pinnace.component.healthz import Check
from pinnace.component.http import Response
from pinnace.machinery.errors import ApiError

CONTROLLER_MANAGER, SCHEDULER, STORE = "controller-manager", "scheduler", "etcd-0"


def component_statuses(checks: Iterable[Check]) -> Verb:
    """Return what answers gets and lists; `checks` are the parts that run, by the names that upstream gives them."""
    known = {name: Check(name, _nobody) for name in (CONTROLLER_MANAGER, SCHEDULER)}
    known |= {check.name: check for check in checks}

    async def answer(scope: Scope) -> Response:
        if name := scope.info.name:
            if name not in known:
                raise ApiError(500, "", f"Component not found: {name}", None)
            return present(scope, Unstored(await _status(known[name], scope)))
        options = list_options(scope.request, scope.convert_label, watch=False)
        names = [name for name in sorted(known) if options.fields.matches({"metadata.name": name})]
        # None of them has labels.
        names = names if options.labels.matches({}) else []
        return present_objects(scope, [await _status(known[name], scope) for name in names])

    return answer


async def _status(check: Check, scope: Scope) -> ComponentStatus:
    reason = await check.failure()
    condition = ComponentCondition(
        type=HEALTHY, status="False" if reason else "True", message="" if reason else "ok", error=reason
    )
    single = bool(scope.info.name)
    return ComponentStatus(
        kind=scope.kind if single else "",
        api_version=scope.resource.api_version if single else "",
        metadata=ObjectMeta(name=check.name),
        conditions=(condition,),
    )


async def _nobody() -> str:
    return "does not run beside this API server"
