"""A container runtime that runs nothing: sandboxes and containers are entries, their ends are timers of the injected clock.

No root, no socket, no file, no thread; the same seed gives the same run. What a container does is told by `behaviour.py`. Every image is
there, but those of registries under `.invalid`, whose pulls fail. Under a virtual clock an idle node has no timer of its own.
Invariant: a sandbox has an address of the node's pod network as long as it is ready, and no two ready sandboxes share one.
"""

import asyncio
import ipaddress
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from pinnace.client import Client
from pinnace.component.clock import Clock
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams import CommandFailed, CommandStreams, PortForwardFailed
from pinnace.kubelet.host import Host
from pinnace.kubelet.runtime import (
    ContainerConfig,
    Credential,
    Executed,
    Health,
    Image,
    Instance,
    NotThere,
    PodRecord,
    Runtime,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    State,
    Usage,
)
from pinnace.kubelet.simulated.behaviour import ANNOTATION_PREFIX, Behaviour, behaviour
from pinnace.kubelet.simulated.host import NoCgroups, SimulatedFiles, SimulatedMachine, SimulatedNetwork
from pinnace.kubelet.simulated.shell import Deed, interpret
from pinnace.kubelet.simulated.stages import Stage, settings

VERSION = "simulated://1.0"
# Exit codes of a process that a signal ended: 128 and the signal's number.
_TERMINATED, _KILLED = 143, 137
_UNREACHABLE_REGISTRIES = ".invalid"


class Simulation(Struct, frozen=True, kw_only=True):
    """How a simulated node behaves, and what it seems to have.

    A start takes `start_seconds` and a random part of `start_jitter_seconds` more; a pull the same of `pull_seconds`. `stages` are rules for
    pods that say nothing themselves.
    """

    start_seconds: float = 0.0
    start_jitter_seconds: float = 0.0
    sandbox_seconds: float = 0.0
    pull_seconds: float = 0.0
    stop_seconds: float = 0.0
    cpu: str = "8"
    memory: str = "32Gi"
    ephemeral_storage: str = "100Gi"
    extended_resources: Mapping[str, str] | None = None
    architecture: str = "amd64"
    stages: tuple[Stage, ...] = ()


class _Container(Struct):
    """One run of a container, and what will become of it."""

    instance: Instance
    config: ContainerConfig
    behaviour: Behaviour
    hostname: str
    log: list[tuple[float, str]]
    ended: asyncio.Event


