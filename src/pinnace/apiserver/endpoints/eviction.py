"""Eviction: a delete that asks the pod's disruption budget first.

A pod that has not started or is done needs no budget; of the rest, one budget may cover it and must allow one more disruption,
which is taken before the pod is deleted. What was concluded from a pod's state holds for that state alone: a pod that changes
before it is gone is looked at again, or its client is told to come back. Upstream: pkg/registry/core/pod/storage/eviction.go.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.core_v1 import Pod, PodCondition
from pinnace.api.meta_v1 import Condition, DeleteOptions, Preconditions
from pinnace.api.policy_v1 import Eviction, PodDisruptionBudget, PodDisruptionBudgetStatus
from pinnace.apiserver.endpoints.options import check_delete_options
from pinnace.apiserver.endpoints.responses import respond, success
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.registry import deletion
from pinnace.apiserver.registry.policy.pod_disruption_budget import ALWAYS_ALLOW
from pinnace.apiserver.registry.store import Registry
from pinnace.component.http import Response
from pinnace.machinery import errors, selectors, timestamps
from pinnace.machinery.errors import ApiError, BadRequest, Cause, Conflict, Details, TooManyRequests

# Evictions that a budget's controller has not seen yet, beyond which no more are granted.
DISRUPTED_PODS_LIMIT = 2000
# Seconds after which a client should ask again when the budget's status is behind.
_LAGGING_RETRY_SECONDS = 10
_BLOCKED = "Cannot evict pod as it would violate the pod's disruption budget."
_TWO_BUDGETS = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_ALLOWED, _SYNC_FAILED, _TOO_FEW = "DisruptionAllowed", "SyncFailed", "InsufficientPods"


class _Grant(Struct, frozen=True):
    """Leave for a pod to go: as it is now, if it was its state that spoke for it; `budget` is the one that was asked."""

    for_this_version: bool = False
    budget: str = ""


_AT_ONCE = _Grant()


async def evict(scope: Scope, pods: Registry[Any], name: str, eviction: Eviction, *, dry_run: bool) -> Response:
    """Delete a pod if its budget has room.

    Raises:
        ApiError: the pod is not there, or TooManyRequests when the budget has no room.
    """
    if eviction.metadata.name != name:
        raise BadRequest("name in URL does not match name in Eviction object")
    options = eviction.delete_options or DeleteOptions()
    check_delete_options(options)
    dry_run = dry_run or bool(options.dry_run)
    call = scope.call("CREATE", dry_run=dry_run)
    await call.admit.mutate(eviction, None)
    await call.admit.validate(eviction, None)
    await _Evicting(scope, pods, name, options, dry_run=dry_run).run()
    return respond(scope.request, success(201), scope.output, status=201, warnings=scope.warnings)


class _Evicting:
    """One eviction on its way."""

    def __init__(self, scope: Scope, pods: Registry[Any], name: str, options: DeleteOptions, *, dry_run: bool) -> None:
        self._scope = scope
        self._pods = pods
        self._name = name
        self._namespace = scope.info.namespace
        self._options = options
        self._wanted = options.preconditions or Preconditions()
        self._dry_run = dry_run

    async def run(self) -> None:
        """Evict the pod, asking again when it changed under a grant that its state had given."""
        while True:
            entry = self._pods.storage.get(self._name, self._namespace)
            if entry is None:
                raise self._pods.not_found(self._name)
            pod: Pod = entry.object
            grant = await self._ask(pod)
            try:
                await self._delete(pod, grant)
            except Conflict as error:
                if self._wanted.resource_version or not grant.for_this_version:
                    raise
                if grant.budget:
                    raise _behind(grant.budget) from error
                continue
            return

    # ── the budget ──

    async def _ask(self, pod: Pod) -> _Grant:
        """Return the leave to go.

        Raises:
            TooManyRequests, Forbidden: there is none.
        """
        if pod.status.phase in {"Succeeded", "Failed"} or pod.metadata.deletion_timestamp is not None:
            return _AT_ONCE
        if pod.status.phase in {"Pending", ""}:
            return _Grant(for_this_version=True)
        budgets = await self._budgets_of(pod)
        if not budgets:
            return _AT_ONCE
        if len(budgets) > 1:
            raise ApiError(500, "", _TWO_BUDGETS, None)
        (budget,) = budgets
        if not _is_ready(pod) and _spares_unready(budget):
            return _Grant(for_this_version=True, budget=budget.metadata.name)
        await self._take(budget)
        return _AT_ONCE

    async def _budgets_of(self, pod: Pod) -> Sequence[PodDisruptionBudget]:
        """Return the budgets that cover a pod: a selector without conditions covers all, no selector none."""
        return [
            budget
            for budget in await self._scope.services.objects.list(PodDisruptionBudget, self._namespace)
            if budget.spec.selector is not None
            and selectors.from_label_selector(budget.spec.selector).matches(pod.metadata.labels)
        ]

    async def _take(self, budget: PodDisruptionBudget) -> None:
        """Take one disruption from a budget, of whose newer versions the same is asked."""
        objects = self._scope.services.objects
        while True:
            _check_room(budget)
            if self._dry_run:
                return
            try:
                await objects.update(replace(budget, status=self._one_less(budget.status)), "status")
            except Conflict:
                newer = await objects.get(PodDisruptionBudget, budget.metadata.name, self._namespace)
                if newer is None:
                    raise errors.not_found("policy", "poddisruptionbudgets", budget.metadata.name) from None
                budget = newer
                continue
            return

    def _one_less(self, status: PodDisruptionBudgetStatus) -> PodDisruptionBudgetStatus:
        now = timestamps.format(self._scope.services.clock.time())
        allowed = status.disruptions_allowed - 1
        conditions = status.conditions if allowed else _with_none_allowed(status, now)
        return replace(
            status,
            disruptions_allowed=allowed,
            disrupted_pods={**status.disrupted_pods, self._name: now},
            conditions=conditions,
        )

    # ── the pod ──

    async def _delete(self, pod: Pod, grant: _Grant) -> None:
        """Delete the pod, if what the client and the grant say of it holds.

        Raises:
            Conflict: it does not.
        """
        wanted = self._wanted
        if not wanted.uid:
            wanted = replace(wanted, uid=pod.metadata.uid)
        if grant.for_this_version and not wanted.resource_version:
            wanted = replace(wanted, resource_version=pod.metadata.resource_version)
        if not self._dry_run:
            wanted = await self._mark(wanted)
        options = replace(self._options, preconditions=wanted)
        call = self._scope.call("DELETE", dry_run=self._dry_run)
        await deletion.delete(self._pods, call, self._name, self._namespace, options)

    async def _mark(self, wanted: Preconditions) -> Preconditions:
        """Say in the pod's conditions why it goes, and return the preconditions that hold after that."""
        target = PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="EvictionByEvictionAPI",
            message="Eviction API: evicting",
            last_transition_time=timestamps.format(self._scope.services.clock.time()),
        )
        while True:
            entry = self._pods.storage.get(self._name, self._namespace)
            if entry is None:
                raise self._pods.not_found(self._name)
            deletion.check_preconditions(self._pods, entry, wanted)
            pod: Pod = entry.object
            conditions = (*(one for one in pod.status.conditions if one.type != target.type), target)
            written = await self._pods.replace(entry, replace(pod, status=replace(pod.status, conditions=conditions)))
            if written is None:
                continue
            return replace(wanted, resource_version=str(written.revision)) if wanted.resource_version else wanted


