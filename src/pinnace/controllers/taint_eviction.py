"""Taint eviction: deletes pods from nodes whose NoExecute taints they do not put up with, or no longer (pkg/controller/tainteviction).

A pod's time runs from when this controller saw the taint, and an earlier end stands when taints change; when all of them go, so does
the sentence. Keys are pods; a node's change has those pods looked at that stand on it.
"""

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import pods as pod_rules
from pinnace.controllers import tolerations
from pinnace.controllers.controller import Controller
from pinnace.controllers.disruption_target import mark_disrupted
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import key as key_of


class TaintEvictionController(Controller):
    """Reconciles pods on tainted nodes."""

    name = "node-controller"
    component = "taint-eviction-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        # Pod's key → (uid, when it is to go, by the monotonic clock).
        self._sentences: dict[str, tuple[str, float]] = {}
        self._nodes = informers.informer(core_v1.Node)
        self._pods = informers.informer(core_v1.Pod)
        pod_rules.add_node_index(self._pods.cache)
        self._nodes.add_handler(self._node_seen, self._node_updated)
        self._pods.add_handler(self._pod_seen, self._pod_updated, self._pod_gone)

    async def reconcile(self, key: str) -> float | None:
        pod = self._pods.cache.get(key)
        node = self._nodes.cache.get(pod.spec.node_name) if pod is not None and pod.spec.node_name else None
        if pod is None or node is None or pod.metadata.deletion_timestamp is not None:
            self._sentences.pop(key, None)
            return None
        taints = _evicting(node)
        seconds = tolerations.tolerated_seconds(taints, pod.spec.tolerations) if taints else None
        if seconds is None:
            self._acquit(pod, key)
            return None
        now, (uid, due) = self.clock.monotonic(), self._sentences.get(key, ("", 0.0))
        if uid != pod.metadata.uid:
            due = now + seconds
        due = min(due, now + seconds)
        self._sentences[key] = (pod.metadata.uid, due)
        if due > now:
            return due - now
        await self._evict(pod)
        return None

    def _acquit(self, pod: core_v1.Pod, key: str) -> None:
        if self._sentences.pop(key, None) is not None:
            text = f"Cancelling deletion of Pod {key}"
            self.recorder.event(pod, "Normal", "TaintManagerEviction", text)

    async def _evict(self, pod: core_v1.Pod) -> None:
        metadata = pod.metadata
        text = f"Marking for deletion Pod {metadata.namespace}/{metadata.name}"
        self.recorder.event(pod, "Normal", "TaintManagerEviction", text)
        message = "Taint manager: deleting due to NoExecute taint"
        try:
            await mark_disrupted(self.client, pod, "DeletionByTaintManager", message, self.clock.time())
            await self.client.delete(core_v1.Pod, metadata.name, metadata.namespace, uid=metadata.uid)
        except NotFound:
            return

    # ── what the informers tell ──

    def _node_seen(self, node: core_v1.Node) -> None:
        if _evicting(node):
            self._look_at(node)

    def _node_updated(self, old: core_v1.Node, new: core_v1.Node) -> None:
        if _evicting(old) != _evicting(new):
            self._look_at(new)

    def _look_at(self, node: core_v1.Node) -> None:
        for pod in pod_rules.on_node(self._pods.cache, node.metadata.name):
            self.enqueue(pod)

    def _pod_seen(self, pod: core_v1.Pod) -> None:
        node = self._nodes.cache.get(pod.spec.node_name) if pod.spec.node_name else None
        if node is not None and _evicting(node):
            self.enqueue(pod)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        if (old.spec.node_name, old.spec.tolerations) != (new.spec.node_name, new.spec.tolerations):
            self._pod_seen(new)

    def _pod_gone(self, pod: core_v1.Pod) -> None:
        self._sentences.pop(key_of(pod), None)


def _evicting(node: core_v1.Node) -> tuple[core_v1.Taint, ...]:
    return tuple(taint for taint in node.spec.taints if taint.effect == "NoExecute")