class SimulatedRuntime(Runtime):
    """One node's runtime; use it as an async context manager."""

    def __init__(self, clock: Clock, source: random.Random, simulation: Simulation | None = None) -> None:
        self._clock, self._random = clock, source
        self._simulation = simulation if simulation is not None else Simulation()
        self._sandboxes: dict[str, tuple[Sandbox, SandboxConfig]] = {}
        self._containers: dict[str, _Container] = {}
        self._pods: dict[str, PodRecord] = {}
        self._images: dict[str, Image] = {}
        self._network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
        self._addresses: set[str] = set()
        self._next_address = 0
        self._last_created = 0
        self._changes: deque[str] = deque()
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(self, *_: object) -> None:
        for container in self._containers.values():
            container.ended.set()
        await self._stack.aclose()

    def host(self, client: Client, name: str) -> Host:
        """Return the rest of the node of this name, whose agent reads config maps and secrets with this client."""
        machine = SimulatedMachine(
            cpu=self._simulation.cpu,
            memory=self._simulation.memory,
            ephemeral_storage=self._simulation.ephemeral_storage,
            extended_resources=self._simulation.extended_resources or {},
            architecture=self._simulation.architecture,
            name=name,
        )
        return Host(machine, SimulatedFiles(self, client), SimulatedNetwork(self), NoCgroups())

    # Records

    async def pods(self) -> Mapping[str, PodRecord]:
        return dict(self._pods)

    async def pod(self, uid: str) -> PodRecord:
        return self._pods.get(uid) or PodRecord(uid=uid)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._changes:
                yield self._changes.popleft()

    # Sandboxes

    async def set_pod_cidr(self, cidr: str) -> None:
        self._network = ipaddress.ip_network(cidr.split(",", maxsplit=1)[0])

    async def run_sandbox(self, config: SandboxConfig) -> str:
        await self._wait(self._simulation.sandbox_seconds)
        ips = () if config.host_network else (self._new_address(),)
        made = Sandbox(
            id=self._new_id(),
            uid=config.uid,
            name=config.name,
            namespace=config.namespace,
            attempt=config.attempt,
            ready=True,
            created_at=self._stamp(),
            ips=ips,
        )
        self._sandboxes[made.id] = (made, config)
        self._record(config.uid)
        return made.id

    async def end_sandbox(self, sandbox_id: str, *, remove: bool) -> None:
        found = self._sandboxes.get(sandbox_id)
        if found is None:
            return
        sandbox, config = found
        mine = [each for each in self._containers.values() if each.instance.sandbox_id == sandbox_id]
        for container in mine:
            self._end(container, _KILLED)
        self._addresses -= {*sandbox.ips}
        self._sandboxes[sandbox_id] = (replace(sandbox, ready=False, ips=()), config)
        if remove:
            self._sandboxes.pop(sandbox_id)
            for container in mine:
                self._containers.pop(container.instance.id, None)
        self._record(sandbox.uid)

    # Containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        if sandbox_id not in self._sandboxes or not self._sandboxes[sandbox_id][0].ready:
            raise NotThere(f'sandbox "{sandbox_id}" not found')
        told = settings(self._simulation.stages, sandbox.namespace, sandbox.labels, self._random.random)
        fate = behaviour(
            config,
            {**{ANNOTATION_PREFIX + what: value for what, value in told.items()}, **sandbox.annotations},
            hostname=sandbox.hostname or sandbox.name,
            start_seconds=self._simulation.start_seconds,
            stop_seconds=self._simulation.stop_seconds,
        )
        if fate.create_error:
            raise RuntimeFailure(fate.create_error)
        instance = Instance(
            id=self._new_id(),
            sandbox_id=sandbox_id,
            uid=sandbox.uid,
            name=config.name,
            state=State.CREATED,
            restart_count=config.attempt,
            created_at=self._stamp(),
            image=config.image,
            image_id=_image_id(config.image),
            annotations=dict(config.annotations),
        )
        hostname = sandbox.hostname or sandbox.name
        self._containers[instance.id] = _Container(instance, config, fate, hostname, [], asyncio.Event())
        self._record(sandbox.uid)
        return instance.id

    async def start_container(self, container_id: str) -> None:
        container = self._container(container_id)
        await self._wait(container.behaviour.start_seconds)
        if container.behaviour.start_error:
            now = self._now()
            self._set(
                container, state=State.EXITED, started_at=now, finished_at=now, exit_code=128, reason="StartError",
                message=container.behaviour.start_error,
            )  # fmt: skip
            raise RuntimeFailure(container.behaviour.start_error)
        self._set(container, state=State.RUNNING, started_at=self._now())
        if container.behaviour.log:
            text = container.behaviour.log
            container.log.extend((self._clock.time(), line) for line in text.removesuffix("\n").split("\n"))
        if container.behaviour.run_seconds is not None:
            if self._group is None:
                raise RuntimeFailure("the simulated runtime does not run")
            self._group.create_task(self._live(container), name=f"simulated container {container.config.name}")

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        container = self._containers.get(container_id)
        if container is None or container.instance.state is not State.RUNNING:
            return
        needs = container.behaviour.stop_seconds
        obeys = needs is not None and needs <= grace_seconds
        wait = needs if obeys else grace_seconds
        if wait:
            try:
                async with self._clock.timeout(wait):
                    await container.ended.wait()
            except TimeoutError:
                pass  # it did not end by itself in the meantime, so the signal ends it
        self._end(container, _TERMINATED if obeys else _KILLED)

    async def remove_container(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        if container is not None:
            self._end(container, _KILLED)
            self._record(container.instance.uid)

    async def health(self) -> Health:
        text = (
            "NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: no pod network yet"
        )
        return Health(version=VERSION, network_reason="" if self._network is not None else text)

    # Images

    async def image(self, name: str) -> Image | None:
        if _is_unreachable(name):
            return None
        return self._images.get(name) or self._add_image(name)

    async def images(self) -> Sequence[Image]:
        return tuple(self._images.values())

    async def pull(self, name: str, credential: Credential | None) -> str:
        await self._wait(self._simulation.pull_seconds)
        if _is_unreachable(name):
            registry = name.split("/", 1)[0]
            raise RuntimeFailure(
                f'rpc error: code = Unknown desc = failed to pull and unpack image "{name}": failed to resolve reference '
                f'"{name}": dial tcp: lookup {registry}: no such host'
            )
        return self._add_image(name).id

    async def remove_image(self, image_id: str) -> None:
        self._images = {name: image for name, image in self._images.items() if image.id != image_id}

    async def usage(self) -> Sequence[Usage]:
        now = self._now()
        return [
            Usage(
                container_id=each.instance.id,
                at=now,
                cpu_nanos=int((now - each.instance.started_at) * each.behaviour.cpu_cores),
                memory_bytes=each.behaviour.memory_bytes,
            )
            for each in self._containers.values()
            if each.instance.state is State.RUNNING
        ]

    # Streams

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> Executed:
        container = self._running(container_id)
        done = self._deed(container, command)
        if timeout_seconds and (done.seconds is None or done.seconds > timeout_seconds):
            await self._clock.sleep(timeout_seconds)
            raise RuntimeFailure(f'command "{" ".join(command)}" timed out')
        await self._clock.sleep(done.seconds or 0.0)
        return Executed(exit_code=done.exit_code, output=done.output.encode())

    async def exec(self, container_id: str, streams: CommandStreams) -> int:
        try:
            container = self._running(container_id)
        except RuntimeFailure as error:
            raise CommandFailed(f"error executing command in container: {error}") from error
        done = self._deed(container, streams.options.command)
        if streams.options.stdin and tuple(streams.options.command) in {("cat",), ("/bin/cat",)}:
            while data := await streams.read_stdin():
                await streams.write_stdout(data)
        await streams.write_stdout(done.output.encode())
        await self._clock.sleep(done.seconds or 0.0)
        return done.exit_code

    async def attach(self, container_id: str, streams: CommandStreams) -> int:
        try:
            container = self._running(container_id)
        except RuntimeFailure as error:
            raise CommandFailed(f"error attaching to container: {error}") from error
        for _, line in container.log:
            await streams.write_stdout(line.encode() + b"\n")
        await container.ended.wait()
        return container.instance.exit_code

    async def forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        raise PortForwardFailed(f"a simulated pod listens on no port; {port} was asked for")

    async def reopen_log(self, container_id: str) -> None:
        self._container(container_id)

    # What the rest of the simulated node looks up

    def lines(self, container_id: str) -> Sequence[tuple[float, str]]:
        """Return what a container has logged: time and text."""
        found = self._containers.get(container_id)
        return found.log if found is not None else ()

    def termination_message(self, container_id: str) -> str:
        """Return what a container leaves behind as its last words."""
        found = self._containers.get(container_id)
        return found.behaviour.message if found is not None else ""

    def answers(self, ip: str) -> bool:
        """Tell whether the containers behind an address answer connections now."""
        owner = next((sandbox for sandbox, _ in self._sandboxes.values() if ip in sandbox.ips), None)
        if owner is None:
            return False
        now = self._clock.time()
        running = [
            (each.behaviour, now - each.instance.started_at / 1e9)
            for each in self._containers.values()
            if each.instance.sandbox_id == owner.id and each.instance.state is State.RUNNING
        ]
        return bool(running) and all(
            age >= fate.ready_after_seconds and (fate.live_for_seconds is None or age < fate.live_for_seconds)
            for fate, age in running
        )

    # Inside

    async def _live(self, container: _Container) -> None:
        """End a container when its time is over, unless something else ends it first."""
        try:
            async with self._clock.timeout(container.behaviour.run_seconds):
                await container.ended.wait()
        except TimeoutError:
            self._end(container, container.behaviour.exit_code)

    def _end(self, container: _Container, exit_code: int) -> None:
        if container.instance.state is State.RUNNING:
            reason = "Completed" if exit_code == 0 else "Error"
            self._set(container, state=State.EXITED, finished_at=self._now(), exit_code=exit_code, reason=reason)
        container.ended.set()

    def _deed(self, container: _Container, command: Sequence[str]) -> Deed:
        if container.behaviour.executed is not None:
            return container.behaviour.executed
        return interpret(command, dict(container.config.env), hostname=container.hostname, unknown=Deed())

    def _set(self, container: _Container, **changes: object) -> None:
        container.instance = replace(container.instance, **changes)
        self._record(container.instance.uid)

    def _record(self, uid: str) -> None:
        """Work out what there is of a pod, and tell of it."""
        old = self._pods.get(uid)
        sandboxes = tuple(sandbox for sandbox, _ in self._sandboxes.values() if sandbox.uid == uid)
        instances = tuple(each.instance for each in self._containers.values() if each.instance.uid == uid)
        if sandboxes or instances:
            self._pods[uid] = PodRecord(
                uid=uid,
                sandboxes=tuple(sorted(sandboxes, key=lambda sandbox: -sandbox.created_at)),
                instances=tuple(sorted(instances, key=lambda instance: -instance.created_at)),
            )
        else:
            self._pods.pop(uid, None)
        if self._pods.get(uid) != old:
            self._changes.append(uid)
            self._changed.set()

    def _container(self, container_id: str) -> _Container:
        found = self._containers.get(container_id)
        if found is None:
            raise NotThere(f'container "{container_id}" not found')
        return found

    def _running(self, container_id: str) -> _Container:
        found = self._container(container_id)
        if found.instance.state is not State.RUNNING:
            raise RuntimeFailure(f'container "{container_id}" is not running')
        return found

    def _add_image(self, name: str) -> Image:
        size = 1_000_000 + sum(name.encode()) * 1000
        made = self._images[name] = Image(id=_image_id(name), tags=(name,), size_bytes=size)
        return made

    def _new_address(self) -> str:
        if self._network is None:
            raise RuntimeFailure("no pod network yet")
        # The first address is the network's own, the second the bridge's, the last the broadcast.
        usable = self._network.num_addresses - 3
        for _ in range(usable):
            address = str(self._network[2 + self._next_address])
            self._next_address = (self._next_address + 1) % usable
            if address not in self._addresses:
                self._addresses.add(address)
                return address
        raise RuntimeFailure(f"no free address in {self._network}")

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(256):064x}"

    def _now(self) -> int:
        return int(self._clock.time() * 1e9)

    def _stamp(self) -> int:
        """Return a time of creation that is later than all others, also while a virtual clock stands still."""
        self._last_created = max(self._now(), self._last_created + 1)
        return self._last_created

    async def _wait(self, seconds: float) -> None:
        jitter = self._simulation.start_jitter_seconds
        if seconds or jitter:
            await self._clock.sleep(seconds + (jitter * self._random.random() if jitter else 0.0))


def _is_unreachable(name: str) -> bool:
    registry = name.split("/", 1)[0].split(":", 1)[0] if "/" in name else ""
    return registry.endswith(_UNREACHABLE_REGISTRIES)


def _image_id(name: str) -> str:
    return f"simulated/{name}"
