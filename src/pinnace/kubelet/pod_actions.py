"""What to do next for a pod, worked out from its spec and from what the runtime has of it. Pure.

Order: a sandbox, ephemeral containers, init containers one after the other (sidecars stay and let the next one begin once they have
started), then all regular containers. Upstream: kuberuntime `kuberuntime_manager.go` computePodActions, `kuberuntime_container.go`.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from pinnace.api import core_v1
from pinnace.kubelet.container_config import spec_hash
from pinnace.kubelet.pod_containers import ContainerKind, as_container, is_sidecar, may_restart
from pinnace.kubelet.prober import Verdict
from pinnace.kubelet.runtime import CONTAINER_HASH, Instance, PodRecord, Sandbox, State


class Kill(Struct, frozen=True):
    """A running container that is to be ended; what is left is worked out anew afterwards."""

    run: Instance
    message: str
    grace_seconds: int | None = None


class Start(Struct, frozen=True):
    """A container that is to be started."""

    kind: ContainerKind
    container: core_v1.Container


class Actions(Struct, frozen=True, kw_only=True):
    """All that can be done now; `finished` says that nothing of the pod will run again."""

    sandbox: bool = False
    finished: bool = False
    kill: tuple[Kill, ...] = ()
    start: tuple[Start, ...] = ()


class Health(Struct, frozen=True, kw_only=True):
    """What probes have found out: verdicts by run, and which containers have started."""

    unhealthy: Mapping[str, Verdict] = field(default_factory=dict)
    started: Callable[[core_v1.Container], bool] = lambda _: True


def compute(pod: core_v1.Pod, record: PodRecord, health: Health) -> Actions:
    """Return what to do now."""
    sandbox = record.sandbox
    if not usable(pod, sandbox):
        return _without_sandbox(pod, record)
    assert sandbox is not None
    runs = _Runs(record, sandbox)
    kill = _kills(pod, runs, health)
    ephemeral = tuple(
        Start(ContainerKind.EPHEMERAL, as_container(each))
        for each in pod.spec.ephemeral_containers or ()
        if runs.latest(each.name) is None
    )
    initial, initialized, hopeless = _initial(pod, runs, health)
    if hopeless:
        return Actions(finished=True, kill=kill)
    if not initialized:
        return Actions(kill=kill, start=(*ephemeral, *initial))
    regular, alive = _regular(pod, runs)
    return Actions(finished=not alive, kill=kill, start=(*ephemeral, *initial, *regular) if alive else ())


def usable(pod: core_v1.Pod, sandbox: Sandbox | None) -> bool:
    """Tell whether containers can be put into a sandbox."""
    return sandbox is not None and sandbox.ready and (bool(sandbox.ips) or bool(pod.spec.host_network))


class _Runs:
    """The runs of containers in one sandbox."""

    def __init__(self, record: PodRecord, sandbox: Sandbox) -> None:
        self._record, self._sandbox = record, sandbox

    def latest(self, name: str) -> Instance | None:
        return next((run for run in self._record.of(name) if run.sandbox_id == self._sandbox.id), None)

    def running(self, name: str) -> Instance | None:
        run = self.latest(name)
        return run if run is not None and run.state is State.RUNNING else None


def _without_sandbox(pod: core_v1.Pod, record: PodRecord) -> Actions:
    """Ask for a sandbox, unless nothing would be left to run in it."""
    policy = pod.spec.restart_policy or "Always"
    if policy == "Never" and record.sandbox is not None and record.instances:
        return Actions(finished=True)
    done = 0
    for container in pod.spec.containers or ():
        run = next(iter(record.of(container.name)), None)
        if run is not None and run.state is State.EXITED:
            done += not may_restart(pod, container, run.exit_code, initial=False)
    if done and done == len(pod.spec.containers or ()):
        return Actions(finished=True)
    return Actions(sandbox=True)


def _kills(pod: core_v1.Pod, runs: _Runs, health: Health) -> tuple[Kill, ...]:
    found = []
    for kind, container in _lasting(pod):
        run = runs.running(container.name)
        if run is None:
            continue
        noun = "Init container" if kind is ContainerKind.INIT else "Container"
        if run.annotations.get(CONTAINER_HASH) != spec_hash(container):
            found.append(Kill(run, f"{noun} {container.name} definition changed, will be restarted"))
        elif verdict := health.unhealthy.get(run.id):
            again = may_restart(pod, container, 137, initial=kind is ContainerKind.INIT)
            suffix = ", will be restarted" if again else ""
            text = f"{noun} {container.name} failed {verdict.kind.lower()} probe{suffix}"
            found.append(Kill(run, text, verdict.grace_seconds))
    return tuple(found)


def _lasting(pod: core_v1.Pod) -> list[tuple[ContainerKind, core_v1.Container]]:
    sidecars = [(ContainerKind.INIT, each) for each in pod.spec.init_containers or () if is_sidecar(each)]
    return [*sidecars, *((ContainerKind.REGULAR, each) for each in pod.spec.containers or ())]


def _initial(pod: core_v1.Pod, runs: _Runs, health: Health) -> tuple[tuple[Start, ...], bool, bool]:
    """Return what to start of the init containers, whether they are done, and whether they never will be."""
    containers = pod.spec.init_containers or ()
    began = any(runs.latest(each.name) is not None for each in pod.spec.containers or ())
    reached = max((index for index, each in enumerate(containers) if runs.latest(each.name) is not None), default=-1)
    starts: list[Start] = []
    for index, container in enumerate(containers):
        run = runs.latest(container.name)
        if is_sidecar(container):
            if run is None or run.state is not State.RUNNING:
                starts.append(Start(ContainerKind.INIT, container))
                if index >= reached and not began:
                    return tuple(starts), False, False
            elif not began and index >= reached and not health.started(container):
                return tuple(starts), False, False
            continue
        if began or index < reached or (run is not None and run.state is State.EXITED and run.exit_code == 0):
            # Done; one whose record was cleaned away has been, as a later one could not have begun.
            continue
        if run is None or run.state in {State.CREATED, State.UNKNOWN}:
            starts.append(Start(ContainerKind.INIT, container))
        elif run.state is State.EXITED:
            if not may_restart(pod, container, run.exit_code, initial=True):
                return (), False, True
            starts.append(Start(ContainerKind.INIT, container))
        return tuple(starts), False, False
    return tuple(starts), True, False


def _regular(pod: core_v1.Pod, runs: _Runs) -> tuple[tuple[Start, ...], bool]:
    """Return what to start of the regular containers, and whether any runs or will run."""
    starts, running = [], False
    for container in pod.spec.containers or ():
        run = runs.latest(container.name)
        if run is not None and run.state is State.RUNNING:
            running = True
        elif run is None or run.state is not State.EXITED or may_restart(pod, container, run.exit_code, initial=False):
            starts.append(Start(ContainerKind.REGULAR, container))
    return tuple(starts), running or bool(starts)
