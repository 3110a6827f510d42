"""What is to be done next for a pod, for each mixture of spec and records."""

from __future__ import annotations

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet.container_config import spec_hash
from pinnace.kubelet.pod_actions import Actions, Health, compute
from pinnace.kubelet.prober import Kind, Verdict
from pinnace.kubelet.runtime import CONTAINER_HASH, Instance, PodRecord, Sandbox, State


def container(name: str, *, sidecar: bool = False, image: str = "i") -> core_v1.Container:
    return core_v1.Container(name=name, image=image, restart_policy="Always" if sidecar else None)


def make_pod(
    *regular: str, init: tuple[core_v1.Container, ...] = (), restart: str = "Always", debug: tuple[str, ...] = ()
) -> core_v1.Pod:
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="p", namespace="n", uid="u"),
        spec=core_v1.PodSpec(
            containers=tuple(container(name) for name in regular),
            init_containers=init,
            restart_policy=restart,
            ephemeral_containers=tuple(core_v1.EphemeralContainer(name=name, image="i") for name in debug),
        ),
    )


def run(name: str, state: State = State.RUNNING, code: int = 0, *, sandbox: str = "s", image: str = "i") -> Instance:
    return Instance(
        id=f"id-{name}",
        sandbox_id=sandbox,
        uid="u",
        name=name,
        state=state,
        restart_count=0,
        created_at=1,
        exit_code=code,
        annotations={CONTAINER_HASH: spec_hash(container(name, image=image))},
    )


def record(*runs: Instance, ready: bool = True, ips: tuple[str, ...] = ("10.0.0.2",)) -> PodRecord:
    sandbox = Sandbox(id="s", uid="u", name="p", namespace="n", attempt=0, ready=ready, created_at=1, ips=ips)
    return PodRecord(uid="u", sandboxes=(sandbox,), instances=runs)


def starts(actions: Actions) -> list[str]:
    return [start.container.name for start in actions.start]


ENDED = State.EXITED


def test_new_pod_needs_a_sandbox_first() -> None:
    """Nothing is started before there is one."""
    assert compute(make_pod("a"), PodRecord(uid="u"), Health()) == Actions(sandbox=True)


@pytest.mark.parametrize(
    ("restart", "records", "sandbox"),
    [
        pytest.param("Always", record(run("a"), ready=False), True, id="dead-sandbox"),
        pytest.param("Always", record(run("a"), ips=()), True, id="without-address"),
        pytest.param("Never", record(run("a", ENDED), ready=False), False, id="never-again"),
        pytest.param("Never", record(ready=False), True, id="nothing-ran-yet"),
        pytest.param("OnFailure", record(run("a", ENDED, 0), ready=False), False, id="all-done"),
        pytest.param("OnFailure", record(run("a", ENDED, 1), ready=False), True, id="failed-and-again"),
    ],
)
def test_lost_sandbox_is_made_anew_when_something_is_left_to_run(
    restart: str, records: PodRecord, sandbox: bool
) -> None:
    """A sandbox is made for what may still run, and for nothing else."""
    found = compute(make_pod("a", restart=restart), records, Health())
    assert found == (Actions(sandbox=True) if sandbox else Actions(finished=True))


def test_regular_containers_start_together() -> None:
    """All that do not run are started, in the order of the spec."""
    assert starts(compute(make_pod("b", "a"), record(), Health())) == ["b", "a"]
    assert starts(compute(make_pod("b", "a"), record(run("a")), Health())) == ["b"]


@pytest.mark.parametrize(
    ("restart", "code", "again"),
    [("Always", 0, True), ("OnFailure", 0, False), ("OnFailure", 2, True), ("Never", 2, False)],
)
def test_ended_container_starts_again_by_its_policy(restart: str, code: int, again: bool) -> None:
    """The restart policy decides, and a pod of which nothing will run again is finished."""
    found = compute(make_pod("a", restart=restart), record(run("a", ENDED, code)), Health())
    assert starts(found) == (["a"] if again else [])
    assert found.finished is not again


