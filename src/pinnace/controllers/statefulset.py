"""StatefulSet: pods that keep their names and volumes, made, updated and taken away one after another (pkg/controller/statefulset).

What one look does is a walk over the ordinals (`stateful_set_control.py`). Names are given, so that what a cache has not shown yet
cannot be made twice.
"""

from typing import Any, ClassVar

from pinnace.api.apps_v1 import ControllerRevision, StatefulSet
from pinnace.api.core_v1 import PersistentVolumeClaim, Pod
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import ownership
from pinnace.controllers import statefulset_history as histories
from pinnace.controllers import statefulset_pods as rules
from pinnace.controllers.pod_owner import PodOwnerController
from pinnace.controllers.stateful_pod_control import StatefulPodControl
from pinnace.controllers.stateful_set_control import Walk
from pinnace.controllers.statefulset_claims import ClaimGoes, Claims
from pinnace.machinery import selectors
from pinnace.machinery.errors import ApiError, NotFound
from pinnace.machinery.selectors import LabelSelector

# How soon a pod that waits for a claim to go is tried again: its going wakes nobody.
CLAIM_SECONDS = 1.0


class StatefulSetController(PodOwnerController):
    """Reconciles StatefulSets."""

    name = "statefulset-controller"
    component = "statefulset-controller"
    kept: ClassVar[type[Any]] = StatefulSet

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._revisions = informers.informer(ControllerRevision)
        ownership.add_indexes(self._revisions.cache)
        claims = Claims(client, self.recorder, informers.informer(PersistentVolumeClaim).cache)
        self._pod_control = StatefulPodControl(client, self.recorder, claims)

    def selector_of(self, owner: Any) -> LabelSelector:
        return selectors.from_label_selector(owner.spec.selector)

    async def reconcile(self, key: str) -> float | None:
        owner: StatefulSet | None = self._owners.cache.get(key)
        if owner is None:
            return None
        selector = self.selector_of(owner)

        def fits(pod: Pod) -> bool:
            return rules.ordinal_of(owner, pod) is not None

        claimed = await ownership.claim(self.client, owner, self._pods.cache, selector, fits=fits)
        known = await ownership.claim(self.client, owner, self._revisions.cache, selector)
        pods = {ordinal: pod for pod in claimed if (ordinal := rules.ordinal_of(owner, pod)) is not None}
        revisions = await histories.find(self.client, owner, known)
        walk = Walk(self._pod_control, owner, revisions, pods, self.clock.time())
        again, error = await self._walk(owner, walk)
        await self._write_status(owner, walk)
        if error is not None:
            raise error
        await histories.trim(self.client, owner, known, revisions, pods.values())
        return min((seconds for seconds in (again, walk.until_available()) if seconds), default=None)

    async def _walk(self, owner: StatefulSet, walk: Walk) -> tuple[float | None, ApiError | None]:
        """Take the walk, unless the set is on its way out; return when to come again, and what the server refused."""
        if owner.metadata.deletion_timestamp is not None:
            return None, None
        try:
            await walk.run()
        except ClaimGoes:
            return CLAIM_SECONDS, None
        except ApiError as error:
            return None, error
        return None, None

    async def _write_status(self, owner: StatefulSet, walk: Walk) -> None:
        status = walk.status()
        if status != owner.status:
            try:
                await self.write_status(owner, status)
            except NotFound:
                return
