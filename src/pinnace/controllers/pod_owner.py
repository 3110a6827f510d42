"""What all controllers that own pods do alike: follow their pods, wait for what they did to show, and write many pods at once.

Pods are found by their controller's uid. A change of a pod wakes its owner, and one of an orphan wakes all that might adopt it. What
was created or deleted and has not shown yet is waited for before anything else is done about the owner. Upstream: the handlers of
pkg/controller/{replicaset,daemon,job}.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from pinnace.api.core_v1 import Pod
from pinnace.api.resources import by_type
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import ownership
from pinnace.controllers.controller import Controller
from pinnace.controllers.expectations import Expectations
from pinnace.controllers.pod_control import PodControl
from pinnace.controllers.slow_start import at_once, slow_start
from pinnace.machinery.meta import controller_of
from pinnace.machinery.meta import key as key_of
from pinnace.machinery.selectors import LabelSelector


class PodOwnerController(Controller):
    """A controller of one kind of owner."""

    # What it keeps.
    kept: ClassVar[type[Any]]

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._kind = by_type(self.kept).kind
        self._expectations = Expectations(clock)
        self._control = PodControl(client, self.recorder)
        self._owners = informers.informer(self.kept)
        self._pods = informers.informer(Pod)
        for informer in (self._owners, self._pods):
            ownership.add_indexes(informer.cache)
        self._owners.add_handler(self.enqueue, lambda _, new: self.enqueue(new), self._owner_deleted)
        self._pods.add_handler(self._pod_added, self._pod_updated, self._pod_deleted)

    @abstractmethod
    def selector_of(self, owner: Any) -> LabelSelector:
        """Return which pods belong to an owner."""

    async def carry_out(
        self, owner: Any, *, create: Sequence[Pod] = (), delete: Sequence[Pod] = ()
    ) -> Exception | None:
        """Create and delete pods, and return why one of the calls failed; expects them to show."""
        if not create and not delete:
            return None
        key = key_of(owner)
        self._expectations.expect(key, creations=len(create), deletions=[key_of(pod) for pod in delete])

        async def create_one(pod: Pod) -> None:
            await self._control.create(owner, pod)

        async def delete_one(pod: Pod) -> None:
            gone = True
            try:
                gone = not await self._control.delete(owner, pod)
            finally:
                if gone:
                    self._expectations.deleted(key, key_of(pod))

        created = await slow_start(create, create_one)
        # What failed, or was not tried any more, will not show.
        self._expectations.created(key, len(create) - created.succeeded)
        deleted = await at_once(delete, delete_one)
        return created.error or deleted.error

    # ── what the informers tell ──

    def _owner_deleted(self, owner: Any) -> None:
        self._expectations.forget(key_of(owner))

    def _pod_added(self, pod: Pod) -> None:
        if pod.metadata.deletion_timestamp is not None:
            self._pod_deleted(pod)
            return
        key = ownership.owner_key(pod, self._kind)
        if key is not None:
            self._expectations.created(key)
            self.enqueue_key(key)
        else:
            self._enqueue_matching(pod)

    def _pod_updated(self, old: Pod, new: Pod) -> None:
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

    def _pod_deleted(self, pod: Pod) -> None:
        key = ownership.owner_key(pod, self._kind)
        if key is not None:
            self._expectations.deleted(key, key_of(pod))
            self.enqueue_key(key)

    def _enqueue_matching(self, pod: Pod) -> None:
        """Have the owners looked at that may want an orphan."""
        if controller_of(pod.metadata.owner_references) is not None or not pod.metadata.labels:
            return
        for owner in self._owners.cache.list(pod.metadata.namespace):
            if self.selector_of(owner).matches(pod.metadata.labels):
                self.enqueue(owner)
