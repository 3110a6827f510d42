"""What every container runtime promises the node agent, held by the simulated one and by a real containerd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pinnace.cluster import cni
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.images import Images
from pinnace.cluster.mounts import unmount_below
from pinnace.component.clock import RealClock
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.streams import CommandOptions, PortForwardFailed
from pinnace.kubelet.cri import CriRuntime
from pinnace.kubelet.runtime import (
    CONTAINER_HASH,
    CONTAINER_NAME,
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    RESTART_COUNT,
    ContainerConfig,
    Instance,
    NotThere,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
    State,
)
from pinnace.kubelet.simulated import SimulatedRuntime

IMAGE = "ikubernetes/demoapp:v1.0"
NETWORK = "10.199.8."
CGROUP = f"/pinnace-contract-{os.getpid()}"


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A containerd for all tests of this module; gives the socket."""
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("containerd", "runc", "iptables")):
        pytest.skip("real containers need root, containerd, runc and iptables")
    folder = tmp_path_factory.mktemp("contract")
    paths = ContainerdPaths(folder / "containerd")
    daemon = Containerd(paths, detect(), RealClock())

    async def start() -> None:
        await daemon.start()
        await Images(paths, folder / "images").import_new()
        cni.write(paths.cni_conf, paths.cni_data, cni.pod_network(folder), f"{NETWORK}0/24", masquerade=True)

    async def stop() -> None:
        async with CriRuntime(str(paths.socket)) as runtime:
            await end_all(runtime)
        await daemon.stop()
        bridge = cni.pod_network(folder).bridge
        gone = await asyncio.create_subprocess_exec("ip", "link", "delete", bridge, stderr=asyncio.subprocess.DEVNULL)
        await gone.wait()

    asyncio.run(start())
    yield paths.socket
    asyncio.run(stop())
    unmount_below(folder)
    for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        base = top / CGROUP.lstrip("/")
        for below in sorted((*base.glob("**/"), base), key=lambda path: -len(path.parts)):
            if below.exists():
                below.rmdir()


@pytest.fixture(params=["simulated", "containerd"])
def socket(request: pytest.FixtureRequest) -> Path | None:
    """Where the runtime is; None for the simulated one."""
    return None if request.param == "simulated" else request.getfixturevalue("containerd")


@pytest.fixture
async def runtime(socket: Path | None) -> AsyncIterator[Runtime]:
    """Each runtime, empty."""
    if socket is None:
        async with SimulatedRuntime(RealClock(), random.Random(1)) as simulated:
            await simulated.set_pod_cidr(f"{NETWORK}0/24")
            yield simulated
        return
    async with CriRuntime(str(socket)) as real:
        yield real
        await end_all(real)


async def end_all(runtime: Runtime) -> None:
    async with asyncio.timeout(10):
        while records := await runtime.pods():
            for record in records.values():
                with contextlib.suppress(RuntimeFailure):
                    for run in record.instances:
                        await runtime.stop_container(run.id, 0)
                    for sandbox in record.sandboxes:
                        await runtime.end_sandbox(sandbox.id, remove=True)


def sandbox_config(uid: str = "uid-1") -> SandboxConfig:
    return SandboxConfig(
        name=f"pod-{uid}",
        namespace="default",
        uid=uid,
        hostname=f"pod-{uid}",
        labels={POD_NAME: f"pod-{uid}", POD_NAMESPACE: "default", POD_UID: uid},
        cgroup_parent=f"{CGROUP}/{uid}",
    )


def container_config(script: str, attempt: int = 0) -> ContainerConfig:
    return ContainerConfig(
        name="main",
        attempt=attempt,
        image=IMAGE,
        command=("/bin/sh", "-c", script),
        labels={POD_NAME: "pod-uid-1", POD_NAMESPACE: "default", POD_UID: "uid-1", CONTAINER_NAME: "main"},
        annotations={CONTAINER_HASH: "abc", RESTART_COUNT: str(attempt)},
    )


async def started(runtime: Runtime, script: str) -> str:
    """A container of pod uid-1 that runs this."""
    sandbox = await runtime.run_sandbox(sandbox_config())
    made = await runtime.create_container(sandbox, container_config(script), sandbox_config())
    await runtime.start_container(made)
    return made


