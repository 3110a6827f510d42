"""DaemonSet: one pod on every node that should have one (pkg/controller/daemon).

Each look first puts every node in order, and moves on to the next template only when there is nothing to put in order. Pods are
bound by the scheduler; what they look like and where they belong is in `daemonset_nodes.py`, what is to be done in
`daemonset_plan.py`, former templates in `daemonset_history.py`.
"""

from typing import Any, ClassVar

from msgspec.structs import replace

from pinnace.api.apps_v1 import ControllerRevision, DaemonSet
from pinnace.api.core_v1 import Node, Pod
from pinnace.client import Client, InformerFactory
from pinnace.component.backoff import Backoff, KeyedBackoff
from pinnace.component.clock import Clock
from pinnace.controllers import daemonset_history as revisions
from pinnace.controllers import daemonset_nodes as rules
from pinnace.controllers import daemonset_plan as plans
from pinnace.controllers import ownership
from pinnace.controllers.controller_history import Collision
from pinnace.controllers.pod_owner import PodOwnerController
from pinnace.machinery import selectors
from pinnace.machinery.errors import NotFound
from pinnace.machinery.selectors import LabelSelector

# Pods created, and pods deleted, in one round at most.
BURST = 250
# How long a pod that failed again is left alone, so that a node which refuses it is not kept busy by it.
FAILED_BACKOFF = Backoff(1.0, 900.0)


class DaemonSetController(PodOwnerController):
    """Reconciles DaemonSets."""

    name = "daemon-set-controller"
    component = "daemonset-controller"
    kept: ClassVar[type[Any]] = DaemonSet

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._failed = KeyedBackoff(FAILED_BACKOFF)
        self._revisions = informers.informer(ControllerRevision)
        ownership.add_indexes(self._revisions.cache)
        self._revisions.add_handler(self._revision_changed, lambda _, new: self._revision_changed(new))
        self._nodes = informers.informer(Node)
        self._nodes.add_handler(self._node_changed, self._node_updated, self._node_changed)

    def selector_of(self, owner: Any) -> LabelSelector:
        return selectors.from_label_selector(owner.spec.selector)

    async def reconcile(self, key: str) -> float | None:
        daemon_set: DaemonSet | None = self._owners.cache.get(key)
        if daemon_set is None:
            return None
        selector = self.selector_of(daemon_set)
        if selector.is_everything:
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            self.recorder.event(daemon_set, "Warning", "SelectingAll", text)
            return None
        if daemon_set.metadata.deletion_timestamp is not None:
            return None
        settled = self._expectations.are_met(key)
        claimed = await ownership.claim(self.client, daemon_set, self._pods.cache, selector)
        known = await ownership.claim(self.client, daemon_set, self._revisions.cache, selector)
        try:
            current, old = await revisions.current(self.client, daemon_set, known, claimed)
        except Collision:
            # The count in the status has changed, and that brings the set here again.
            return None
        scene = self._scene(daemon_set, current.metadata.labels[rules.HASH], claimed)
        error, again = (await self._act(scene)) if settled else (None, None)
        if settled and error is None:
            await revisions.trim(self.client, daemon_set, old, claimed)
        # What was done may have shown already.
        after = self._scene(daemon_set, scene.revision_hash, ownership.owned(self._pods.cache, daemon_set))
        await self._write_status(after, settled=settled)
        if error is not None:
            raise error
        return min((seconds for seconds in (again, self._until_available(after)) if seconds), default=None)

    def _scene(self, daemon_set: DaemonSet, revision_hash: str, claimed: Any) -> plans.Scene:
        nodes = {node.metadata.name: node for node in self._nodes.cache.list()}
        return plans.Scene(daemon_set, revision_hash, nodes, plans.by_node(claimed), self.clock.time())

    async def _act(self, scene: plans.Scene) -> tuple[Exception | None, float | None]:
        """Take one step; return why a call failed, and the seconds until a failed pod may be replaced."""
        plan = plans.keep(scene)
        doomed, again = self._ended(scene.daemon_set, plan)
        if plan.is_empty:
            plan = plans.roll(scene)
        made = [rules.make_pod(scene.daemon_set, scene.revision_hash, name) for name in plan.create[:BURST]]
        error = await self.carry_out(scene.daemon_set, create=made, delete=[*doomed, *plan.delete][:BURST])
        return error, again

    def _ended(self, daemon_set: DaemonSet, plan: plans.Plan) -> tuple[list[Pod], float | None]:
        """Return the ended pods that are to be deleted now, and the seconds until the next may be."""
        doomed, waits = [], []
        now = self.clock.monotonic()
        for pod in plan.failed:
            node = rules.node_of(pod)
            key = (daemon_set.metadata.uid, daemon_set.status.observed_generation, node)
            wait = self._failed.remaining(key, now)
            if wait > 0.0:
                waits.append(wait)
                continue
            self._failed.failed(key, now)
            self._tell(daemon_set, "Warning", "FailedDaemonPod", "failed", pod, "kill")
            doomed.append(pod)
        for pod in plan.succeeded:
            self._tell(daemon_set, "Normal", "SucceededDaemonPod", "succeeded", pod, "delete")
            doomed.append(pod)
        self._failed.collect(now)
        return doomed, min(waits, default=None)

    def _tell(self, daemon_set: DaemonSet, kind: str, reason: str, what: str, pod: Pod, action: str) -> None:
        name = f"{pod.metadata.namespace}/{pod.metadata.name}"
        text = f"Found {what} daemon pod {name} on node {rules.node_of(pod)}, will try to {action} it"
        self.recorder.event(daemon_set, kind, reason, text)

    async def _write_status(self, scene: plans.Scene, *, settled: bool) -> None:
        """Write what is; a set that has not been looked at whole keeps the generation it was last looked at in."""
        daemon_set = scene.daemon_set
        status = replace(daemon_set.status, **plans.counted(scene))
        if settled:
            status = replace(status, observed_generation=daemon_set.metadata.generation)
        if status != daemon_set.status:
            try:
                await self.write_status(daemon_set, status)
            except NotFound:
                return

    def _until_available(self, scene: plans.Scene) -> float | None:
        """Return the seconds until a ready pod becomes available."""
        seconds = scene.daemon_set.spec.min_ready_seconds
        waits = (scene.available_in(pod) for there in scene.pods.values() for pod in there[:1])
        return min((wait for wait in waits if wait), default=None) if seconds else None

    # ── what the informers tell ──

    def _revision_changed(self, revision: ControllerRevision) -> None:
        key = ownership.owner_key(revision, self._kind)
        if key is not None:
            self.enqueue_key(key)

    def _node_changed(self, node: Node) -> None:
        for daemon_set in self._owners.cache.list():
            if rules.may_stay(daemon_set, node):
                self.enqueue(daemon_set)

    def _node_updated(self, old: Node, new: Node) -> None:
        if (old.metadata.labels, old.spec.taints) == (new.metadata.labels, new.spec.taints):
            return
        for daemon_set in self._owners.cache.list():
            if _place(daemon_set, old) != _place(daemon_set, new):
                self.enqueue(daemon_set)


def _place(daemon_set: DaemonSet, node: Node) -> tuple[bool, bool]:
    return rules.is_wanted(daemon_set, node), rules.may_stay(daemon_set, node)
