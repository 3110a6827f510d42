"""Eviction: a delete that asks the pod's disruption budget first.

Upstream: pkg/registry/core/pod/storage/eviction.go. A pod that has not started or is done needs no budget; of the rest, one
budget may cover it and must allow one more disruption, which is taken before the pod is deleted.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Pod, PodCondition
from pinnace.api.meta_v1 import DeleteOptions, Preconditions
from pinnace.api.policy_v1 import Eviction, PodDisruptionBudget
from pinnace.apiserver.endpoints.options import check_delete_options
from pinnace.apiserver.endpoints.responses import respond, success
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.registry import deletion
from pinnace.apiserver.registry.store import Registry
from pinnace.component.http import Response
from pinnace.machinery import selectors, timestamps
from pinnace.machinery.errors import ApiError, BadRequest, Cause, Details, TooManyRequests

_BLOCKED = "Cannot evict pod as it would violate the pod's disruption budget."
# Seconds after which a client should ask again when the budget's status is behind its spec.
_LAGGING_RETRY_SECONDS = 10


async def evict(scope: Scope, pods: Registry[Any], name: str, eviction: Eviction, *, dry_run: bool) -> Response:
    """Delete a pod if its budget has room.

    Raises:
        ApiError: the pod is not there, or TooManyRequests when the budget has no room.
    """
    if eviction.metadata.name and eviction.metadata.name != name:
        raise BadRequest("name in URL does not match name in Eviction object")
    options = eviction.delete_options or DeleteOptions()
    check_delete_options(options)
    dry_run = dry_run or bool(options.dry_run)
    call = scope.call("CREATE", dry_run=dry_run)
    await call.admit.mutate(eviction, None)
    await call.admit.validate(eviction, None)
    namespace = scope.info.namespace
    entry = pods.storage.get(name, namespace)
    if entry is None:
        raise pods.not_found(name)
    pod: Pod = entry.object
    if _needs_budget(pod):
        await _take_budget(scope, pod, dry_run=dry_run)
    if not dry_run:
        await _mark(scope, pods, name, namespace)
    wanted = options.preconditions or Preconditions()
    if not wanted.uid:
        wanted = replace(wanted, uid=pod.metadata.uid)
    await deletion.delete(
        pods, scope.call("DELETE", dry_run=dry_run), name, namespace, replace(options, preconditions=wanted)
    )
    return respond(scope.request, success(201), scope.output, status=201, warnings=scope.warnings)


def _needs_budget(pod: Pod) -> bool:
    return pod.status.phase not in {"Succeeded", "Failed", "Pending", ""} and pod.metadata.deletion_timestamp is None


def _is_ready(pod: Pod) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)


async def _take_budget(scope: Scope, pod: Pod, *, dry_run: bool) -> None:
    objects = scope.services.objects
    budgets = [
        budget
        for budget in await objects.list(PodDisruptionBudget, pod.metadata.namespace)
        if budget.spec.selector is not None
        and selectors.from_label_selector(budget.spec.selector).matches(pod.metadata.labels)
    ]
    if not budgets:
        return
    if len(budgets) > 1:
        raise ApiError(
            500,
            "",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            None,
        )
    budget = budgets[0]
    status = budget.status
    if not _is_ready(pod):
        healthy = status.current_healthy >= status.desired_healthy and status.desired_healthy > 0
        if budget.spec.unhealthy_pod_eviction_policy == "AlwaysAllow" or healthy:
            return
    if status.observed_generation < budget.metadata.generation:
        raise _refused(
            _BLOCKED,
            f"The disruption budget {budget.metadata.name} is still being processed by the server.",
            _LAGGING_RETRY_SECONDS,
        )
    if status.disruptions_allowed <= 0:
        raise _refused(
            _BLOCKED,
            f"The disruption budget {budget.metadata.name} needs {status.desired_healthy} healthy pods and has "
            f"{status.current_healthy} currently",
        )
    if dry_run:
        return
    now = timestamps.format(scope.services.clock.time())
    taken = replace(
        status,
        disruptions_allowed=status.disruptions_allowed - 1,
        disrupted_pods={**status.disrupted_pods, pod.metadata.name: now},
    )
    await objects.update(replace(budget, status=taken), "status")


def _refused(message: str, cause: str, retry_seconds: int = 0) -> ApiError:
    causes = (Cause("DisruptionBudget", cause),)
    return TooManyRequests(message, Details(causes=causes, retry_after_seconds=retry_seconds))


async def _mark(scope: Scope, pods: Registry[Any], name: str, namespace: str) -> None:
    """Say in the pod's conditions why it goes."""
    while True:
        entry = pods.storage.get(name, namespace)
        if entry is None:
            return
        pod: Pod = entry.object
        target = PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="EvictionByEvictionAPI",
            message="Eviction API: evicting",
            last_transition_time=timestamps.format(scope.services.clock.time()),
        )
        conditions = (*(one for one in pod.status.conditions if one.type != "DisruptionTarget"), target)
        if await pods.replace(entry, replace(pod, status=replace(pod.status, conditions=conditions))):
            return
