"""ReplicaSet: keeps as many pods as asked for (pkg/controller/replicaset).

Pods are found by their controller's uid; orphans that match the selector are adopted, own pods that no longer match are released.
Creations go in batches of 1, 2, 4, … so that a quota or a bad template costs one try, not hundreds. What was written and not yet seen
is waited for before anything else is done. ReplicationControllers are kept by the same rules (`replication.py`).
"""

from collections import Counter
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import apps_v1, core_v1
from pinnace.controllers import conditions, ownership
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.pod_owner import PodOwnerController
from pinnace.machinery import selectors, timestamps
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import controller_of
from pinnace.machinery.selectors import LabelSelector

# Pods created or deleted in one round at most.
BURST = 500
FAILURE = "ReplicaFailure"


class ReplicaSetController(PodOwnerController):
    """Reconciles ReplicaSets."""

    name = "replicaset-controller"
    component = "replicaset-controller"
    kept: ClassVar[type[Any]] = apps_v1.ReplicaSet
    # The type of its conditions.
    condition: ClassVar[type[Any]] = apps_v1.ReplicaSetCondition

    def selector_of(self, owner: Any) -> LabelSelector:
        return selectors.from_label_selector(owner.spec.selector)

    async def reconcile(self, key: str) -> float | None:
        owner = self._owners.cache.get(key)
        if owner is None:
            return None
        settled = self._expectations.are_met(key)
        claimed = await ownership.claim(self.client, owner, self._pods.cache, self.selector_of(owner))
        active = [pod for pod in claimed if pod_rules.is_active(pod)]
        terminating = sum(_is_terminating(pod) for pod in claimed)
        error: Exception | None = None
        if settled and owner.metadata.deletion_timestamp is None:
            error = await self._manage(owner, active)
        soonest = await self._write_status(owner, active, terminating, error)
        if error is not None:
            raise error
        return soonest

    async def _manage(self, owner: Any, active: list[core_v1.Pod]) -> Exception | None:
        missing = _wanted(owner) - len(active)
        if missing > 0:
            pod = pod_rules.from_template(owner, owner.spec.template)
            return await self.carry_out(owner, create=[pod] * min(missing, BURST))
        return await self.carry_out(owner, delete=self._surplus(owner, active, -missing)[:BURST])

    def _surplus(self, owner: Any, active: list[core_v1.Pod], count: int) -> list[core_v1.Pod]:
        """Return the pods that are to go, first to go first."""
        if count >= len(active):
            return active
        now, related = self.clock.time(), self._related(owner)
        return sorted(active, key=lambda pod: pod_rules.deletion_rank(pod, now, related))[:count]

    def _related(self, owner: Any) -> Counter[str]:
        """Count by node the active pods of all sets that have the same controller as this one."""
        controller = controller_of(owner.metadata.owner_references)
        uid = controller.uid if controller is not None else ""
        sets = self._owners.cache.by_index(ownership.BY_CONTROLLER, uid) if uid else [owner]
        return Counter(
            pod.spec.node_name
            for item in sets
            for pod in ownership.owned(self._pods.cache, item)
            if pod_rules.is_active(pod)
        )

    async def _write_status(
        self, owner: Any, active: list[core_v1.Pod], terminating: int, error: Exception | None
    ) -> float | None:
        """Write what is, and return the seconds until a ready pod becomes available."""
        now = self.clock.time()
        template_labels = selectors.from_map(owner.spec.template.metadata.labels)
        waits = [pod_rules.available_in(pod, owner.spec.min_ready_seconds, now) for pod in active]
        counted = {
            "replicas": len(active),
            "fully_labeled_replicas": sum(template_labels.matches(pod.metadata.labels) for pod in active),
            "ready_replicas": sum(wait is not None for wait in waits),
            "available_replicas": sum(wait == 0.0 for wait in waits),
            "observed_generation": owner.metadata.generation,
            "conditions": self._conditions(owner, len(active), error, now),
        }
        if hasattr(owner.status, "terminating_replicas"):
            counted["terminating_replicas"] = terminating
        status = replace(owner.status, **counted)
        if status != owner.status:
            try:
                await self.write_status(owner, status)
            except NotFound:
                return None
        return min((wait for wait in waits if wait), default=None)

    def _conditions(self, owner: Any, active: int, error: Exception | None, now: float) -> tuple[Struct, ...]:
        known: tuple[Struct, ...] = owner.status.conditions
        if error is None:
            return conditions.without(known, FAILURE)
        if conditions.find(known, FAILURE) is not None:
            return known
        reason = "FailedCreate" if active < _wanted(owner) else "FailedDelete"
        made: Struct = self.condition(
            type=FAILURE,
            status="True",
            reason=reason,
            message=str(error),
            last_transition_time=timestamps.format(now),
        )
        return conditions.with_condition(known, made)


def _wanted(owner: Any) -> int:
    return 1 if owner.spec.replicas is None else int(owner.spec.replicas)


def _is_terminating(pod: core_v1.Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None and pod.status.phase not in {"Succeeded", "Failed"}
