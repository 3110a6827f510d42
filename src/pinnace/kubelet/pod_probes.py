"""Has the prober follow the running containers of a pod, and carries its verdicts to the pod's worker."""

from typing import Protocol

from pinnace.api import core_v1
from pinnace.kubelet.pod_containers import ContainerKind, everyone, is_sidecar
from pinnace.kubelet.pod_context import PodContext
from pinnace.kubelet.prober import Kind, Listener, Verdict
from pinnace.kubelet.probes import Target
from pinnace.kubelet.runtime import State

# Containers that ran so long before the agent's own start keep what an earlier agent had found out of them.
_KEPT_AFTER_SECONDS = 10.0


class ProbeListener(Protocol):
    """The worker of a pod, as its probes know it."""

    def poke(self) -> None:
        """Look again: a container became ready or started, or ceased to be."""

    def unhealthy(self, run_id: str, verdict: Verdict) -> None:
        """End a run of a container."""


def follow_probes(pod: PodContext, listener: ProbeListener) -> None:
    """Have all running containers that have probes followed; safe to repeat."""
    for kind, container in everyone(pod.pod):
        if kind is ContainerKind.EPHEMERAL or (kind is ContainerKind.INIT and not is_sidecar(container)):
            continue
        if not (container.readiness_probe or container.liveness_probe or container.startup_probe):
            continue
        run = pod.latest(container.name)
        if run is None or run.state is not State.RUNNING:
            continue
        ips, started_at = pod.ips(), run.started_at / 1e9
        target = Target(container=container, container_id=run.id, host=ips[0] if ips else "")
        old = started_at + _KEPT_AFTER_SECONDS < pod.node.began_at
        known = old and _was_ready(pod.pod, container.name)
        pod.node.prober.follow(
            pod.uid, target, started_at, _OfContainer(pod, container, run.id, listener), known_ready=known
        )


class _OfContainer(Listener):
    """What one container's probes have to say."""

    def __init__(self, pod: PodContext, container: core_v1.Container, run_id: str, listener: ProbeListener) -> None:
        self._pod, self._container, self._run_id, self._listener = pod, container, run_id, listener

    def changed(self) -> None:
        self._listener.poke()

    def warned(self, reason: str, message: str) -> None:
        self._pod.event("Warning", reason, message, self._container.name)

    def gave_up(self, kind: Kind) -> None:
        probe = self._container.liveness_probe if kind is Kind.LIVENESS else self._container.startup_probe
        grace = probe.termination_grace_period_seconds if probe is not None else None
        self._listener.unhealthy(self._run_id, Verdict(kind, grace))


def _was_ready(pod: core_v1.Pod, name: str) -> bool:
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    return any(status.name == name and status.ready for status in statuses)
