"""A pod's status from what the runtime shows: phase, conditions, container states. Pure.

Upstream: kubelet `kubelet_pods.go` (getPhase, convertToAPIContainerStatuses), `status/generate.go`.
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.kubelet.pod_containers import ContainerKind, as_container, is_sidecar, may_restart
from pinnace.kubelet.runtime import Instance, PodRecord, State
from pinnace.machinery import timestamps

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
DISRUPTION = "DisruptionTarget"
TERMINAL = ("Succeeded", "Failed")


class Observed(Struct, frozen=True, kw_only=True):
    """What the worker knows beside the runtime's records."""

    record: PodRecord
    host_ip: str
    runtime_name: str = "containerd"
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unready: frozenset[str] = frozenset()
    unstarted: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)
    ended: bool = False
    reason: str = ""
    message: str = ""
    # Ended by the agent for the good of the node.
    disrupted: bool = False


def make(pod: core_v1.Pod, seen: Observed, now: float) -> core_v1.PodStatus:
    """Return the status to write; foreign conditions and the start time are kept."""
    initial = tuple(_container(pod, each, seen, ContainerKind.INIT) for each in pod.spec.init_containers or ())
    regular = tuple(
        _container(pod, each, seen, ContainerKind.REGULAR)
        for each in sorted(pod.spec.containers or (), key=lambda container: container.name)
    )
    ephemeral = tuple(
        _container(pod, as_container(each), seen, ContainerKind.EPHEMERAL)
        for each in sorted(pod.spec.ephemeral_containers or (), key=lambda container: container.name)
    )
    before = pod.status.phase
    phase = before if before in TERMINAL else _phase(pod, initial, regular, seen)
    if seen.reason and phase not in TERMINAL:
        phase = "Failed"
    if seen.ended and phase not in TERMINAL:
        phase = "Failed"
    sandbox = seen.record.sandbox
    host_network = bool(pod.spec.host_network)
    ips = (seen.host_ip,) if host_network else sandbox.ips if sandbox is not None else ()
    if not ips:
        # A pod keeps the address it had until it gets another one, also when it is over.
        ips = tuple(item.ip for item in pod.status.pod_ips)
    status = replace(
        pod.status,
        observed_generation=pod.metadata.generation,
        phase=phase,
        reason=seen.reason or (pod.status.reason if phase == before else ""),
        message=seen.message or (pod.status.message if phase == before else ""),
        host_ip=seen.host_ip,
        host_ips=(core_v1.HostIP(ip=seen.host_ip),),
        pod_ip=ips[0] if ips else "",
        pod_ips=tuple(core_v1.PodIP(ip=ip) for ip in ips),
        start_time=pod.status.start_time or timestamps.format(now),
        init_container_statuses=initial,
        container_statuses=regular,
        ephemeral_container_statuses=ephemeral,
    )
    ready = sandbox is not None and sandbox.ready and (bool(sandbox.ips) or host_network)
    made = _conditions(pod, status, initial, regular, now, sandbox_ready=ready)
    return replace(status, conditions=(*made, *_disruption(pod, seen, now)))