async def only(runtime: Runtime) -> Instance:
    (run,) = (await runtime.pod("uid-1")).instances
    return run


async def until_ended(runtime: Runtime) -> Instance:
    async with asyncio.timeout(10):
        while (run := await only(runtime)).state is not State.EXITED:
            await asyncio.sleep(0.01)
    return run


async def test_sandbox_has_an_address_of_its_own(runtime: Runtime) -> None:
    """Two sandboxes are ready with different addresses of the pod network."""
    for uid in ("uid-1", "uid-2"):
        await runtime.run_sandbox(sandbox_config(uid))
    records = await runtime.pods()
    sandboxes = [records[uid].sandboxes[0] for uid in ("uid-1", "uid-2")]
    assert all(sandbox.ready for sandbox in sandboxes)
    assert all(sandbox.ips[0].startswith(NETWORK) for sandbox in sandboxes)
    assert sandboxes[0].ips != sandboxes[1].ips
    assert [sandbox.name for sandbox in sandboxes] == ["pod-uid-1", "pod-uid-2"]


async def test_one_pod_is_seen_as_among_all(runtime: Runtime) -> None:
    """Asking for one pod gives what asking for all gives of it, and an empty record when there is none."""
    await started(runtime, "sleep 1000")
    assert await runtime.pod("uid-1") == (await runtime.pods())["uid-1"]
    assert (await runtime.pod("nobody")).sandbox is None


async def test_sandbox_ends_in_two_steps(runtime: Runtime) -> None:
    """An ended sandbox is known and not ready; a removed one is gone; both may be repeated."""
    made = await runtime.run_sandbox(sandbox_config())
    await runtime.end_sandbox(made, remove=False)
    sandbox = (await runtime.pod("uid-1")).sandbox
    assert sandbox is not None
    assert not sandbox.ready
    for _ in range(2):
        await runtime.end_sandbox(made, remove=True)
    assert "uid-1" not in await runtime.pods()


async def test_container_goes_from_created_to_exited(runtime: Runtime) -> None:
    """Its record tells state, times, exit code, reason, and what it was labelled with."""
    sandbox = await runtime.run_sandbox(sandbox_config())
    made = await runtime.create_container(sandbox, container_config("sleep 0.3; exit 3"), sandbox_config())
    assert (await only(runtime)).state is State.CREATED
    await runtime.start_container(made)
    running = await only(runtime)
    assert running.state is State.RUNNING
    assert running.started_at >= running.created_at > 0
    ended = await until_ended(runtime)
    assert (ended.id, ended.exit_code, ended.reason) == (made, 3, "Error")
    assert 0.2e9 < ended.finished_at - ended.started_at < 5e9
    assert (ended.name, ended.sandbox_id, ended.annotations[CONTAINER_HASH]) == ("main", sandbox, "abc")


async def test_container_that_ends_well_is_completed(runtime: Runtime) -> None:
    """Exit code 0 has upstream's word."""
    await started(runtime, "true")
    ended = await until_ended(runtime)
    assert (ended.exit_code, ended.reason) == (0, "Completed")


async def test_newest_run_comes_first(runtime: Runtime) -> None:
    """The runs of one container are ordered, and carry their attempt."""
    sandbox = await runtime.run_sandbox(sandbox_config())
    for attempt in range(2):
        config = container_config("true", attempt)
        await runtime.start_container(await runtime.create_container(sandbox, config, sandbox_config()))
    runs = (await runtime.pod("uid-1")).of("main")
    assert [run.restart_count for run in runs] == [1, 0]


async def test_stop_waits_for_the_end(runtime: Runtime) -> None:
    """When the stop returns, the container has ended, well before the grace is over; a second stop does nothing."""
    made = await started(runtime, "trap 'exit 0' TERM; while true; do sleep 0.05; done")
    async with asyncio.timeout(5):
        await runtime.stop_container(made, 30)
        await runtime.stop_container(made, 30)
    assert (await only(runtime)).state is State.EXITED


async def test_unknown_things_are_ended_already(runtime: Runtime) -> None:
    """Stopping and removing what is not there succeeds; starting it fails as not there."""
    await runtime.stop_container("0" * 64, 1)
    await runtime.remove_container("0" * 64)
    await runtime.end_sandbox("0" * 64, remove=True)
    with pytest.raises(NotThere):
        await runtime.start_container("0" * 64)


