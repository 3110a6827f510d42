"""The node agent against a real containerd and an API server in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.apiserver.streaming import InProcessKubelets, streaming_handlers
from pinnace.client import Client, InProcessTransport
from pinnace.cluster import cni
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.images import Images
from pinnace.cluster.mounts import unmount_below
from pinnace.component.clock import RealClock
from pinnace.component.http import Connection, Request, Response, UserInfo
from pinnace.component.http.server import serve
from pinnace.component.identity import system_identity
from pinnace.component.tls import CertificateAuthority, server_context
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.cri import CriRuntime
from pinnace.kubelet.runtime import RuntimeFailure
from pinnace.machinery.errors import NotFound
from pinnace.store.memory import open_memory

TOKEN = "a-token-of-this-test"
DEMOAPP = "ikubernetes/demoapp:v1.0"
ADMIN = UserInfo("admin", groups=("system:masters", "system:authenticated"))


class World:
    def __init__(self, admin: Client, kubelet: Kubelet, server: str, daemon: Containerd) -> None:
        self.admin, self.kubelet, self.server, self.daemon = admin, kubelet, server, daemon

    def kubectl(self, *words: str) -> list[str]:
        return [
            "kubectl",
            f"--server={self.server}",
            "--insecure-skip-tls-verify",
            f"--token={TOKEN}",
            "--kubeconfig=/dev/null",
            *words,
        ]

    async def call(self, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *self.kubectl(*words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            out, err = await process.communicate(stdin)
        return process.returncode or 0, out.decode(), err.decode()

    async def pod(self, name: str, command: str, *, restart: str = "Never", **spec: object) -> None:
        main = core_v1.Container(name="main", image=DEMOAPP, command=("/bin/sh", "-c", command))
        await self.admin.create(
            core_v1.Pod(
                metadata=meta_v1.ObjectMeta(name=name, namespace="default"),
                spec=core_v1.PodSpec(
                    containers=(main,),
                    node_name="node-1",
                    restart_policy=restart,
                    automount_service_account_token=False,
                    termination_grace_period_seconds=1,
                    **spec,  # type: ignore[arg-type]
                ),
            )
        )

    async def get(self, name: str) -> core_v1.Pod:
        return await self.admin.get(core_v1.Pod, name, "default")

    async def until(self, name: str, holds: Callable[[core_v1.Pod], bool]) -> core_v1.Pod:
        pod = None
        try:
            async with asyncio.timeout(20):
                while True:
                    pod = await self.get(name)
                    if holds(pod):
                        return pod
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never so: {pod.status if pod else None}") from None

    async def log(self, name: str) -> str:
        request = Request(
            "GET", f"/containerLogs/default/{name}/main", connection=Connection(None, None, False, None, ADMIN)
        )
        answer = await self.kubelet.handle(request)
        assert isinstance(answer, Response)
        if isinstance(answer.body, bytes):
            return answer.body.decode()
        return b"".join([chunk async for chunk in answer.body]).decode()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("containerd", "runc", "iptables")):
        pytest.skip("real containers need root, containerd, runc and iptables")
    clock, identity = RealClock(), system_identity()
    paths = ContainerdPaths(tmp_path / "containerd")
    daemon = Containerd(paths, detect(), clock)
    await daemon.start()
    try:
        await Images(paths, tmp_path / "images").import_new()
        cni.write(paths.cni_conf, paths.cni_data, cni.pod_network(tmp_path), "10.199.7.0/24", masquerade=True)
        async with open_memory(clock) as store, CriRuntime(str(paths.socket)) as runtime:
            agents: list[Kubelet] = []
            server = api_server(
                ApiServerConfig(),
                store,
                clock=clock,
                identity=identity,
                signing_key=SigningKey(),
                tokens={TOKEN: ADMIN},
                specials=streaming_handlers(InProcessKubelets(lambda _: agents[0].handle)),
            )
            authority = CertificateAuthority.create("test", clock.time())
            pair = authority.issue_server("localhost", ["localhost", "127.0.0.1"], clock.time())
            context = server_context(pair, authority.certificate_pem)
            async with (
                server.running(),
                serve(server.handle, "127.0.0.1", 0, ssl_context=context, clock=clock) as listening,
            ):
                admin = Client(InProcessTransport(server.handle, ADMIN))
                await prepare(admin)
                config = KubeletConfig(
                    node_name="node-1",
                    node_ip="192.0.2.1",
                    root_dir=tmp_path / "kubelet",
                    log_dir=tmp_path / "logs",
                    cgroup_root=f"/pinnace-test-{os.getpid()}",
                )
                node = UserInfo("system:node:node-1", groups=("system:nodes", "system:authenticated"))
                kubelet = Kubelet(config, Client(InProcessTransport(server.handle, node)), clock, identity, runtime)
                agents.append(kubelet)
                task = asyncio.get_running_loop().create_task(kubelet.run())
                try:
                    yield World(admin, kubelet, f"https://127.0.0.1:{listening.port}", daemon)
                finally:
                    task.cancel()
                    await asyncio.wait([task])
                    await end_all(runtime)
    finally:
        await daemon.stop()
        unmount_below(tmp_path)
        bridge = await asyncio.create_subprocess_exec(
            "ip", "link", "delete", cni.pod_network(tmp_path).bridge, stderr=asyncio.subprocess.DEVNULL
        )
        await bridge.wait()  # there is none when no pod was started
        remove_cgroups()


async def prepare(admin: Client) -> None:
    """Make what pods need and controllers would have made."""
    try:
        await admin.get(core_v1.Namespace, "default")
    except NotFound:
        await admin.create(core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="default")))
    await admin.create(core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name="default", namespace="default")))


async def end_all(runtime: CriRuntime) -> None:
    """End what is left.

    A call that the agent's own end has cut short may need a second try, and one about a container that was just started, and killed
    at once, may miss its end: it is given up, and asked again.
    """
    async with asyncio.timeout(40):
        while records := await runtime.pods():
            for record in records.values():
                with contextlib.suppress(RuntimeFailure, TimeoutError):
                    async with asyncio.timeout(5):
                        for run in record.instances:
                            await runtime.stop_container(run.id, 0)
                        for sandbox in record.sandboxes:
                            await runtime.end_sandbox(sandbox.id, remove=True)
            await asyncio.sleep(0.05)


def remove_cgroups() -> None:
    for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        base = top / f"pinnace-test-{os.getpid()}"
        for folder in sorted((*base.glob("**/"), base), key=lambda path: -len(path.parts)):
            if folder.exists():
                folder.rmdir()


def running(pod: core_v1.Pod) -> bool:
    return pod.status.phase == "Running"


async def eventually_gone(world: World, name: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await world.get(name)
            except NotFound:
                return
            await asyncio.sleep(0.05)


async def test_pod_runs_and_is_deleted(world: World) -> None:
    """A pod gets an address, becomes Ready, and leaves nothing in the runtime when it is deleted."""
    await world.pod("web", "trap 'exit 0' TERM; echo hello; while true; do sleep 0.1; done")
    pod = await world.until("web", running)
    assert pod.status.pod_ip.startswith("10.199.7.")
    assert {item.type: item.status for item in pod.status.conditions}["Ready"] == "True"
    assert pod.status.container_statuses[0].container_id.startswith("containerd://")
    assert await world.log("web") == "hello\n"
    await world.admin.delete(core_v1.Pod, "web", "default")
    await eventually_gone(world, "web")
    # The API server has forgotten it a moment before its worker has.
    async with asyncio.timeout(5):
        while world.kubelet.pods():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (3, "Failed", "Error")])
async def test_pod_ends_in_the_phase_of_its_exit_code(world: World, code: int, phase: str, reason: str) -> None:
    """A pod that is not restarted ends with its container."""
    await world.pod("once", f"exit {code}")
    pod = await world.until("once", lambda pod: pod.status.phase == phase)
    ended = pod.status.container_statuses[0].state.terminated
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (code, reason)


async def test_crashing_container_backs_off(world: World) -> None:
    """The first restart comes at once, the second waits ten seconds and says so."""
    await world.pod("crash", "exit 1", restart="Always")
    pod = await world.until(
        "crash",
        lambda pod: any(
            item.state.waiting is not None and item.state.waiting.reason == "CrashLoopBackOff"
            for item in pod.status.container_statuses
        ),
    )
    status = pod.status.container_statuses[0]
    assert status.restart_count == 1
    assert status.state.waiting is not None
    assert "back-off 10s restarting failed container=main" in status.state.waiting.message


async def test_node_is_ready_and_has_a_lease(world: World) -> None:
    """The node registers with what the machine has."""
    async with asyncio.timeout(10):
        while True:
            try:
                node = await world.admin.get(core_v1.Node, "node-1")
            except NotFound:
                node = None
            if node and {item.type: item.status for item in node.status.conditions}.get("Ready") == "True":
                break
            await asyncio.sleep(0.05)
    assert node.status.capacity["cpu"] == str(os.cpu_count())
    assert node.status.node_info.container_runtime_version.startswith("containerd://")
    assert node.status.conditions[-1].type == "Ready"


async def test_exec_carries_streams_and_exit_code(world: World) -> None:
    """stdin reaches the command, its outputs come back apart, its exit code is kubectl's."""
    await world.pod("box", "while true; do sleep 0.1; done")
    await world.until("box", running)
    code, out, err = await world.call(
        "exec", "-i", "box", "--", "/bin/sh", "-c", "cat; echo oops >&2; exit 5", stdin=b"through"
    )
    assert (code, out) == (5, "through")
    assert "oops" in err