def _container(
    pod: core_v1.Pod, spec: core_v1.Container, seen: Observed, kind: ContainerKind
) -> core_v1.ContainerStatus:
    runs = seen.record.of(spec.name)
    latest = runs[0] if runs else None
    state = _state(latest, seen) if latest is not None else None
    last = core_v1.ContainerState()
    if len(runs) > 1 and runs[1].state is State.EXITED:
        last = _state(runs[1], seen)
    if spec.name in seen.waiting and (state is None or state.running is None):
        if state is not None and state.terminated is not None:
            last = state
        reason, message = seen.waiting[spec.name]
        state = core_v1.ContainerState(waiting=core_v1.ContainerStateWaiting(reason=reason, message=message))
    if state is None:
        state = _never_ran(pod, seen)
    running = state.running is not None
    started: bool | None = running and spec.name not in seen.unstarted
    if kind is ContainerKind.EPHEMERAL:
        ready, started = False, None
    elif kind is ContainerKind.INIT and not is_sidecar(spec):
        ready = state.terminated is not None and state.terminated.exit_code == 0
        started = running
    else:
        ready = bool(started) and spec.name not in seen.unready
    old = {item.name: item for item in (*pod.status.init_container_statuses, *pod.status.container_statuses)}
    restarts = latest.restart_count if latest is not None else old[spec.name].restart_count if spec.name in old else 0
    return core_v1.ContainerStatus(
        name=spec.name,
        state=state,
        last_state=last,
        ready=ready,
        started=started,
        restart_count=restarts,
        image=(latest.image if latest is not None else "") or spec.image,
        image_id=latest.image_id if latest is not None else "",
        container_id=f"{seen.runtime_name}://{latest.id}" if latest is not None else "",
        resources=spec.resources if spec.resources.limits or spec.resources.requests else None,
        allocated_resources=spec.resources.requests,
        volume_mounts=tuple(
            core_v1.VolumeMountStatus(
                name=mount.name,
                mount_path=mount.mount_path,
                read_only=mount.read_only,
                recursive_read_only="Disabled" if mount.read_only else None,
            )
            for mount in spec.volume_mounts
        ),
    )


def _never_ran(pod: core_v1.Pod, seen: Observed) -> core_v1.ContainerState:
    if seen.ended:
        lost = core_v1.ContainerStateTerminated(
            exit_code=137,
            reason="ContainerStatusUnknown",
            message="The container could not be located when the pod was terminated",
        )
        return core_v1.ContainerState(terminated=lost)
    reason = "PodInitializing" if pod.spec.init_containers else "ContainerCreating"
    return core_v1.ContainerState(waiting=core_v1.ContainerStateWaiting(reason=reason))


def _state(run: Instance, seen: Observed) -> core_v1.ContainerState:
    if run.state is State.RUNNING:
        return core_v1.ContainerState(running=core_v1.ContainerStateRunning(started_at=_time(run.started_at)))
    if run.state is State.CREATED:
        return core_v1.ContainerState(waiting=core_v1.ContainerStateWaiting())
    return core_v1.ContainerState(
        terminated=core_v1.ContainerStateTerminated(
            exit_code=run.exit_code,
            reason=run.reason or ("Completed" if run.exit_code == 0 else "Error"),
            message=seen.messages.get(run.id, run.message),
            started_at=_time(run.started_at),
            finished_at=_time(run.finished_at),
            container_id=f"{seen.runtime_name}://{run.id}",
        )
    )


def _time(nanoseconds: int) -> str | None:
    return timestamps.format(nanoseconds / 1e9) if nanoseconds > 0 else None


def _phase(
    pod: core_v1.Pod,
    initial: tuple[core_v1.ContainerStatus, ...],
    regular: tuple[core_v1.ContainerStatus, ...],
    seen: Observed,
) -> str:
    specs = {each.name: each for each in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))}
    any_started = any(status.state.running or status.state.terminated or _has_run(status) for status in regular)
    pending = False
    for status in initial:
        spec, ended = specs[status.name], status.state.terminated or status.last_state.terminated
        if is_sidecar(spec):
            pending |= not any_started and not status.started and ended is None
        elif ended is not None and ended.exit_code != 0:
            if not may_restart(pod, spec, ended.exit_code, initial=True) and not pod.metadata.deletion_timestamp:
                return "Failed"
            pending |= not any_started
        elif ended is None and not any_started:
            pending = True
    running = sum(1 for status in regular if status.state.running)
    waiting = sum(1 for status in regular if status.state.waiting and not status.last_state.terminated)
    stopped = [pair for status in regular if (pair := _ended(status)) is not None]
    if pending and not seen.ended:
        return "Pending"
    if waiting and not seen.ended:
        return "Pending"
    if running:
        return "Running"
    if stopped:
        codes = [ended.exit_code for _, ended in stopped]
        if not seen.ended and any(
            may_restart(pod, specs[name], ended.exit_code, initial=False) for name, ended in stopped
        ):
            return "Running"
        if pod.metadata.deletion_timestamp and not seen.ended:
            return pod.status.phase or "Pending"
        return "Succeeded" if not any(codes) else "Failed"
    return "Pending"


