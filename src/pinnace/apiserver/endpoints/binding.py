"""The binding of a pod to its node: what the scheduler writes.

Upstream: pkg/registry/core/pod/storage (BindingREST), pkg/apis/core/validation (ValidatePodBinding).
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Binding, Pod, PodCondition
from pinnace.apiserver.endpoints.responses import respond, success
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.registry.store import Registry
from pinnace.apiserver.storage import Entry
from pinnace.component.http import Response
from pinnace.machinery import errors, timestamps
from pinnace.machinery.errors import ApiError, BadRequest


def _check(binding: Binding, name: str) -> None:
    if binding.metadata.name and binding.metadata.name != name:
        raise BadRequest("name in URL does not match name in Binding object")
    target = binding.target
    # Upstream returns the bare validation error, which has no reason and so becomes a 500.
    if target.kind not in {"", "Node"}:
        raise ApiError(
            500, "", f'target.kind: Unsupported value: "{target.kind}": supported values: "Node", "<empty>"', None
        )
    if not target.name:
        raise ApiError(500, "", "target.name: Required value", None)


async def bind(scope: Scope, pods: Registry[Any], name: str, binding: Binding, *, dry_run: bool) -> Response:
    """Assign a pod to a node, once and for all.

    Raises:
        ApiError: the pod is not there, is bound, gated or going away.
    """
    _check(binding, name)
    call = scope.call("CREATE", dry_run=dry_run)
    admitted: Binding = await call.admit.mutate(binding, None)
    await call.admit.validate(admitted, None)
    while True:
        entry = pods.storage.get(name, scope.info.namespace)
        if entry is None:
            raise pods.not_found(name)
        bound = _bound(entry, admitted, scope.services.clock.time())
        if dry_run or await pods.replace(entry, bound):
            return respond(scope.request, success(201), scope.output, status=201, warnings=scope.warnings)


def _bound(entry: Entry[Pod], binding: Binding, now: float) -> Pod:
    pod = entry.object
    meta = pod.metadata
    if binding.metadata.uid and binding.metadata.uid != meta.uid:
        raise _refused(
            meta.name,
            f"Precondition failed: UID in precondition: {binding.metadata.uid}, UID in object meta: {meta.uid}",
        )
    if meta.deletion_timestamp is not None:
        raise _refused(meta.name, f"pod {meta.name} is being deleted, cannot be assigned to a host")
    if pod.spec.node_name:
        raise _refused(meta.name, f'pod {meta.name} is already assigned to node "{pod.spec.node_name}"')
    if pod.spec.scheduling_gates:
        raise _refused(meta.name, f"pod {meta.name} has non-empty .spec.schedulingGates")
    annotations = {**meta.annotations, **binding.metadata.annotations}
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=timestamps.format(now))
    previous = next((one for one in pod.status.conditions if one.type == "PodScheduled"), None)
    if previous is None:
        conditions = (*pod.status.conditions, scheduled)
    else:
        conditions = tuple(scheduled if one is previous else one for one in pod.status.conditions)
    return replace(
        pod,
        metadata=replace(meta, labels={**meta.labels, **binding.metadata.labels}, annotations=annotations),
        spec=replace(pod.spec, node_name=binding.target.name),
        status=replace(pod.status, conditions=conditions),
    )


def _refused(name: str, message: str) -> ApiError:
    return errors.conflict("", "pods/binding", name, message)
