"""What is to be done about a DaemonSet's pods, from what there is: pure, for one look (pkg/controller/daemon `daemon_controller.go`,
`update.go`).

First every node gets the pod it lacks and loses those it must not have; only when nothing of that is left to do, old pods make room
for new ones, as far as the update strategy allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from pinnace.api.apps_v1 import DaemonSet, RollingUpdateDaemonSet
from pinnace.api.core_v1 import Node, Pod
from pinnace.controllers import daemonset_nodes as rules
from pinnace.controllers import pods as pod_rules
from pinnace.machinery import intstr


class Plan(Struct):
    """Nodes to create pods for, and pods to delete; `failed` and `succeeded` are deleted as well, and told of."""

    create: list[str] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    failed: list[Pod] = field(default_factory=list)
    succeeded: list[Pod] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.create or self.delete or self.failed or self.succeeded)


class Scene(Struct, frozen=True):
    """What one look sees: the set, its current revision, the nodes, and its pods by the node they are on or aimed at."""

    daemon_set: DaemonSet
    revision_hash: str
    nodes: Mapping[str, Node]
    pods: Mapping[str, Sequence[Pod]]
    now: float

    def available_in(self, pod: Pod) -> float | None:
        """Return the seconds until a ready pod counts as available, 0 when it does; None when it is not ready."""
        return pod_rules.available_in(pod, self.daemon_set.spec.min_ready_seconds, self.now)

    def is_available(self, pod: Pod) -> bool:
        """Tell whether a pod has been ready for long enough."""
        return self.available_in(pod) == 0.0

    def is_wanted_on(self, node_name: str) -> bool:
        """Tell whether a node is to have a pod."""
        node = self.nodes.get(node_name)
        return node is not None and rules.is_wanted(self.daemon_set, node)

    @property
    def wanted(self) -> list[str]:
        """The nodes that are to have a pod."""
        return [name for name in sorted(self.nodes) if self.is_wanted_on(name)]


def by_node(claimed: Iterable[Pod]) -> dict[str, list[Pod]]:
    """Return pods by node, each node's oldest first; those that have ended and are on their way out are nobody's business."""
    found: dict[str, list[Pod]] = {}
    for pod in claimed:
        ended = pod.status.phase in {"Succeeded", "Failed"} and pod.metadata.deletion_timestamp is not None
        if not ended and (name := rules.node_of(pod)):
            found.setdefault(name, []).append(pod)
    for there in found.values():
        there.sort(key=_age)
    return found


def _age(pod: Pod) -> tuple[bool, str, str]:
    return not pod.spec.node_name, pod.metadata.creation_timestamp or "", pod.metadata.name


def keep(scene: Scene) -> Plan:
    """Return what puts every node in order, whatever the template."""
    plan = Plan()
    for name in sorted(scene.nodes):
        _keep_node(scene, scene.nodes[name], plan)
    # Nobody else deletes pods that wait for a node which is gone.
    plan.delete += (
        pod
        for name, there in scene.pods.items()
        if name not in scene.nodes
        for pod in there
        if not pod.spec.node_name and pod.metadata.deletion_timestamp is None
    )
    return plan


def _keep_node(scene: Scene, node: Node, plan: Plan) -> None:
    daemon_set, name = scene.daemon_set, node.metadata.name
    there = scene.pods.get(name, ())
    present = [pod for pod in there if pod.metadata.deletion_timestamp is None]
    if rules.is_wanted(daemon_set, node) and not there:
        plan.create.append(name)
    elif not rules.may_stay(daemon_set, node):
        plan.delete += present
    else:
        plan.failed += (pod for pod in present if pod.status.phase == "Failed")
        plan.succeeded += (pod for pod in present if pod.status.phase == "Succeeded")
        running = [pod for pod in present if pod.status.phase not in {"Failed", "Succeeded"}]
        if not _surge(daemon_set, 1):
            plan.delete += running[1:]
        elif not running and rules.is_wanted(daemon_set, node):
            plan.create.append(name)
        else:
            plan.delete += _beyond_surge(scene, running)


def _beyond_surge(scene: Scene, running: Sequence[Pod]) -> list[Pod]:
    """Return the pods too many on a node of a set that surges: one new and one old pod may be there until the new one serves."""
    if len(running) <= 1:
        return []
    new = [pod for pod in running if pod.metadata.labels.get(rules.HASH) == scene.revision_hash]
    old = [pod for pod in running if pod not in new]
    surplus = [*new[1:], *old[1:]]
    if new and old and (not pod_rules.is_ready(old[0]) or scene.is_available(new[0])):
        surplus.append(old[0])
    return surplus


def _rolling(daemon_set: DaemonSet) -> RollingUpdateDaemonSet | None:
    strategy = daemon_set.spec.update_strategy
    return strategy.rolling_update if strategy.type == "RollingUpdate" else None


def _share(value: Any, desired: int) -> int:
    return intstr.scaled(value or 0, desired, round_up=True)


def _surge(daemon_set: DaemonSet, desired: int) -> int:
    rolling = _rolling(daemon_set)
    return _share(rolling.max_surge, desired) if rolling is not None else 0


def roll(scene: Scene) -> Plan:
    """Return the next step of an update: nothing when the set waits for its pods to be deleted by hand."""
    rolling = _rolling(scene.daemon_set)
    if rolling is None:
        return Plan()
    wanted = scene.wanted
    unavailable, surge = _share(rolling.max_unavailable, len(wanted)), _surge(scene.daemon_set, len(wanted))
    pairs = {name: _new_and_old(scene, scene.pods.get(name, ())) for name in sorted({*scene.pods, *wanted})}
    if surge:
        return _surging(scene, pairs, surge, len(wanted))
    return _replacing(scene, pairs, unavailable or 1)


class _Pair(Struct, frozen=True):
    """The new and the old pod of a node; `is_crowded` when there are more, which are thinned out first."""

    new: Pod | None = None
    old: Pod | None = None
    is_crowded: bool = False


def _new_and_old(scene: Scene, there: Sequence[Pod]) -> _Pair:
    present = [pod for pod in there if pod.metadata.deletion_timestamp is None]
    new = [pod for pod in present if rules.is_updated(scene.daemon_set, pod, scene.revision_hash)]
    old = [pod for pod in present if pod not in new]
    if len(new) > 1 or len(old) > 1:
        return _Pair(is_crowded=True)
    return _Pair(new[0] if new else None, old[0] if old else None)


def _replacing(scene: Scene, pairs: Mapping[str, _Pair], limit: int) -> Plan:
    """Delete old pods, so that no more than `limit` nodes are without one that serves."""
    missing, broken, candidates = 0, [], []
    for pair in pairs.values():
        if pair.is_crowded or (pair.new is None) == (pair.old is None):
            missing += 1
        elif pair.new is not None:
            missing += not scene.is_available(pair.new)
        elif pair.old is not None and not scene.is_available(pair.old):
            broken.append(pair.old)
            missing += 1
        elif pair.old is not None:
            candidates.append(pair.old)
    return Plan(delete=[*broken, *candidates[: max(limit - missing, 0)]])


def _surging(scene: Scene, pairs: Mapping[str, _Pair], limit: int, desired: int) -> Plan:
    """Create new pods beside old ones, on up to `limit` nodes at a time, and delete old ones whose successor serves."""
    plan, surging, available = Plan(), 0, 0
    candidates: list[str] = []
    leaving: list[Pod] = []
    for name, pair in pairs.items():
        serving = pair.old or pair.new
        available += serving is not None and scene.is_available(serving)
        if pair.is_crowded:
            surging += 1
        elif pair.old is None:
            continue
        elif pair.new is not None:
            if scene.is_available(pair.new):
                plan.delete.append(pair.old)
            else:
                surging += 1
        elif scene.is_wanted_on(name):
            # A node whose old pod does not serve loses nothing by a new one.
            (candidates if scene.is_available(pair.old) else plan.create).append(name)
        else:
            (leaving if scene.is_available(pair.old) else plan.delete).append(pair.old)
    # Where the set no longer belongs, its pods stay until those elsewhere serve.
    plan.delete += leaving[: max(available - desired, 0)]
    plan.create += candidates[: max(limit - surging, 0)]
    return plan


def counted(scene: Scene) -> dict[str, int]:
    """Return the counts of the status."""
    counts = dict.fromkeys(
        (
            "desired_number_scheduled",
            "current_number_scheduled",
            "number_misscheduled",
            "number_ready",
            "updated_number_scheduled",
            "number_available",
        ),
        0,
    )
    for name in scene.nodes:
        there = scene.pods.get(name, ())
        if not scene.is_wanted_on(name):
            counts["number_misscheduled"] += bool(there)
            continue
        counts["desired_number_scheduled"] += 1
        if there:
            first = there[0]
            counts["current_number_scheduled"] += 1
            counts["number_ready"] += pod_rules.is_ready(first)
            counts["number_available"] += scene.is_available(first)
            counts["updated_number_scheduled"] += rules.is_updated(scene.daemon_set, first, scene.revision_hash)
    counts["number_unavailable"] = counts["desired_number_scheduled"] - counts["number_available"]
    return counts