def _has_run(status: core_v1.ContainerStatus) -> bool:
    return status.last_state.terminated is not None


def _ended(status: core_v1.ContainerStatus) -> tuple[str, core_v1.ContainerStateTerminated] | None:
    ended = status.state.terminated or (status.last_state.terminated if status.state.waiting else None)
    return (status.name, ended) if ended is not None else None


def _conditions(
    pod: core_v1.Pod,
    status: core_v1.PodStatus,
    initial: tuple[core_v1.ContainerStatus, ...],
    regular: tuple[core_v1.ContainerStatus, ...],
    now: float,
    *,
    sandbox_ready: bool,
) -> tuple[core_v1.PodCondition, ...]:
    specs = {each.name: each for each in pod.spec.init_containers or ()}
    any_started = any(item.state.running or item.state.terminated or _has_run(item) for item in regular)
    incomplete = [
        item.name
        for item in initial
        if not (item.started if is_sidecar(specs[item.name]) else item.ready) and not any_started
    ]
    sidecars = [item for item in initial if is_sidecar(specs[item.name])]
    unready = [item.name for item in (*sidecars, *regular) if not item.ready]
    containers = _containers_ready(status.phase, unready)
    foreign = {item.type: item for item in pod.status.conditions if item.type not in OWN_CONDITIONS}
    own = [
        ("PodReadyToStartContainers", sandbox_ready, "", ""),
        _initialized(status.phase, incomplete),
        ("Ready", *_gates(pod, foreign, containers)),
        ("ContainersReady", *containers),
        ("PodScheduled", True, "", ""),
    ]
    old = {item.type: item for item in pod.status.conditions}
    made = list(foreign.values())
    for kind, holds, reason, message in own:
        value = "True" if holds else "False"
        kept = old.get(kind)
        since = kept.last_transition_time if kept is not None and kept.status == value else timestamps.format(now)
        made.append(
            core_v1.PodCondition(
                type=kind,
                status=value,
                reason=reason,
                message=message,
                last_transition_time=since,
                observed_generation=pod.metadata.generation,
            )
        )
    return tuple(made)


def _disruption(pod: core_v1.Pod, seen: Observed, now: float) -> tuple[core_v1.PodCondition, ...]:
    if not seen.disrupted or any(item.type == DISRUPTION for item in pod.status.conditions):
        return ()
    return (
        core_v1.PodCondition(
            type=DISRUPTION,
            status="True",
            reason="TerminationByKubelet",
            message=seen.message,
            last_transition_time=timestamps.format(now),
            observed_generation=pod.metadata.generation,
        ),
    )


def _initialized(phase: str, incomplete: list[str]) -> tuple[str, bool, str, str]:
    if phase == "Succeeded":
        return "Initialized", True, "PodCompleted", ""
    if incomplete:
        text = f"containers with incomplete status: [{' '.join(incomplete)}]"
        return "Initialized", False, "ContainersNotInitialized", text
    return "Initialized", True, "", ""


def _containers_ready(phase: str, unready: list[str]) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _gates(
    pod: core_v1.Pod, foreign: Mapping[str, core_v1.PodCondition], containers: tuple[bool, str, str]
) -> tuple[bool, str, str]:
    if not containers[0]:
        return containers
    texts = []
    for gate in pod.spec.readiness_gates or ():
        found = foreign.get(gate.condition_type)
        if found is None:
            texts.append(f'corresponding condition of pod readiness gate "{gate.condition_type}" does not exist.')
        elif found.status != "True":
            texts.append(f'the status of pod readiness gate "{gate.condition_type}" is not "True", but {found.status}')
    return (False, "ReadinessGatesNotReady", ", ".join(texts)) if texts else containers
