"""Disruption: works out how many pods of a budget may be evicted now (pkg/controller/disruption).

Evictions count down the status that this writes, and are believed for two minutes: a pod that was granted one and is still there after
that did not go. Pods that carry the mark of a disruption which never came lose it (`StalePodDisruptionController`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import Deployment, ReplicaSet, StatefulSet
from pinnace.api.core_v1 import Pod, ReplicationController
from pinnace.api.meta_v1 import Condition, OwnerReference
from pinnace.api.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from pinnace.api.resources import by_kind
from pinnace.client import Client, InformerFactory, PatchType, SharedInformer
from pinnace.component.clock import Clock
from pinnace.controllers import conditions, pods
from pinnace.controllers.controller import Controller
from pinnace.controllers.disruption_target import DISRUPTION_TARGET
from pinnace.machinery import intstr, selectors, timestamps
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import controller_of, split_key

# Seconds for which an eviction is believed, and after which the mark of one that did not come is taken back.
DELETION_SECONDS, STALE_SECONDS = 120.0, 120.0
DISRUPTION_ALLOWED = "DisruptionAllowed"
# The kubelet's own mark may stand for as long as the pod takes to end.
_BY_KUBELET = "TerminationByKubelet"
_UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the PDB cannot "
    "be calculated correctly, which may result in undefined behavior. To account for these pods please set "
    '".spec.minAvailable" field of the PDB to an integer value.'
)


class UncountableError(Exception):
    """How many pods there should be cannot be known; the text says why."""


class DisruptionController(Controller):
    """Keeps the status of PodDisruptionBudgets."""

    name = "disruption-controller"
    component = "controllermanager"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._budgets = informers.informer(PodDisruptionBudget)
        self._pods = informers.informer(Pod)
        self._owners: dict[tuple[str, str], SharedInformer[Any]] = {
            ("apps", "Deployment"): informers.informer(Deployment),
            ("apps", "ReplicaSet"): informers.informer(ReplicaSet),
            ("apps", "StatefulSet"): informers.informer(StatefulSet),
            ("", "ReplicationController"): informers.informer(ReplicationController),
        }
        self._budgets.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._pods.add_handler(self._pod_seen, self._pod_changed, self._pod_seen)

    def _pod_seen(self, pod: Pod) -> None:
        for budget in self._budgets.cache.list(pod.metadata.namespace):
            if _covers(budget, pod):
                self.enqueue(budget)

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        self._pod_seen(new)
        if old.metadata.labels != new.metadata.labels:
            self._pod_seen(old)

    async def reconcile(self, key: str) -> float | None:
        budget: PodDisruptionBudget | None = self._budgets.cache.get(key)
        if budget is None:
            return None
        covered = [pod for pod in self._pods.cache.list(budget.metadata.namespace) if _covers(budget, pod)]
        if not covered:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            expected, desired, unmanaged = self._expected(budget, covered)
        except UncountableError as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            await self._write(budget, self._failed(budget, str(error)))
            raise
        if unmanaged:
            selector = selectors.format_label_selector(budget.spec.selector)
            self.recorder.event(budget, "Warning", "UnmanagedPods", _UNMANAGED.format(selector))
        disrupted, again = self._disrupted(budget, covered)
        healthy = sum(
            pods.is_ready(pod)
            for pod in covered
            if pod.metadata.deletion_timestamp is None and pod.metadata.name not in disrupted
        )
        allowed = max(healthy - desired, 0) if expected > 0 else 0
        status = replace(
            budget.status,
            observed_generation=budget.metadata.generation,
            disrupted_pods=disrupted,
            disruptions_allowed=allowed,
            current_healthy=healthy,
            desired_healthy=desired,
            expected_pods=expected,
        )
        reason = "SufficientPods" if allowed else "InsufficientPods"
        await self._write(
            budget, self._with_condition(status, budget.metadata.generation, reason, "", holds=allowed > 0)
        )
        return again

    # ── how many there should be ──

    def _expected(self, budget: PodDisruptionBudget, covered: Sequence[Pod]) -> tuple[int, int, int]:
        """Return how many pods there should be, how many of them healthy, and how many nobody answers for.

        Raises:
            UncountableError: a pod's controller has no scale.
        """
        spec = budget.spec
        if spec.max_unavailable is not None:
            expected, unmanaged = self._scale(covered)
            unavailable = intstr.scaled(spec.max_unavailable, expected, round_up=True)
            return expected, max(expected - unavailable, 0), unmanaged
        if spec.min_available is None:
            return 0, 0, 0
        if isinstance(spec.min_available, int):
            return len(covered), spec.min_available, 0
        expected, unmanaged = self._scale(covered)
        return expected, intstr.scaled(spec.min_available, expected, round_up=True), unmanaged

    def _scale(self, covered: Sequence[Pod]) -> tuple[int, int]:
        """Return the replicas that all controllers of pods are to have, each counted once, and the pods without one."""
        scales: dict[str, int] = {}
        unmanaged = 0
        for pod in covered:
            owner = controller_of(pod.metadata.owner_references)
            if owner is None:
                unmanaged += 1
                continue
            uid, replicas = self._scale_of(pod, owner)
            scales[uid] = replicas
        return sum(scales.values()), unmanaged

    def _scale_of(self, pod: Pod, owner: OwnerReference) -> tuple[str, int]:
        found = self._find(owner, pod.metadata.namespace)
        if found is None:
            raise UncountableError(_without_scale(owner, pod.metadata.name))
        above = controller_of(found.metadata.owner_references)
        if owner.kind == "ReplicaSet" and above is not None and above.kind == "Deployment":
            found = self._find(above, pod.metadata.namespace) or found
        replicas: int | None = found.spec.replicas
        return found.metadata.uid, 1 if replicas is None else replicas

    def _find(self, owner: OwnerReference, namespace: str) -> Any:
        """Return an object that has a scale, None when it is another kind or has gone."""
        informer = self._owners.get((_group(owner), owner.kind))
        found = informer.cache.get(f"{namespace}/{owner.name}") if informer is not None else None
        return found if found is not None and found.metadata.uid == owner.uid else None

    # ── what is written ──

    def _disrupted(self, budget: PodDisruptionBudget, covered: Sequence[Pod]) -> tuple[dict[str, str], float | None]:
        """Return the pods whose evictions are still believed, and the seconds until the first of them is not any more."""
        now = self.clock.time()
        kept: dict[str, str] = {}
        waits: list[float] = []
        for pod in covered:
            since = budget.status.disrupted_pods.get(pod.metadata.name)
            if since is None or pod.metadata.deletion_timestamp is not None:
                continue
            wait = timestamps.parse(since) + DELETION_SECONDS - now
            if wait <= 0.0:
                of = f"{budget.metadata.namespace}/{budget.metadata.name}"
                message = f"Pod was expected by PDB {of} to be deleted but it wasn't"
                self.recorder.event(pod, "Warning", "NotDeleted", message)
                continue
            kept[pod.metadata.name] = since
            waits.append(wait)
        return kept, min(waits, default=None)

    def _failed(self, budget: PodDisruptionBudget, message: str) -> PodDisruptionBudgetStatus:
        """Return the status that grants nothing, since nothing is known."""
        status = replace(budget.status, disruptions_allowed=0)
        return self._with_condition(status, budget.metadata.generation, "SyncFailed", message, holds=False)

    def _with_condition(
        self, status: PodDisruptionBudgetStatus, generation: int, reason: str, message: str, *, holds: bool
    ) -> PodDisruptionBudgetStatus:
        made = Condition(
            type=DISRUPTION_ALLOWED,
            status="True" if holds else "False",
            observed_generation=generation,
            last_transition_time=timestamps.format(self.clock.time()),
            reason=reason,
            message=message,
        )
        old = conditions.find(status.conditions, DISRUPTION_ALLOWED)
        if old is None:
            return replace(status, conditions=(*status.conditions, made))
        if old.status == made.status:
            made = replace(made, last_transition_time=old.last_transition_time)
        return replace(status, conditions=tuple(made if one is old else one for one in status.conditions))

    async def _write(self, budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> None:
        if status != budget.status:
            await self.write_status(budget, status)


class StalePodDisruptionController(Controller):
    """Takes back the mark of a disruption from pods that were not deleted after all."""

    name = "disruption-controller"
    component = "controllermanager"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._pods = informers.informer(Pod)
        self._pods.add_handler(self._seen, lambda _, new: self._seen(new))

    def _seen(self, pod: Pod) -> None:
        if _stale_in(pod, self.clock.time()) is not None:
            self.enqueue(pod)

    async def reconcile(self, key: str) -> float | None:
        pod = self._pods.cache.get(key)
        wait = _stale_in(pod, self.clock.time()) if pod is not None else None
        if pod is None or wait is None:
            return None
        if wait > 0.0:
            return wait
        now = timestamps.format(self.clock.time())
        cleared = {
            "type": DISRUPTION_TARGET,
            "status": "False",
            "reason": None,
            "message": None,
            "lastTransitionTime": now,
        }
        # The version is a precondition: a newer one may have been marked again.
        patch: Mapping[str, Any] = {
            "metadata": {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version},
            "status": {"conditions": [cleared]},
        }
        namespace, name = split_key(key)
        try:
            await self.client.patch(
                Pod, name, patch, type=PatchType.STRATEGIC, namespace=namespace, subresource="status"
            )
        except NotFound:
            return None
        return None


def _covers(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """Tell whether a budget counts a pod: a selector without conditions covers all, no selector none."""
    selector = budget.spec.selector
    return selector is not None and selectors.from_label_selector(selector).matches(pod.metadata.labels)


def _stale_in(pod: Pod, now: float) -> float | None:
    """Return the seconds after which a pod's mark is stale, None when it has none that becomes so."""
    if pod.metadata.deletion_timestamp is not None or pod.status.phase in {"Succeeded", "Failed"}:
        return None
    mark = pods.condition(pod, DISRUPTION_TARGET)
    if mark is None or mark.status != "True" or mark.reason == _BY_KUBELET:
        return None
    age = timestamps.age_seconds(mark.last_transition_time, now)
    return 0.0 if age is None else max(STALE_SECONDS - age, 0.0)


def _group(owner: OwnerReference) -> str:
    return owner.api_version.rpartition("/")[0]


def _without_scale(owner: OwnerReference, pod: str) -> str:
    """Return why a controller says nothing about how many pods there should be."""
    resource = by_kind(owner.api_version, owner.kind)
    if resource is None or resource.subresource("scale") is not None:
        return f'found no controllers for pod "{pod}"'
    return f"{resource.qualified} does not implement the scale subresource"
