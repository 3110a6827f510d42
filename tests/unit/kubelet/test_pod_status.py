"""Phases, conditions and container states from what the runtime shows."""

from __future__ import annotations

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet import pod_status
from pinnace.kubelet.pod_status import Observed
from pinnace.kubelet.runtime import Instance, PodRecord, Sandbox, State

NOW = 1_700_000_000.0


def make_pod(*names: str, restart: str = "Always", init: tuple[str, ...] = (), deleted: bool = False) -> core_v1.Pod:
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(
            name="p", namespace="n", uid="u", deletion_timestamp="2023-11-14T00:00:00Z" if deleted else None
        ),
        spec=core_v1.PodSpec(
            containers=tuple(core_v1.Container(name=name) for name in names),
            init_containers=tuple(core_v1.Container(name=name) for name in init),
            restart_policy=restart,
        ),
        status=core_v1.PodStatus(phase="Pending"),
    )


def ran(name: str, state: State, code: int = 0, restarts: int = 0) -> Instance:
    nanos = int(NOW * 1e9) + restarts
    return Instance(
        id=f"{name}-{restarts}",
        sandbox_id="s",
        uid="u",
        name=name,
        state=state,
        restart_count=restarts,
        created_at=nanos,
        started_at=nanos,
        finished_at=nanos if state is State.EXITED else 0,
        exit_code=code,
    )


def seen(*runs: Instance, ended: bool = False, waiting: dict[str, tuple[str, str]] | None = None) -> Observed:
    sandbox = Sandbox(id="s", uid="u", name="p", namespace="n", attempt=0, ready=True, created_at=1, ips=("10.0.0.5",))
    record = PodRecord(uid="u", sandboxes=(sandbox,), instances=runs)
    return Observed(record=record, host_ip="192.0.2.1", ended=ended, waiting=waiting or {})


@pytest.mark.parametrize(
    ("restart", "runs", "ended", "phase"),
    [
        pytest.param("Always", (), False, "Pending", id="nothing-started"),
        pytest.param("Always", (ran("a", State.RUNNING),), False, "Running", id="running"),
        pytest.param("Always", (ran("a", State.EXITED, 1),), False, "Running", id="to-be-restarted"),
        pytest.param("OnFailure", (ran("a", State.EXITED, 0),), False, "Succeeded", id="done"),
        pytest.param("OnFailure", (ran("a", State.EXITED, 1),), False, "Running", id="failed-to-be-restarted"),
        pytest.param("Never", (ran("a", State.EXITED, 1),), False, "Failed", id="failed"),
        pytest.param("Always", (ran("a", State.EXITED, 0),), True, "Succeeded", id="ended-well"),
        pytest.param("Always", (ran("a", State.EXITED, 137),), True, "Failed", id="ended-badly"),
        pytest.param("Always", (), True, "Failed", id="ended-unseen"),
    ],
)
def test_phase_follows_containers(restart: str, runs: tuple[Instance, ...], ended: bool, phase: str) -> None:
    """The phase is upstream's for each mixture of states and policies."""
    assert pod_status.make(make_pod("a", restart=restart), seen(*runs, ended=ended), NOW).phase == phase


def test_pod_waits_for_its_init_containers() -> None:
    """Until they are done the pod is Pending and not Initialized, and the others say PodInitializing."""
    status = pod_status.make(make_pod("a", init=("i",)), seen(ran("i", State.RUNNING)), NOW)
    assert status.phase == "Pending"
    initialized = next(item for item in status.conditions if item.type == "Initialized")
    assert (initialized.status, initialized.reason) == ("False", "ContainersNotInitialized")
    assert initialized.message == "containers with incomplete status: [i]"
    waiting = status.container_statuses[0].state.waiting
    assert waiting is not None
    assert waiting.reason == "PodInitializing"


def test_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    """Nothing else is started then."""
    status = pod_status.make(make_pod("a", init=("i",), restart="Never"), seen(ran("i", State.EXITED, 2)), NOW)
    assert status.phase == "Failed"


def test_backing_off_container_shows_its_last_end() -> None:
    """The waiting reason stands in front, the end moves to lastState."""
    observed = seen(ran("a", State.EXITED, 1, 2), waiting={"a": ("CrashLoopBackOff", "back-off")})
    status = pod_status.make(make_pod("a"), observed, NOW).container_statuses[0]
    assert status.state.waiting is not None
    assert status.state.waiting.reason == "CrashLoopBackOff"
    assert status.last_state.terminated is not None
    assert status.last_state.terminated.exit_code == 1
    assert status.restart_count == 2


def test_conditions_of_a_ready_pod_and_of_others() -> None:
    """Ours follow the foreign ones in upstream's order; times move only with the status."""
    foreign = core_v1.PodCondition(type="example.com/gate", status="True")
    pod = make_pod("a")
    first = pod_status.make(pod, seen(ran("a", State.RUNNING)), NOW)
    again = core_v1.Pod(
        metadata=pod.metadata,
        spec=pod.spec,
        status=core_v1.PodStatus(phase="Running", conditions=(foreign, *first.conditions), start_time=first.start_time),
    )
    second = pod_status.make(again, seen(ran("a", State.RUNNING)), NOW + 60)
    assert [item.type for item in second.conditions] == ["example.com/gate", *pod_status.OWN_CONDITIONS]
    assert all(item.status == "True" for item in second.conditions)
    assert second.conditions[1:] == first.conditions
    assert second.start_time == first.start_time


def test_terminal_phase_stays() -> None:
    """A pod that has failed does not come back."""
    pod = make_pod("a")
    over = core_v1.Pod(metadata=pod.metadata, spec=pod.spec, status=core_v1.PodStatus(phase="Failed", reason="Evicted"))
    status = pod_status.make(over, seen(ran("a", State.RUNNING)), NOW)
    assert (status.phase, status.reason) == ("Failed", "Evicted")