def _is_ready(pod: Pod) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)


def _spares_unready(budget: PodDisruptionBudget) -> bool:
    """Tell whether pods that are not ready may go without a disruption being taken for them."""
    status = budget.status
    is_healthy = status.current_healthy >= status.desired_healthy > 0
    return budget.spec.unhealthy_pod_eviction_policy == ALWAYS_ALLOW or is_healthy


def _check_room(budget: PodDisruptionBudget) -> None:
    name, status = budget.metadata.name, budget.status
    if status.observed_generation < budget.metadata.generation:
        raise _behind(name)
    if status.disruptions_allowed < 0:
        raise _forbidden(name, "pdb disruptions allowed is negative")
    if len(status.disrupted_pods) > DISRUPTED_PODS_LIMIT:
        raise _forbidden(name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if status.disruptions_allowed == 0:
        raise _refused(_why_none(name, status))


def _why_none(name: str, status: PodDisruptionBudgetStatus) -> str:
    for one in status.conditions:
        if one.type == _ALLOWED and one.reason == _SYNC_FAILED:
            return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {one.message}"
    return f"The disruption budget {name} needs {status.desired_healthy} healthy pods and has {status.current_healthy} currently"


def _with_none_allowed(status: PodDisruptionBudgetStatus, now: str) -> tuple[Condition, ...]:
    """Return the conditions of a budget whose last disruption is taken."""
    known = next((one for one in status.conditions if one.type == _ALLOWED), None)
    before = known or Condition(type=_ALLOWED)
    condition = replace(
        before,
        status="False",
        reason=_TOO_FEW,
        message="",
        observed_generation=status.observed_generation,
        last_transition_time=before.last_transition_time if before.status == "False" else now,
    )
    if known is None:
        return (*status.conditions, condition)
    return tuple(condition if one is known else one for one in status.conditions)


def _behind(name: str) -> ApiError:
    return _refused(f"The disruption budget {name} is still being processed by the server.", _LAGGING_RETRY_SECONDS)


def _refused(cause: str, retry_seconds: int = 0) -> ApiError:
    causes = (Cause("DisruptionBudget", cause),)
    return TooManyRequests(_BLOCKED, Details(causes=causes, retry_after_seconds=retry_seconds))


def _forbidden(name: str, reason: str) -> ApiError:
    # Upstream names the resource in the singular here.
    return errors.forbidden("policy", "poddisruptionbudget", name, reason)