async def test_port_forward_reaches_the_pod(world: World) -> None:
    """Several connections reach a port of the pod."""
    await world.pod("web", "mkdir /w && echo found > /w/index.html && httpd -f -p 80 -h /w")
    await world.until("web", running)
    process = await asyncio.create_subprocess_exec(
        *world.kubectl("port-forward", "pod/web", ":80"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(15):
            port = int((await process.stdout.readline()).decode().split("127.0.0.1:")[1].split(" ")[0])
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                assert b"found" in await reader.read()
                writer.close()
    finally:
        process.terminate()
        await process.wait()


async def test_volumes_hold_their_content(world: World) -> None:
    """Config maps, secrets, scratch space and the pod's own fields are files in the container."""
    meta = meta_v1.ObjectMeta(name="settings", namespace="default")
    await world.admin.create(core_v1.ConfigMap(metadata=meta, data={"colour": "red"}))
    trust = meta_v1.ObjectMeta(name="kube-root-ca.crt", namespace="default")
    await world.admin.create(core_v1.ConfigMap(metadata=trust, data={"ca.crt": "trusted"}))
    await world.admin.create(core_v1.Secret(metadata=meta, data={"word": "c2VzYW1l"}))
    names = ("c", "s", "e")
    main = core_v1.Container(
        name="main",
        image=DEMOAPP,
        command=(
            "/bin/sh",
            "-c",
            "cat /c/colour /s/word; echo kept > /e/x; cat /e/x; echo $WHO; ls /var/run/secrets/kubernetes.io/serviceaccount",
        ),
        env=(
            core_v1.EnvVar(
                name="WHO",
                value_from=core_v1.EnvVarSource(field_ref=core_v1.ObjectFieldSelector(field_path="metadata.name")),
            ),
        ),
        volume_mounts=tuple(core_v1.VolumeMount(name=name, mount_path=f"/{name}") for name in names),
    )
    await world.admin.create(
        core_v1.Pod(
            metadata=meta_v1.ObjectMeta(name="vols", namespace="default"),
            spec=core_v1.PodSpec(
                containers=(main,),
                node_name="node-1",
                restart_policy="Never",
                volumes=(
                    core_v1.Volume(name="c", config_map=core_v1.ConfigMapVolumeSource(name="settings")),
                    core_v1.Volume(name="s", secret=core_v1.SecretVolumeSource(secret_name="settings")),
                    core_v1.Volume(name="e", empty_dir=core_v1.EmptyDirVolumeSource()),
                ),
            ),
        )
    )
    await world.until("vols", lambda pod: pod.status.phase == "Succeeded")
    assert await world.log("vols") == "redsesamekept\nvols\nca.crt\nnamespace\ntoken\n"


async def test_probes_decide_readiness_and_restart(world: World) -> None:
    """A pod is ready once its probe says so, and is restarted when its liveness fails."""
    lived = core_v1.Probe(
        exec=core_v1.ExecAction(command=("test", "!", "-e", "/dead")), period_seconds=1, failure_threshold=1
    )
    ready = core_v1.Probe(exec=core_v1.ExecAction(command=("test", "-e", "/ready")), period_seconds=1)
    main = core_v1.Container(
        name="main",
        image=DEMOAPP,
        command=("/bin/sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"),
        readiness_probe=ready,
        liveness_probe=lived,
    )
    spec = core_v1.PodSpec(
        containers=(main,),
        node_name="node-1",
        automount_service_account_token=False,
        termination_grace_period_seconds=1,
    )
    await world.admin.create(core_v1.Pod(metadata=meta_v1.ObjectMeta(name="probed", namespace="default"), spec=spec))
    pod = await world.until("probed", running)
    assert not pod.status.container_statuses[0].ready
    await world.call("exec", "probed", "--", "touch", "/ready")
    await world.until("probed", lambda pod: pod.status.container_statuses[0].ready)
    await world.call("exec", "probed", "--", "touch", "/dead")
    await world.until("probed", lambda pod: pod.status.container_statuses[0].restart_count == 1)


async def test_volume_follows_its_config_map(world: World) -> None:
    """A change of a config map is in the container's files within two seconds, without the pod being touched."""
    meta = meta_v1.ObjectMeta(name="settings", namespace="default")
    await world.admin.create(core_v1.ConfigMap(metadata=meta, data={"colour": "red"}))
    main = core_v1.Container(
        name="main",
        image=DEMOAPP,
        command=("/bin/sh", "-c", "until grep -q blue /c/colour; do sleep 0.05; done; cat /c/colour"),
        volume_mounts=(core_v1.VolumeMount(name="c", mount_path="/c"),),
    )
    volume = core_v1.Volume(name="c", config_map=core_v1.ConfigMapVolumeSource(name="settings"))
    await world.admin.create(
        core_v1.Pod(
            metadata=meta_v1.ObjectMeta(name="reader", namespace="default"),
            spec=core_v1.PodSpec(
                containers=(main,),
                node_name="node-1",
                restart_policy="Never",
                automount_service_account_token=False,
                volumes=(volume,),
            ),
        )
    )
    await world.until("reader", running)
    await world.admin.patch(core_v1.ConfigMap, "settings", {"data": {"colour": "blue"}}, namespace="default")
    async with asyncio.timeout(2):
        await world.until("reader", lambda pod: pod.status.phase == "Succeeded")
    assert await world.log("reader") == "blue"


async def test_sub_path_cannot_leave_its_volume(world: World, tmp_path: Path) -> None:
    """A link that leads out of a volume is refused; one inside is followed; nothing outside is touched at the end."""
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    for folder in (outside, inside / "real"):
        folder.mkdir(parents=True)
        (folder / "kept").write_text("kept\n")
    (inside / "evil").symlink_to(outside)
    (inside / "good").symlink_to("real")
    volume = core_v1.Volume(name="h", host_path=core_v1.HostPathVolumeSource(path=str(inside)))
    for name in ("evil", "good"):
        main = core_v1.Container(
            name="main",
            image=DEMOAPP,
            command=("/bin/sh", "-c", "cat /h/kept; echo new > /h/new"),
            volume_mounts=(core_v1.VolumeMount(name="h", mount_path="/h", sub_path=name),),
        )
        await world.admin.create(
            core_v1.Pod(
                metadata=meta_v1.ObjectMeta(name=name, namespace="default"),
                spec=core_v1.PodSpec(
                    containers=(main,),
                    node_name="node-1",
                    restart_policy="Never",
                    automount_service_account_token=False,
                    volumes=(volume,),
                ),
            )
        )
    await world.until("good", lambda pod: pod.status.phase == "Succeeded")
    refused = await world.until(
        "evil",
        lambda pod: any(
            item.state.waiting and item.state.waiting.reason == "CreateContainerConfigError"
            for item in pod.status.container_statuses
        ),
    )
    waiting = refused.status.container_statuses[0].state.waiting
    assert waiting is not None
    assert waiting.message == "subPath evil leads out of the volume"
    assert await world.log("good") == "kept\n"
    for name in ("evil", "good"):
        await world.admin.delete(core_v1.Pod, name, "default")
        await eventually_gone(world, name)
    assert sorted(path.name for path in (inside / "real").iterdir()) == ["kept", "new"]
    assert (outside / "kept").exists()


async def test_group_of_the_pod_owns_its_volumes(world: World) -> None:
    """With fsGroup an ordinary user writes scratch space and reads secrets."""
    meta = meta_v1.ObjectMeta(name="word", namespace="default")
    await world.admin.create(core_v1.Secret(metadata=meta, data={"word": "c2VzYW1l"}))
    main = core_v1.Container(
        name="main",
        image=DEMOAPP,
        command=("/bin/sh", "-c", "id -u; echo x > /e/x && stat -c %g /e/x; cat /s/word"),
        volume_mounts=(
            core_v1.VolumeMount(name="e", mount_path="/e"),
            core_v1.VolumeMount(name="s", mount_path="/s"),
        ),
    )
    await world.admin.create(
        core_v1.Pod(
            metadata=meta_v1.ObjectMeta(name="group", namespace="default"),
            spec=core_v1.PodSpec(
                containers=(main,),
                node_name="node-1",
                restart_policy="Never",
                automount_service_account_token=False,
                security_context=core_v1.PodSecurityContext(run_as_user=1000, fs_group=2000),
                volumes=(
                    core_v1.Volume(name="e", empty_dir=core_v1.EmptyDirVolumeSource()),
                    core_v1.Volume(name="s", secret=core_v1.SecretVolumeSource(secret_name="word", default_mode=0o400)),
                ),
            ),
        )
    )
    await world.until("group", lambda pod: pod.status.phase == "Succeeded")
    assert await world.log("group") == "1000\n2000\nsesame"


async def test_debug_container_sees_the_processes_of_its_target(world: World) -> None:
    """kubectl debug adds a container to a running pod, which shares the target's processes."""
    await world.pod("box", "trap 'exit 0' TERM; while true; do sleep 0.1; done")
    await world.until("box", running)
    code, out, err = await world.call(
        "debug", "box", f"--image={DEMOAPP}", "--image-pull-policy=IfNotPresent", "--target=main", "-c", "debug",
        "--", "sh", "-c", "echo looking; cat /proc/1/cmdline | tr '\\0' ' '",
    )  # fmt: skip
    assert code == 0, out + err
    pod = await world.until(
        "box", lambda pod: any(item.state.terminated for item in pod.status.ephemeral_container_statuses)
    )
    assert pod.status.phase == "Running"
    assert pod.status.ephemeral_container_statuses[0].restart_count == 0
    code, out, _ = await world.call("logs", "box", "-c", "debug")
    assert out.startswith("looking\n")
    assert "trap" in out
    code, out, _ = await world.call("exec", "box", "-c", "main", "--", "echo", "alive")
    assert (code, out) == (0, "alive\n")


async def test_pod_has_a_control_group_with_its_limits(world: World) -> None:
    """The pod's group carries the sum of its limits and goes with the pod."""
    limits = {"cpu": "100m", "memory": "64Mi"}
    main = core_v1.Container(
        name="main",
        image=DEMOAPP,
        command=("/bin/sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"),
        resources=core_v1.ResourceRequirements(requests=limits, limits=limits),
    )
    await world.admin.create(
        core_v1.Pod(
            metadata=meta_v1.ObjectMeta(name="limited", namespace="default"),
            spec=core_v1.PodSpec(
                containers=(main,),
                node_name="node-1",
                automount_service_account_token=False,
                termination_grace_period_seconds=1,
            ),
        )
    )
    pod = await world.until("limited", running)
    below = f"pinnace-test-{os.getpid()}/pod{pod.metadata.uid}"
    top = Path("/sys/fs/cgroup")
    unified = (top / "cgroup.controllers").exists()
    name, tree = ("memory.max", top) if unified else ("memory.limit_in_bytes", top / "memory")
    if not (tree / below).exists():
        pytest.skip("control groups of this machine cannot be written")
    assert (tree / below / name).read_text().strip() == str(64 << 20)
    await world.admin.delete(core_v1.Pod, "limited", "default")
    await eventually_gone(world, "limited")
    assert not (tree / below).exists()


async def test_summary_tells_what_a_pod_uses(world: World) -> None:
    """Beside processor and memory: disk of its volumes, logs and layers, network, and processes; of the node also swap and limits."""
    volume = core_v1.Volume(name="scratch", empty_dir=core_v1.EmptyDirVolumeSource())
    await world.pod("user", "echo hello; while true; do sleep 0.1; done", volumes=(volume,))
    await world.until("user", running)
    connection = Connection(None, None, False, None, ADMIN)
    answer = await world.kubelet.handle(Request("GET", "/stats/summary", connection=connection))
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    found = json.loads(answer.body)
    pod = next(each for each in found["pods"] if each["podRef"]["name"] == "user")
    assert [each["name"] for each in pod["volume"]] == ["scratch"]
    assert pod["process_stats"]["process_count"] > 0
    assert pod["network"]["name"] == "eth0"
    assert pod["containers"][0]["logs"]["usedBytes"] > 0
    assert pod["ephemeral-storage"]["usedBytes"] >= pod["containers"][0]["logs"]["usedBytes"]
    assert found["node"]["rlimit"]["maxpid"] > found["node"]["rlimit"]["curproc"] > 0
    assert {"swap", "network", "fs", "runtime"} <= {*found["node"]}


async def test_runtime_that_is_killed_and_one_that_hangs_cost_no_container(world: World) -> None:
    """While containerd is gone or stands still, containers run on; afterwards the agent goes on with the same ones."""
    await world.pod("steady", "while true; do sleep 0.1; done", restart="Always")
    before = (await world.until("steady", running)).status.container_statuses[0]
    daemon = world.daemon.pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    await world.daemon.start()
    await world.pod("after-the-kill", "while true; do sleep 0.1; done")
    await world.until("after-the-kill", running)
    hung = world.daemon.pid()
    assert hung is not None
    assert hung != daemon
    os.kill(hung, signal.SIGSTOP)
    try:
        await world.pod("while-it-hangs", "while true; do sleep 0.1; done")
    finally:
        os.kill(hung, signal.SIGCONT)
    await world.until("while-it-hangs", running)
    after = (await world.get("steady")).status.container_statuses[0]
    assert (after.container_id, after.restart_count) == (before.container_id, 0)
