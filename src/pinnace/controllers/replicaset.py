"""ReplicaSet: keeps as many pods as asked for (pkg/controller/replicaset).

Pods are found by their controller's uid; orphans that match the selector are adopted, own pods that no longer match are released.
Creations go in batches of 1, 2, 4, … so that a quota or a bad template costs one try, not hundreds.
"""

from msgspec.structs import replace

from pinnace.api import apps_v1, core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.controller import Controller
from pinnace.controllers.expectations import Expectations
from pinnace.machinery import selectors
from pinnace.machinery.errors import ApiError, Conflict, NotFound
from pinnace.machinery.meta import controller_of
from pinnace.machinery.meta import key as key_of

# Pods created or deleted in one round at most.
BURST = 500
_BY_OWNER = "controller uid"


class ReplicaSetController(Controller):
    """Reconciles ReplicaSets."""

    name = "replicaset-controller"
    component = "replicaset-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._expectations = Expectations(clock)
        self._sets = informers.informer(apps_v1.ReplicaSet)
        self._pods = informers.informer(core_v1.Pod)
        self._pods.cache.add_index(_BY_OWNER, lambda pod: (pod_rules.controller_uid(pod),))
        self._sets.add_handler(self.enqueue, lambda _, new: self.enqueue(new), self._set_deleted)
        self._pods.add_handler(self._pod_added, self._pod_updated, self._pod_deleted)

    async def reconcile(self, key: str) -> float | None:
        owner = self._sets.cache.get(key)
        if owner is None or not self._expectations.are_met(key):
            return None
        active = [pod for pod in await self._claimed(owner) if pod_rules.is_active(pod)]
        error: ApiError | None = None
        if owner.metadata.deletion_timestamp is None:
            error = await self._manage(owner, active)
            active = [pod for pod in active if pod.metadata.deletion_timestamp is None]
        soonest = await self._write_status(owner, active, error)
        if error is not None:
            raise error
        return soonest

    async def _claimed(self, owner: apps_v1.ReplicaSet) -> list[core_v1.Pod]:
        selector = selectors.from_label_selector(owner.spec.selector)
        mine = []
        for pod in self._pods.cache.by_index(_BY_OWNER, owner.metadata.uid):
            if selector.matches(pod.metadata.labels):
                mine.append(pod)
            elif pod.metadata.deletion_timestamp is None and owner.metadata.deletion_timestamp is None:
                others = tuple(item for item in pod.metadata.owner_references if item.uid != owner.metadata.uid)
                await self._write_owners(pod, others)
        if owner.metadata.deletion_timestamp is not None:
            return mine
        for pod in self._pods.cache.by_index(_BY_OWNER, ""):
            if pod.metadata.namespace != owner.metadata.namespace or not selector.matches(pod.metadata.labels):
                continue
            if pod_rules.is_active(pod):
                await self._write_owners(pod, (*pod.metadata.owner_references, pod_rules.owner_reference(owner)))
                mine.append(pod)
        return mine

    async def _write_owners(self, pod: core_v1.Pod, owners: tuple[object, ...]) -> None:
        changed = replace(pod, metadata=replace(pod.metadata, owner_references=owners))
        try:
            await self.client.update(changed)
        except (Conflict, NotFound):
            return

    async def _manage(self, owner: apps_v1.ReplicaSet, active: list[core_v1.Pod]) -> ApiError | None:
        wanted = owner.spec.replicas if owner.spec.replicas is not None else 1
        missing = wanted - len(active)
        if missing > 0:
            return await self._create(owner, min(missing, BURST))
        if missing < 0:
            doomed = sorted(active, key=pod_rules.deletion_rank)[: min(-missing, BURST)]
            return await self._delete(owner, doomed)
        return None

    async def _create(self, owner: apps_v1.ReplicaSet, count: int) -> ApiError | None:
        key = key_of(owner)
        self._expectations.expect(key, creations=count)
        left, batch = count, 1
        while left:
            for _ in range(min(batch, left)):
                try:
                    pod = await self.client.create(pod_rules.from_template(owner, owner.spec.template))
                except ApiError as error:
                    for _ in range(left):
                        self._expectations.created(key)
                    if not any(cause.reason == "NamespaceTerminating" for cause in error.causes):
                        self.recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
                    return error
                left -= 1
                text = f"Created pod: {pod.metadata.name}"
                self.recorder.event(owner, "Normal", "SuccessfulCreate", text)
            batch *= 2
        return None

    async def _delete(self, owner: apps_v1.ReplicaSet, doomed: list[core_v1.Pod]) -> ApiError | None:
        key = key_of(owner)
        self._expectations.expect(key, deletions=frozenset(key_of(pod) for pod in doomed))
        failure = None
        for pod in doomed:
            try:
                await self.client.delete(core_v1.Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid)
            except NotFound:
                self._expectations.deleted(key, key_of(pod))
            except ApiError as error:
                self._expectations.deleted(key, key_of(pod))
                text = f"Error deleting: {error}"
                self.recorder.event(owner, "Warning", "FailedDelete", text)
                failure = error
            else:
                self.recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")
        return failure

    async def _write_status(
        self, owner: apps_v1.ReplicaSet, active: list[core_v1.Pod], error: ApiError | None
    ) -> float | None:
        """Write what is, and return the seconds until a ready pod becomes available."""
        template_labels = selectors.from_map(owner.spec.template.metadata.labels)
        waits = [pod_rules.available_in(pod, owner.spec.min_ready_seconds, self.clock.time()) for pod in active]
        conditions = tuple(item for item in owner.status.conditions if item.type != "ReplicaFailure")
        if error is not None:
            failure = apps_v1.ReplicaSetCondition(
                type="ReplicaFailure", status="True", reason="FailedCreate", message=str(error)
            )
            conditions = (*conditions, failure)
        status = replace(
            owner.status,
            replicas=len(active),
            fully_labeled_replicas=sum(template_labels.matches(pod.metadata.labels) for pod in active),
            ready_replicas=sum(pod_rules.is_ready(pod) for pod in active),
            available_replicas=sum(wait == 0.0 for wait in waits),
            observed_generation=owner.metadata.generation,
            conditions=conditions,
        )
        if status != owner.status:
            metadata = ObjectMeta(
                name=owner.metadata.name,
                namespace=owner.metadata.namespace,
                labels=owner.metadata.labels,
                annotations=owner.metadata.annotations,
                owner_references=owner.metadata.owner_references,
                finalizers=owner.metadata.finalizers,
                resource_version=owner.metadata.resource_version,
            )
            try:
                await self.client.update(replace(owner, metadata=metadata, status=status), subresource="status")
            except NotFound:
                return None
        return min((wait for wait in waits if wait), default=None)

    # ── what the informers tell ──

    def _owner_key(self, pod: core_v1.Pod) -> str | None:
        owner = controller_of(pod.metadata.owner_references)
        if owner is None or owner.kind != "ReplicaSet":
            return None
        return f"{pod.metadata.namespace}/{owner.name}"

    def _set_deleted(self, owner: apps_v1.ReplicaSet) -> None:
        self._expectations.forget(key_of(owner))

    def _pod_added(self, pod: core_v1.Pod) -> None:
        key = self._owner_key(pod)
        if key is not None:
            self._expectations.created(key)
            self.enqueue_key(key)
        elif not pod.metadata.owner_references and pod.metadata.labels:
            self._enqueue_matching(pod)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        for key in {self._owner_key(old), self._owner_key(new)} - {None}:
            assert key is not None
            if new.metadata.deletion_timestamp is not None:
                self._expectations.deleted(key, key_of(new))
            self.enqueue_key(key)

    def _pod_deleted(self, pod: core_v1.Pod) -> None:
        key = self._owner_key(pod)
        if key is not None:
            self._expectations.deleted(key, key_of(pod))
            self.enqueue_key(key)

    def _enqueue_matching(self, pod: core_v1.Pod) -> None:
        for owner in self._sets.cache.list(pod.metadata.namespace):
            if selectors.from_label_selector(owner.spec.selector).matches(pod.metadata.labels):
                self.enqueue(owner)
