"""Node lifecycle: says of a silent node that it is, and keeps the taints in step with the conditions (pkg/controller/nodelifecycle).

A node lives as long as its lease is renewed or its status changes, by this controller's own clock, so that nobody's wall clock can
kill it. Past the grace period its conditions become Unknown, its pods not ready, and, as fast as its zone allows (`node_zones.py`), it
gets the NoExecute taint by which `taint_eviction.py` moves its pods elsewhere.
"""

from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import coordination_v1, core_v1
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.controller import Controller
from pinnace.controllers.node_zones import Zones
from pinnace.machinery import timestamps
from pinnace.machinery.errors import NotFound

# Seconds: between looks at a node, until a silent node is given up, and until one that never spoke is.
MONITOR_PERIOD_SECONDS, GRACE_SECONDS, STARTUP_GRACE_SECONDS = 5.0, 50.0, 60.0
LEASES = "kube-node-lease"
_PREFIX = "node.kubernetes.io/"
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
# Condition → the taint for each of its values.
_TAINTS = {
    "Ready": {"False": f"{_PREFIX}not-ready", "Unknown": f"{_PREFIX}unreachable"},
    "MemoryPressure": {"True": f"{_PREFIX}memory-pressure"},
    "DiskPressure": {"True": f"{_PREFIX}disk-pressure"},
    "PIDPressure": {"True": f"{_PREFIX}pid-pressure"},
    "NetworkUnavailable": {"True": f"{_PREFIX}network-unavailable"},
}
_MANAGED = frozenset({f"{_PREFIX}unschedulable"}.union(*(values.values() for values in _TAINTS.values())))


# Ready's value → the taint that drives pods away.
_EVICTING = _TAINTS["Ready"]
# Label → the elder one that is kept equal to it.
_ELDER_LABELS = {"kubernetes.io/os": "beta.kubernetes.io/os", "kubernetes.io/arch": "beta.kubernetes.io/arch"}


class _Health(Struct):
    """When a node was last heard of, and by what; whether it was ready when last looked at."""

    heard: float
    heartbeat: str
    renewal: str
    was_ready: bool