def test_init_containers_run_one_after_the_other() -> None:
    """The next one starts when the one before has ended well; the others wait for all."""
    pod = make_pod("main", init=(container("one"), container("two")))
    assert starts(compute(pod, record(), Health())) == ["one"]
    assert starts(compute(pod, record(run("one")), Health())) == []
    assert starts(compute(pod, record(run("one", ENDED)), Health())) == ["two"]
    assert starts(compute(pod, record(run("one", ENDED), run("two", ENDED)), Health())) == ["main"]
    assert starts(compute(pod, record(run("two", ENDED)), Health())) == ["main"]


@pytest.mark.parametrize(("restart", "hopeless"), [("Never", True), ("Always", False), ("OnFailure", False)])
def test_failed_init_container_ends_or_repeats(restart: str, hopeless: bool) -> None:
    """A failure ends a pod that never restarts, and is tried again in others."""
    pod = make_pod("main", init=(container("one"),), restart=restart)
    found = compute(pod, record(run("one", ENDED, 1)), Health())
    assert found.finished is hopeless
    assert starts(found) == ([] if hopeless else ["one"])


def test_sidecar_lets_the_next_one_begin_once_it_has_started() -> None:
    """A running sidecar is waited for until its startup probe has succeeded."""
    pod = make_pod("main", init=(container("side", sidecar=True), container("two")))
    assert starts(compute(pod, record(), Health())) == ["side"]
    assert starts(compute(pod, record(run("side")), Health(started=lambda _: False))) == []
    assert starts(compute(pod, record(run("side")), Health())) == ["two"]
    assert starts(compute(pod, record(run("side"), run("two", ENDED)), Health())) == ["main"]


def test_sidecar_that_ended_is_started_again_at_any_time() -> None:
    """While later init containers run, and while the regular ones do, in any policy."""
    pod = make_pod("main", init=(container("side", sidecar=True), container("two")), restart="Never")
    dead = run("side", ENDED, 1)
    assert starts(compute(pod, record(dead, run("two")), Health())) == ["side"]
    assert starts(compute(pod, record(dead, run("two", ENDED), run("main")), Health())) == ["side"]


def test_sidecars_do_not_keep_a_pod_from_finishing() -> None:
    """When the regular containers are done, nothing is started, whatever sidecars do."""
    pod = make_pod("main", init=(container("side", sidecar=True),), restart="OnFailure")
    found = compute(pod, record(run("side"), run("main", ENDED)), Health())
    assert found.finished
    assert starts(found) == []


def test_container_of_another_sandbox_counts_for_nothing() -> None:
    """Init containers run again in a new sandbox."""
    pod = make_pod("main", init=(container("one"),))
    assert starts(compute(pod, record(run("one", ENDED, sandbox="old")), Health())) == ["one"]


def test_ephemeral_containers_start_once() -> None:
    """They come before all others and are never started again."""
    pod = make_pod("main", init=(container("one"),), debug=("debug",))
    assert starts(compute(pod, record(run("one")), Health())) == ["debug"]
    assert starts(compute(pod, record(run("one"), run("debug", ENDED, 1)), Health())) == []


@pytest.mark.parametrize(
    ("restart", "message"),
    [
        ("Always", "Container main failed liveness probe, will be restarted"),
        ("Never", "Container main failed liveness probe"),
    ],
)
def test_unhealthy_container_is_killed_with_the_grace_of_its_probe(restart: str, message: str) -> None:
    """The verdict of a probe ends a container; the text says whether it comes back."""
    verdict = Verdict(Kind.LIVENESS, 7)
    found = compute(make_pod("main", restart=restart), record(run("main")), Health(unhealthy={"id-main": verdict}))
    assert [(kill.message, kill.grace_seconds) for kill in found.kill] == [(message, 7)]


def test_changed_image_replaces_the_container() -> None:
    """A container whose image is not the spec's any more is ended."""
    found = compute(make_pod("main"), record(run("main", image="old")), Health())
    assert [kill.message for kill in found.kill] == ["Container main definition changed, will be restarted"]
