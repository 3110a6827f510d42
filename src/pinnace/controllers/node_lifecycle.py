"""Node lifecycle: says of a silent node that it is, and keeps the taints in step with the conditions (pkg/controller/nodelifecycle).

A node lives as long as its lease is renewed or its status changes, by this controller's own clock, so that nobody's wall clock can
kill it. Past the grace period its conditions become Unknown. Eviction of its pods follows with the node issue.
"""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from pinnace.api import coordination_v1, core_v1
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery import timestamps

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


@dataclass(slots=True)
class _Health:
    """When a node was last heard of, and by what."""

    heard: float
    heartbeat: str
    renewal: str


class NodeLifecycleController(Controller):
    """Reconciles Nodes, each every few seconds."""

    name = "node-controller"
    component = "node-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._health: dict[str, _Health] = {}
        self._nodes = informers.informer(core_v1.Node)
        self._leases = informers.informer(coordination_v1.Lease, LEASES)
        self._nodes.add_handler(self._registered, lambda _, new: self.enqueue(new), self._removed)

    def _registered(self, node: core_v1.Node) -> None:
        name = node.metadata.name
        self.recorder.event(
            node, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller"
        )
        self.enqueue(node)

    def _removed(self, node: core_v1.Node) -> None:
        name = node.metadata.name
        self._health.pop(name, None)
        text = f"Node {name} event: Removing Node {name} from Controller"
        self.recorder.event(node, "Normal", "RemovingNode", text)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.cache.get(key)
        if node is None:
            return None
        silent_for, limit = self._listen(node)
        if silent_for > limit:
            node = await self._give_up(node)
        await self._taint(node)
        return MONITOR_PERIOD_SECONDS

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
            known = self._health[name] = _Health(now - age, heartbeat, renewal)
        elif (known.heartbeat != heartbeat and (ready is None or ready.status != "Unknown")) or renewal > known.renewal:
            known.heard, known.heartbeat, known.renewal = now, heartbeat, renewal
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
        ready = _condition(node, "Ready")
        if ready is not None and ready.status == "True":
            name = node.metadata.name
            self.recorder.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        by_type = {item.type: item for item in changed}
        kept = tuple(by_type.pop(item.type, item) for item in node.status.conditions)
        status = replace(node.status, conditions=(*kept, *by_type.values()))
        return await self.client.update(replace(node, status=status), subresource="status")

    async def _taint(self, node: core_v1.Node) -> None:
        """Make the NoSchedule taints of these keys those that the conditions ask for."""
        wanted = set()
        for condition in node.status.conditions:
            taint = _TAINTS.get(condition.type, {}).get(condition.status)
            if taint is not None:
                wanted.add(taint)
        if node.spec.unschedulable:
            wanted.add(f"{_PREFIX}unschedulable")
        if _condition(node, "Ready") is None:
            # Nothing is known yet: the taint that every node is created with stays.
            wanted.add(f"{_PREFIX}not-ready")
        present = {taint.key for taint in node.spec.taints if taint.effect == "NoSchedule" and taint.key in _MANAGED}
        if wanted == present:
            return
        kept = [
            taint
            for taint in node.spec.taints
            if taint.effect != "NoSchedule" or taint.key not in _MANAGED or taint.key in wanted
        ]
        now = timestamps.format(self.clock.time())
        taints: list[dict[str, Any]] = [_tree(taint) for taint in kept]
        taints += [{"key": key, "effect": "NoSchedule", "timeAdded": now} for key in sorted(wanted - present)]
        patch = {
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": taints or None},
        }
        await self.client.patch(core_v1.Node, node.metadata.name, patch, type=PatchType.MERGE)


def _condition(node: core_v1.Node, kind: str) -> core_v1.NodeCondition | None:
    return next((item for item in node.status.conditions if item.type == kind), None)


def _tree(taint: core_v1.Taint) -> dict[str, Any]:
    tree = {"key": taint.key, "value": taint.value, "effect": taint.effect, "timeAdded": taint.time_added}
    return {key: value for key, value in tree.items() if value}
