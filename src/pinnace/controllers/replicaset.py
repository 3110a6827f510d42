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
from pinnace.api.resources import by_type
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import conditions, ownership
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.controller import Controller
from pinnace.controllers.expectations import Expectations
from pinnace.controllers.pod_control import PodControl
from pinnace.controllers.slow_start import Outcome, at_once, slow_start
from pinnace.machinery import selectors, timestamps
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import controller_of
from pinnace.machinery.meta import key as key_of
from pinnace.machinery.selectors import LabelSelector

# Pods created or deleted in one round at most.
BURST = 500
FAILURE = "ReplicaFailure"


class ReplicaSetController(Controller):
    """Reconciles ReplicaSets."""

    name = "replicaset-controller"
    component = "replicaset-controller"
    # What it keeps, and the type of that one's conditions.
    kept: ClassVar[type[Any]] = apps_v1.ReplicaSet
    condition: ClassVar[type[Any]] = apps_v1.ReplicaSetCondition

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._kind = by_type(self.kept).kind
        self._expectations = Expectations(clock)
        self._control = PodControl(client, self.recorder)
        self._sets = informers.informer(self.kept)
        self._pods = informers.informer(core_v1.Pod)
        for informer in (self._sets, self._pods):
            ownership.add_indexes(informer.cache)
        self._sets.add_handler(self.enqueue, lambda _, new: self.enqueue(new), self._set_deleted)
        self._pods.add_handler(self._pod_added, self._pod_updated, self._pod_deleted)

    def selector_of(self, owner: Any) -> LabelSelector:
        """Return which pods belong to an owner."""
        return selectors.from_label_selector(owner.spec.selector)

    async def reconcile(self, key: str) -> float | None:
        owner = self._sets.cache.get(key)
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
            return (await self._create(owner, min(missing, BURST))).error
        if missing < 0:
            return (await self._delete(owner, self._surplus(owner, active, -missing)[:BURST])).error
        return None

    async def _create(self, owner: Any, count: int) -> Outcome:
        key, pod = key_of(owner), pod_rules.from_template(owner, owner.spec.template)
        self._expectations.expect(key, creations=count)

        async def create(_: int) -> None:
            await self._control.create(owner, pod)

        outcome = await slow_start(range(count), create)
        # What failed, or was not tried any more, will not show.
        self._expectations.created(key, count - outcome.succeeded)
        return outcome

    async def _delete(self, owner: Any, doomed: list[core_v1.Pod]) -> Outcome:
        key = key_of(owner)
        self._expectations.expect(key, deletions=[key_of(pod) for pod in doomed])

        async def delete(pod: core_v1.Pod) -> None:
            gone = True
            try:
                gone = not await self._control.delete(owner, pod)
            finally:
                if gone:
                    self._expectations.deleted(key, key_of(pod))

        return await at_once(doomed, delete)

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
        sets = self._sets.cache.by_index(ownership.BY_CONTROLLER, uid) if uid else [owner]
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

    # ── what the informers tell ──

    def _set_deleted(self, owner: Any) -> None:
        self._expectations.forget(key_of(owner))

    def _pod_added(self, pod: core_v1.Pod) -> None:
        if pod.metadata.deletion_timestamp is not None:
            self._pod_deleted(pod)
            return
        key = ownership.owner_key(pod, self._kind)
        if key is not None:
            self._expectations.created(key)
            self.enqueue_key(key)
        else:
            self._enqueue_matching(pod)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        if new.metadata.deletion_timestamp is not None:
            self._pod_deleted(new)
            return
        before, key = ownership.owner_key(old, self._kind), ownership.owner_key(new, self._kind)
        if before is not None and before != key:
            self.enqueue_key(before)
        if key is not None:
            self.enqueue_key(key)
        elif old.metadata.labels != new.metadata.labels or before is not None:
            self._enqueue_matching(new)

    def _pod_deleted(self, pod: core_v1.Pod) -> None:
        key = ownership.owner_key(pod, self._kind)
        if key is not None:
            self._expectations.deleted(key, key_of(pod))
            self.enqueue_key(key)

    def _enqueue_matching(self, pod: core_v1.Pod) -> None:
        """Have the owners looked at that may want an orphan."""
        if controller_of(pod.metadata.owner_references) is not None or not pod.metadata.labels:
            return
        for owner in self._sets.cache.list(pod.metadata.namespace):
            if self.selector_of(owner).matches(pod.metadata.labels):
                self.enqueue(owner)


def _wanted(owner: Any) -> int:
    return 1 if owner.spec.replicas is None else int(owner.spec.replicas)


def _is_terminating(pod: core_v1.Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None and pod.status.phase not in {"Succeeded", "Failed"}