async def test_removed_container_is_forgotten(runtime: Runtime) -> None:
    """An ended container can be removed while its sandbox stays."""
    made = await started(runtime, "true")
    await until_ended(runtime)
    await runtime.remove_container(made)
    record = await runtime.pod("uid-1")
    assert record.instances == ()
    assert record.sandbox is not None


async def test_changes_tell_of_an_end_at_once(runtime: Runtime) -> None:
    """The end of a container is told much sooner than a relist would find it, and the record shows it by then."""
    seen: list[str] = []
    told = asyncio.Event()

    async def follow() -> None:
        async for uid in runtime.changes():
            seen.append(uid)
            if (await runtime.pod("uid-1")).instances[:1] and (await only(runtime)).state is State.EXITED:
                told.set()

    task = asyncio.get_running_loop().create_task(follow())
    try:
        await started(runtime, "sleep 0.2")
        await runtime.pods()
        async with asyncio.timeout(5):
            await told.wait()
        late = RealClock().time() - (await only(runtime)).finished_at / 1e9
        assert set(seen) == {"uid-1"}
        assert late < 0.5
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_command_gives_its_output_and_exit_code(runtime: Runtime) -> None:
    """A command that is run in a container ends by itself, one that does not is cut off."""
    made = await started(runtime, "while true; do sleep 0.05; done")
    done = await runtime.execute(made, ["/bin/sh", "-c", "echo out; exit 4"], 5)
    assert (done.exit_code, done.output) == (4, b"out\n")
    with pytest.raises(RuntimeFailure):
        await runtime.execute(made, ["sleep", "30"], 1)


async def test_streams_of_a_command_reach_the_caller(runtime: Runtime) -> None:
    """Input goes in, output comes out, the exit code is returned."""

    @dataclass
    class Streams:
        options: CommandOptions
        written: bytes = b""
        inputs: tuple[bytes, ...] = (b"through", b"")

        async def read_stdin(self) -> bytes:
            first, *rest = self.inputs or (b"",)
            self.inputs = tuple(rest)
            return first

        async def write_stdout(self, data: bytes) -> None:
            self.written += data

        async def write_stderr(self, data: bytes) -> None:
            raise AssertionError(data)

        async def resizes(self) -> AsyncIterator[object]:
            return
            yield

    made = await started(runtime, "while true; do sleep 0.05; done")
    streams = Streams(CommandOptions(command=("cat",), stdin=True, stdout=True, stderr=False, tty=False))
    async with asyncio.timeout(10):
        assert await runtime.exec(made, streams) == 0  # type: ignore[arg-type]  # only what is used here
    assert streams.written == b"through"


async def test_port_that_cannot_be_reached_is_told(runtime: Runtime) -> None:
    """Where nothing listens the runtime's reason is given, once and without its own name of the pod."""
    await started(runtime, "while true; do sleep 0.05; done")
    record = (await runtime.pods())["uid-1"]
    assert record.sandbox is not None
    ours, theirs = duplex_pair()
    async with asyncio.timeout(10):
        with pytest.raises(PortForwardFailed) as failed:
            await runtime.forward(record.sandbox.id, 81, theirs)
    assert str(failed.value)
    assert "error forwarding port" not in str(failed.value)
    await ours.close()


async def test_images_are_found_or_fail_to_come(runtime: Runtime) -> None:
    """A present image has an ID and a size; one of an unreachable registry is absent, and its pull says so."""
    present = await runtime.image(IMAGE)
    assert present is not None
    assert present.size_bytes > 0
    assert any(image.id == present.id for image in await runtime.images())
    assert await runtime.image("registry.invalid/no:1") is None
    with pytest.raises(RuntimeFailure, match=r"registry\.invalid"):
        await runtime.pull("registry.invalid/no:1", None)


async def test_runtime_says_how_it_is(runtime: Runtime) -> None:
    """Its version names it, and with a pod network nothing is amiss."""
    health = await runtime.health()
    assert "://" in health.version
    assert (health.runtime_reason, health.network_reason) == ("", "")