class NodeLifecycleController(Controller):
    """Reconciles Nodes when they change, and every few seconds those that are silent or not ready."""

    name = "node-controller"
    component = "node-controller"
    workers: ClassVar[int] = 8
    # One for each of ten thousand nodes that register at once, or fall silent at once; some ten megabytes while they wait. Upstream drops
    # what is over a thousand, which its several workers seldom come to.
    events_limit: ClassVar[int] = 10_000

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._health: dict[str, _Health] = {}
        self._zones = Zones()
        self._nodes = informers.informer(core_v1.Node)
        self._pods = informers.informer(core_v1.Pod)
        pod_rules.add_node_index(self._pods.cache)
        self._pods.add_handler(self._pod_added, self._pod_updated)
        # All leases, not the nodes' alone: others follow them, too, and a watch more would have each renewal told and read twice.
        self._leases = informers.informer(coordination_v1.Lease)
        self._leases.add_handler(self._renewed, lambda _, new: self._renewed(new))
        self._nodes.add_handler(self._registered, lambda _, new: self._changed(new), self._removed)

    def _registered(self, node: core_v1.Node) -> None:
        name = node.metadata.name
        self.recorder.event(
            node, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller"
        )
        self._changed(node)

    def _changed(self, node: core_v1.Node) -> None:
        self._count(node.metadata.name, node)
        self.enqueue(node)

    def _removed(self, node: core_v1.Node) -> None:
        name = node.metadata.name
        self._health.pop(name, None)
        self._count(name, None)
        text = f"Node {name} event: Removing Node {name} from Controller"
        self.recorder.event(node, "Normal", "RemovingNode", text)

    def _count(self, name: str, node: core_v1.Node | None) -> None:
        if not self._zones.count(
            name, node, is_ready=node is not None and _is_ready(node) and not self._is_silent(node)
        ):
            return
        # Into disruption: every taint goes. Out of it: nobody could be heard meanwhile, so all begin anew.
        now = self.clock.monotonic()
        for other in self._nodes.cache.list():
            health = self._health.get(other.metadata.name)
            if health is not None and not self._zones.all_disrupted:
                health.heard = now
            self.enqueue(other)

    def _renewed(self, lease: coordination_v1.Lease) -> None:
        """Hear of a node at once: heard of at the next look only, it would be given up that much later than it fell silent.

        Any other time than the last is a sign of life; one of a clock that was set back, too.
        """
        if lease.metadata.namespace != LEASES:
            return
        health, renewal = self._health.get(lease.metadata.name), lease.spec.renew_time or ""
        if health is not None and health.renewal != renewal:
            health.heard, health.renewal = self.clock.monotonic(), renewal

    def _pod_added(self, pod: core_v1.Pod) -> None:
        """A pod that comes to a node which is not ready is not ready, either."""
        node = self._nodes.cache.get(pod.spec.node_name) if pod.spec.node_name else None
        if node is not None and not _is_ready(node) and pod_rules.is_ready(pod):
            health = self._health.get(node.metadata.name)
            if health is not None:
                health.was_ready = True
                self.enqueue(node)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        if old.spec.node_name != new.spec.node_name:
            self._pod_added(new)

    async def run_beside(self) -> None:
        await self.every(MONITOR_PERIOD_SECONDS, self._monitor)

    async def _monitor(self) -> None:
        """Look at every node; those that nothing is to be done about, nearly all, cost no more than the look.

        All that fell silent are counted before the first is given up: many at once are a lost network.
        """
        for node in self._nodes.cache.list():
            is_silent = self._is_silent(node)
            if is_silent:
                self._count(node.metadata.name, node)
            if is_silent or not _is_ready(node):
                self.enqueue(node)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.cache.get(key)
        if node is None:
            return None
        if self._is_silent(node):
            node = await self._give_up(node)
        health = self._health[key]
        if health.was_ready and not _is_ready(node):
            self.recorder.event(node, "Normal", "NodeNotReady", f"Node {key} status is now: NodeNotReady")
            await self._mark_pods(key)
        health.was_ready = _is_ready(node)
        node = await self._label(node)
        return await self._taint(node)

    async def _mark_pods(self, name: str) -> None:
        """Say of a silent node's pods that they do not serve."""
        for pod in pod_rules.on_node(self._pods.cache, name):
            ready = pod_rules.condition(pod, "Ready")
            if ready is None or ready.status != "True":
                continue
            marked = replace(ready, status="False", last_transition_time=timestamps.format(self.clock.time()))
            conditions = tuple(marked if item is ready else item for item in pod.status.conditions)
            self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")
            try:
                await self.write_status(pod, replace(pod.status, conditions=conditions))
            except NotFound:
                continue

    async def _label(self, node: core_v1.Node) -> core_v1.Node:
        """Keep the elder labels of a platform equal to those of today."""
        labels = node.metadata.labels
        missing = {
            elder: labels[name]
            for name, elder in _ELDER_LABELS.items()
            if labels.get(name, "") != labels.get(elder, "") and name in labels
        }
        if not missing:
            return node
        patch = {"metadata": {"labels": missing}}
        return await self.client.patch(core_v1.Node, node.metadata.name, patch, type=PatchType.STRATEGIC)

    def _is_silent(self, node: core_v1.Node) -> bool:
        silent_for, limit = self._listen(node)
        return silent_for > limit

    def _listen(self, node: core_v1.Node) -> tuple[float, float]:
        """Return the seconds for which a node has been silent, and for how many it may be."""
        name, now = node.metadata.name, self.clock.monotonic()
        ready = _condition(node, "Ready")
        heartbeat = (ready.last_heartbeat_time or "") if ready is not None else ""
        lease = self._leases.cache.get(f"{LEASES}/{name}")
        renewal = (lease.spec.renew_time or "") if lease is not None else ""
        known = self._health.get(name)
        if known is None:
            age = 0.0
            if ready is None:
                age = timestamps.age_seconds(node.metadata.creation_timestamp, self.clock.time()) or 0.0
            known = self._health[name] = _Health(now - age, heartbeat, renewal, _is_ready(node))
        elif known.heartbeat != heartbeat and (ready is None or ready.status != "Unknown"):
            known.heard, known.heartbeat = now, heartbeat
        return now - known.heard, GRACE_SECONDS if ready is not None else STARTUP_GRACE_SECONDS

    async def _give_up(self, node: core_v1.Node) -> core_v1.Node:
        """Set the conditions of a silent node to Unknown, once."""
        now = timestamps.format(self.clock.time())
        changed = []
        for kind in _WATCHED:
            old = _condition(node, kind)
            if old is None:
                changed.append(
                    core_v1.NodeCondition(
                        type=kind,
                        status="Unknown",
                        reason="NodeStatusNeverUpdated",
                        message="Kubelet never posted node status.",
                        last_heartbeat_time=node.metadata.creation_timestamp,
                        last_transition_time=now,
                    )
                )
            elif old.status != "Unknown":
                changed.append(
                    replace(
                        old,
                        status="Unknown",
                        reason="NodeStatusUnknown",
                        message="Kubelet stopped posting node status.",
                        last_transition_time=now,
                    )
                )
        if not changed:
            return node
        by_type = {item.type: item for item in changed}
        kept = tuple(by_type.pop(item.type, item) for item in node.status.conditions)
        status = replace(node.status, conditions=(*kept, *by_type.values()))
        return await self.client.update(replace(node, status=status), subresource="status")

    async def _taint(self, node: core_v1.Node) -> float | None:
        """Make the taints of these keys those that the conditions ask for; return when to look again, if before the monitor does."""
        wanted, again = self._wanted(node)
        present = {
            (taint.key, taint.effect): None
            for taint in node.spec.taints
            if (taint.effect == "NoSchedule" and taint.key in _MANAGED)
            or (taint.effect == "NoExecute" and taint.key in _EVICTING.values())
        }
        if wanted.keys() == present.keys():
            return again
        kept = [taint for taint in node.spec.taints if (taint.key, taint.effect) not in present.keys() - wanted.keys()]
        now = timestamps.format(self.clock.time())
        taints: list[dict[str, Any]] = [_tree(taint) for taint in kept]
        added = sorted(wanted.keys() - present.keys(), key=lambda taint: (taint[1], taint[0]), reverse=True)
        taints += [{"key": key, "effect": effect, "timeAdded": now} for key, effect in added]
        patch = {
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": taints or None},
        }
        await self.client.patch(core_v1.Node, node.metadata.name, patch, type=PatchType.MERGE)
        return again

    def _wanted(self, node: core_v1.Node) -> tuple[dict[tuple[str, str], None], float | None]:
        """Return the taints that a node is to have, and when its zone's next turn may come; may take that turn."""
        wanted: dict[tuple[str, str], None] = {}
        for condition in node.status.conditions:
            taint = _TAINTS.get(condition.type, {}).get(condition.status)
            if taint is not None:
                wanted[taint, "NoSchedule"] = None
        if node.spec.unschedulable:
            wanted[f"{_PREFIX}unschedulable", "NoSchedule"] = None
        ready = _condition(node, "Ready")
        if ready is None:
            # Nothing is known yet: the taint that every node is created with stays.
            wanted[f"{_PREFIX}not-ready", "NoSchedule"] = None
        evicting = _EVICTING.get(ready.status) if ready is not None else None
        again = None
        if evicting is not None and not self._zones.all_disrupted:
            present = [taint.key for taint in node.spec.taints if taint.effect == "NoExecute"]
            has_one = any(taint in present for taint in _EVICTING.values())
            wait = 0.0 if has_one else self._zones.wait_seconds(node, self.clock.monotonic())
            if wait == 0.0:
                wanted[evicting, "NoExecute"] = None
            else:
                again = wait
        return wanted, again


def _is_ready(node: core_v1.Node) -> bool:
    ready = _condition(node, "Ready")
    return ready is not None and ready.status == "True"


def _condition(node: core_v1.Node, kind: str) -> core_v1.NodeCondition | None:
    return next((item for item in node.status.conditions if item.type == kind), None)


def _tree(taint: core_v1.Taint) -> dict[str, Any]:
    tree = {"key": taint.key, "value": taint.value, "effect": taint.effect, "timeAdded": taint.time_added}
    return {key: value for key, value in tree.items() if value}
