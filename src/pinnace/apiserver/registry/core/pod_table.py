"""Pods as rows of a table (upstream pkg/printers/internalversion `printPod`).

The status cell sums a pod up in one word: what is wrong with it, if anything is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.printing import AGE, NAME, NONE, age, since, text

COLUMNS = (
    NAME,
    text("Ready", "Containers that are ready, of all containers."),
    text("Status", "The state of the pod and its containers in one word."),
    text("Restarts", "How often containers were restarted, and when last."),
    AGE,
    text("IP", "The pod's address.", wide=True),
    text("Node", "The node that the pod is bound to.", wide=True),
    text("Nominated Node", "The node that the scheduler makes room on.", wide=True),
    text("Readiness Gates", "Further conditions of readiness that hold, of all.", wide=True),
)
_DONE = {
    "Succeeded": ("Succeeded", "The pod has completed successfully."),
    "Failed": ("Failed", "The pod failed."),
}


def cells(pod: v1.Pod, now: float) -> Sequence[Any]:
    """Return the cells of a pod's row."""
    status = pod.status
    summary = _Summary(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts += f" ({since(summary.last_restart, now)} ago)"
    return (
        pod.metadata.name,
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age(pod, now),
        status.pod_ips[0].ip if status.pod_ips else NONE,
        pod.spec.node_name or NONE,
        status.nominated_node_name or NONE,
        _gates(pod),
    )


def row_conditions(pod: v1.Pod) -> Sequence[Mapping[str, str]]:
    """Return the condition by which clients tell finished pods from others."""
    done = _DONE.get(pod.status.phase)
    if done is None:
        return ()
    return ({"type": "Completed", "status": "True", "reason": done[0], "message": done[1]},)


def _gates(pod: v1.Pod) -> str:
    gates = pod.spec.readiness_gates
    if not gates:
        return NONE
    held = {one.type for one in pod.status.conditions if one.status == "True"}
    return f"{sum(gate.condition_type in held for gate in gates)}/{len(gates)}"


class _Summary:
    """What a row says about a pod's containers."""

    def __init__(self, pod: v1.Pod) -> None:
        self.pod = pod
        self.sidecars = {one.name for one in pod.spec.init_containers if one.restart_policy == "Always"}
        self.total = len(pod.spec.containers) + len(self.sidecars)
        self.ready = self.restarts = 0
        self.last_restart = ""
        self._sidecar_restarts = 0
        self._sidecar_last = ""
        self.reason = pod.status.reason or pod.status.phase
        if self._condition("PodScheduled", "reason") == "SchedulingGated":
            self.reason = "SchedulingGated"
        initializing = self._scan_init_containers()
        if not initializing or self._condition("Initialized", "status") == "True":
            self._scan_containers()
        if pod.metadata.deletion_timestamp is not None:
            if pod.status.reason == "NodeLost":
                self.reason = "Unknown"
            elif pod.status.phase not in _DONE:
                self.reason = "Terminating"

    def _condition(self, kind: str, attribute: str) -> str:
        for condition in self.pod.status.conditions:
            if condition.type == kind:
                value: str = getattr(condition, attribute)
                return value
        return ""

    def _scan_init_containers(self) -> bool:
        """Look at the init containers in order until one has not done its work; tell whether there was one."""
        for index, status in enumerate(self.pod.status.init_container_statuses):
            self.restarts += status.restart_count
            self.last_restart = max(self.last_restart, _finished(status.last_state))
            sidecar = status.name in self.sidecars
            if sidecar:
                self._sidecar_restarts += status.restart_count
                self._sidecar_last = max(self._sidecar_last, _finished(status.last_state))
            state = status.state
            if state.terminated is not None and state.terminated.exit_code == 0:
                continue
            if sidecar and status.started:
                self.ready += status.ready
                continue
            if state.terminated is not None:
                self.reason = "Init:" + _ended(state.terminated)
            elif state.waiting is not None and state.waiting.reason not in {"", "PodInitializing"}:
                self.reason = f"Init:{state.waiting.reason}"
            else:
                self.reason = f"Init:{index}/{len(self.pod.spec.init_containers)}"
            return True
        return False

    def _scan_containers(self) -> None:
        self.restarts, self.last_restart = self._sidecar_restarts, self._sidecar_last
        running = False
        error = ""
        for status in reversed(self.pod.status.container_statuses):
            self.restarts += status.restart_count
            self.last_restart = max(self.last_restart, _finished(status.last_state))
            state = status.state
            if state.waiting is not None and state.waiting.reason:
                self.reason = state.waiting.reason
            elif state.terminated is not None:
                self.reason = _ended(state.terminated)
                if state.terminated.exit_code:
                    error = self.reason
            elif status.ready and state.running is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed":
            if running:
                self.reason = "Running" if self._condition("Ready", "status") == "True" else "NotReady"
            elif error:
                self.reason = error


def _ended(state: v1.ContainerStateTerminated) -> str:
    if state.reason:
        return state.reason
    return f"Signal:{state.signal}" if state.signal else f"ExitCode:{state.exit_code}"


def _finished(state: v1.ContainerState) -> str:
    """Return when a container's earlier life ended; texts of one form compare as the times they stand for."""
    return (state.terminated.finished_at or "") if state.terminated is not None else ""
