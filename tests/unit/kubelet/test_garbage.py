"""What is garbage: dead runs that nobody looks at, sandboxes that were replaced."""

from __future__ import annotations

from pinnace.kubelet.garbage import dead
from pinnace.kubelet.runtime import Instance, PodRecord, Sandbox, State


def run(name: str, attempt: int, state: State, sandbox: str) -> Instance:
    return Instance(
        id=f"{name}{attempt}",
        sandbox_id=sandbox,
        uid="u",
        name=name,
        state=state,
        restart_count=attempt,
        created_at=attempt,
    )


def sandbox(name: str, *, ready: bool) -> Sandbox:
    return Sandbox(id=name, uid="u", name="p", namespace="n", attempt=0, ready=ready, created_at=1)


def test_newest_dead_run_and_newest_sandbox_stay() -> None:
    """Of each container one dead run is kept; an old sandbox goes when nothing of it is kept."""
    record = PodRecord(
        uid="u",
        sandboxes=(sandbox("new", ready=True), sandbox("held", ready=False), sandbox("old", ready=False)),
        instances=(
            run("a", 3, State.RUNNING, "new"),
            run("a", 2, State.EXITED, "new"),
            run("a", 1, State.EXITED, "old"),
            run("b", 0, State.EXITED, "held"),
        ),
    )
    assert dead([record]) == (["a1"], ["old"])


def test_lone_dead_sandbox_stays() -> None:
    """The newest sandbox of a pod that has ended is kept, as its containers are looked at."""
    record = PodRecord(uid="u", sandboxes=(sandbox("s", ready=False),), instances=(run("a", 0, State.EXITED, "s"),))
    assert dead([record]) == ([], [])
