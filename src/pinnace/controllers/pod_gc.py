"""PodGC: takes away pods that nobody else will (pkg/controller/podgc).

Every 20 s: finished pods beyond a limit, oldest first; pods whose node has gone, once it is certain; pods being deleted that no node
ever had, or whose node is marked out of service. What has not ended is said to have failed first, so that its owner replaces it.
"""

from collections.abc import Iterable

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.controller import Controller
from pinnace.controllers.disruption_target import mark_disrupted
from pinnace.machinery.errors import NotFound

# Seconds between looks, and for how long a node must have been away.
PERIOD_SECONDS, QUARANTINE_SECONDS = 20.0, 40.0
# Finished pods that may stay.
TERMINATED_LIMIT = 12_500
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_TERMINATED = "terminated"
_FINISHED = frozenset({"Succeeded", "Failed"})


class PodGC(Controller):
    """Looks at all that has ended, by the clock."""

    name = "pod-garbage-collector"
    component = "pod-garbage-collector"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._nodes = informers.informer(core_v1.Node)
        self._pods = informers.informer(core_v1.Pod)
        pod_rules.add_node_index(self._pods.cache)
        self._pods.cache.add_index(_TERMINATED, lambda pod: ("",) if _is_terminated(pod) else ())
        # Node that is not there → since when, by the monotonic clock.
        self._absent: dict[str, float] = {}

        # One key that comes again and again.
        self.enqueue_key("everything")

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002
        for pod in self._surplus():
            await self._delete(pod)
        for node in self._nodes.cache.list():
            if _is_out_of_service(node):
                for pod in pod_rules.on_node(self._pods.cache, node.metadata.name):
                    if pod.metadata.deletion_timestamp is not None:
                        await self._delete(pod)
        for name in await self._gone_nodes():
            for pod in pod_rules.on_node(self._pods.cache, name):
                await self._delete(pod, "PodGC: node no longer exists")
        for pod in pod_rules.on_node(self._pods.cache, ""):
            if pod.metadata.deletion_timestamp is not None:
                await self._delete(pod)
        return PERIOD_SECONDS

    def _surplus(self) -> Iterable[core_v1.Pod]:
        """Return the finished pods beyond the limit, evicted ones first, then the oldest."""
        finished = self._pods.cache.by_index(_TERMINATED, "")
        if len(finished) <= TERMINATED_LIMIT:
            return ()
        ordered = sorted(
            finished,
            key=lambda pod: (
                pod.status.reason != "Evicted",
                pod.metadata.creation_timestamp or "",
                pod.metadata.namespace,
                pod.metadata.name,
            ),
        )
        return ordered[: len(finished) - TERMINATED_LIMIT]

    async def _gone_nodes(self) -> list[str]:
        """Return the nodes of pods that have been away for long enough, and that the server does not know either."""
        now = self.clock.monotonic()
        missing = [
            name for name in pod_rules.nodes_with_pods(self._pods.cache) if name and self._nodes.cache.get(name) is None
        ]
        self._absent = {name: self._absent.get(name, now) for name in missing}
        gone = []
        for name, since in self._absent.items():
            if now - since >= QUARANTINE_SECONDS and not await self._exists(name):
                gone.append(name)
        return gone

    async def _exists(self, name: str) -> bool:
        try:
            await self.client.get(core_v1.Node, name)
        except NotFound:
            return False
        return True

    async def _delete(self, pod: core_v1.Pod, message: str = "") -> None:
        metadata = pod.metadata
        try:
            if not _is_terminated(pod):
                reason = "DeletionByPodGC" if message else ""
                await mark_disrupted(self.client, pod, reason, message, self.clock.time(), phase="Failed")
            await self.client.delete(
                core_v1.Pod, metadata.name, metadata.namespace, uid=metadata.uid, grace_period_seconds=0
            )
        except NotFound:
            return


def _is_terminated(pod: core_v1.Pod) -> bool:
    return pod.status.phase in _FINISHED


def _is_out_of_service(node: core_v1.Node) -> bool:
    ready = any(item.type == "Ready" and item.status == "True" for item in node.status.conditions)
    return not ready and any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)
